import { createRequire } from 'node:module';
import type { Group } from './figures.ts';
import type { PeerResult } from './interleave.ts';

/** What of echarts is used. Its own types need those of the DOM, which nothing else here has. */
interface Echarts {
  init(
    element: null,
    theme: null,
    options: { renderer: 'svg'; ssr: true; width: number; height: number },
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void };
}

const echarts = createRequire(import.meta.url)('echarts') as Echarts;

/** What a plot shows on its vertical axis. */
export const MEASURES = [
  { key: 'rate', label: 'requests/s', value: ({ perSecond }: PeerResult) => Math.max(...perSecond) },
  { key: 'cpu', label: 'CPU per request, µs', value: ({ cpuUs }: PeerResult) => Math.min(...cpuUs) },
  { key: 'latency', label: 'latency, p99, µs', value: ({ latencyUs }: PeerResult) => latencyUs.p99 },
] as const;

export type Measure = (typeof MEASURES)[number];

/** Told apart without colour too, by their marks; the colours are those of Okabe and Ito. */
const LOOKS: Readonly<Record<string, { color: string; symbol: string }>> = {
  'c-eventfd': { color: '#000000', symbol: 'circle' },
  'kaio-callback': { color: '#0072b2', symbol: 'rect' },
  'kaio-promise': { color: '#56b4e9', symbol: 'emptyRect' },
  'fs-promises-4': { color: '#d55e00', symbol: 'triangle' },
  'fs-callback-64': { color: '#e69f00', symbol: 'diamond' },
};

/** What an option of echarts describes, as SVG; width and height in pixels. */
export function render(option: object, width: number, height: number): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption(option);
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** One plot as SVG: a line a peer, against depth or block size, both axes logarithmic. */
export function plot(title: string, groups: readonly Group[], over: 'depth' | 'bytes', measure: Measure): string {
  const names = [...new Set(groups.flatMap(({ results }) => results.map(({ name }) => name)))];
  const axis = { type: 'log', logBase: over === 'depth' ? 2 : 4, nameLocation: 'middle' } as const;
  const option = {
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, left: 'center', textStyle: { fontSize: 15 } },
    legend: { bottom: 0 },
    grid: { left: 80, right: 30, top: 50, bottom: 80 },
    xAxis: {
      ...axis,
      name: over === 'depth' ? 'requests in flight' : 'bytes a request',
      nameGap: 28,
      axisLabel: { formatter: size },
    },
    yAxis: { type: 'log', name: measure.label, nameLocation: 'middle', nameGap: 55, axisLabel: { formatter: size } },
    series: names.map((name) => ({
      name,
      type: 'line',
      data: groups.flatMap((group) => {
        const result = group.results.find((candidate) => candidate.name === name);
        return result === undefined ? [] : [[group[over], measure.value(result)]];
      }),
      symbolSize: 8,
      ...look(name),
    })),
  };
  return render(option, 720, 400);
}

function look(name: string): object {
  const { color, symbol } = LOOKS[name] ?? { color: '#999999', symbol: 'pin' };
  return { symbol, itemStyle: { color }, lineStyle: { color, width: 2 } };
}

function size(value: number): string {
  if (value >= 2 ** 20 && value % 2 ** 20 === 0) return `${value / 2 ** 20} Mi`;
  if (value >= 2 ** 10 && value % 2 ** 10 === 0) return `${value / 2 ** 10} Ki`;
  return value >= 1000 ? `${value / 1000} k` : String(value);
}
