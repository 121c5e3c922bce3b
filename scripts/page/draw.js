// The script of the page that `kaio bench --html` writes. scripts/page.js bundles it with the chart library.
import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent, TooltipComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

echarts.use([BarChart, LineChart, GridComponent, LegendComponent, TitleComponent, TooltipComponent, SVGRenderer]);

// Those of Okabe and Ito, which nearly everybody can tell apart.
const COLORS = ['#0072b2', '#d55e00', '#009e73', '#e69f00'];

/** @type {import('../../src/cli/bench/page.ts').PageData} */
const { facts, engines } = JSON.parse(document.getElementById('data').textContent);

const { engines: figures, ...conditions } = facts;
document.getElementById('facts').textContent = Object.entries(conditions)
  .map(([name, value]) => `${name}: ${value}`)
  .join(' · ');

function row(cells, tag) {
  const line = document.createElement('tr');
  for (const cell of cells) {
    const element = document.createElement(tag);
    element.textContent = cell;
    line.append(element);
  }
  return line;
}

const latencies = Object.keys(figures[0].latencyUs);
document
  .getElementById('figures')
  .append(
    row(['engine', 'requests/s', 'MiB/s', 'CPU µs', ...latencies.map((name) => `${name} µs`)], 'th'),
    ...figures.map((figure) =>
      row(
        [
          figure.engine,
          figure.requestsPerSecond.toFixed(0),
          figure.mebibytesPerSecond.toFixed(0),
          (figure.userUsPerRequest + figure.systemUsPerRequest).toFixed(1),
          ...Object.values(figure.latencyUs).map((us) => us.toFixed(0)),
        ],
        'td',
      ),
    ),
  );

function draw(id, title, xName, yName, categories, series) {
  const chart = echarts.init(document.getElementById(id));
  chart.setOption({
    color: COLORS,
    animation: false,
    title: { text: title, left: 'center' },
    legend: { bottom: 0 },
    tooltip: { trigger: 'axis' },
    grid: { left: 80, right: 20, top: 50, bottom: 80 },
    xAxis: { type: 'category', data: categories, name: xName, nameLocation: 'middle', nameGap: 28 },
    yAxis: { type: 'value', name: yName, nameLocation: 'middle', nameGap: 60 },
    series,
  });
  addEventListener('resize', () => chart.resize());
}

const slices = engines[0].perSecond.map((_, i) => i + 1);
const rates = engines.map(({ engine, perSecond }) => ({ name: engine, type: 'line', data: perSecond.map(Math.round) }));
draw('rate', 'Rate of each slice', 'slice', 'requests/s', slices, rates);

const octaves = [...new Set(engines.flatMap((engine) => engine.octaves.map(({ upTo }) => upTo)))].sort((a, b) => a - b);
const shares = engines.map(({ engine, octaves: counted }) => {
  const total = counted.reduce((sum, { count }) => sum + count, 0);
  const share = (upTo) => (((counted.find((octave) => octave.upTo === upTo)?.count ?? 0) / total) * 100).toFixed(2);
  return { name: engine, type: 'bar', data: octaves.map(share) };
});
draw('latency', 'Latencies', 'at most, µs', '% of requests', octaves, shares);
