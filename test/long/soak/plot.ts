// The soak over time: flat lines are what it is for.
import { render } from '../../../bench/plots.ts';
import type { Quiet } from '../../support/soak.ts';

interface Panel {
  title: string;
  lines: Readonly<Record<string, (sample: Quiet) => number | null>>;
}

const latencyOf = (way: 'ring' | 'io_getevents') => (sample: Quiet) =>
  sample.latency[way].requests === 0 ? null : sample.latency[way].p999Ms;

const panels: readonly Panel[] = [
  {
    title: 'memory at rest, MiB',
    lines: {
      resident: ({ rss }) => rss,
      heap: ({ heap }) => heap,
      external: ({ external, arrayBuffers }) => external + arrayBuffers,
    },
  },
  {
    title: 'descriptors, threads, contexts at rest',
    lines: {
      descriptors: ({ descriptors }) => descriptors,
      threads: ({ threads }) => threads,
      contexts: ({ contexts }) => contexts,
    },
  },
  {
    title: 'quota in use by the whole machine while this process is at rest (fs.aio-nr)',
    lines: { quota: ({ aioNr }) => aioNr },
  },
  {
    title: 'latency p99.9 of each round, ms',
    lines: {
      ring: latencyOf('ring'),
      io_getevents: latencyOf('io_getevents'),
      'no kaio': ({ machine }) => machine.p999Ms,
    },
  },
];

const WIDTH = 960;
const PANEL_HEIGHT = 200;
const TOP = 50;
const DASHES = ['solid', 'dashed'];
/** Of Okabe and Ito. */
const COLORS = ['#0072b2', '#d55e00', '#009e73'];

/** All panels one below the other as SVG; the first run is drawn solid, the next one dashed. */
export function plotSoak(runs: Readonly<Record<string, readonly Quiet[]>>): string {
  const placed = panels.map((panel, at) => ({ ...panel, at, top: TOP + at * PANEL_HEIGHT }));
  const option = {
    animation: false,
    backgroundColor: '#ffffff',
    title: placed.map(({ title: text, top }) => ({ text, left: 60, top: top - 44, textStyle: { fontSize: 13 } })),
    legend: placed.map(({ lines, top }) => ({ data: namesOf(runs, lines), left: 60, top: top - 24, itemGap: 26 })),
    grid: placed.map(({ top }) => ({ left: 60, right: 30, top, height: PANEL_HEIGHT - 80 })),
    xAxis: placed.map(({ at }) => ({ gridIndex: at, type: 'value', name: 's', max: 'dataMax' })),
    yAxis: placed.map(({ at }) => ({ gridIndex: at, type: 'value', min: 0 })),
    series: placed.flatMap(({ lines, at }) => seriesOf(runs, lines, at)),
  };
  return render(option, WIDTH, TOP + panels.length * PANEL_HEIGHT);
}

function namesOf(runs: object, lines: Panel['lines']): string[] {
  return Object.keys(runs).flatMap((run) => Object.keys(lines).map((name) => `${name} (${run})`));
}

function seriesOf(runs: Readonly<Record<string, readonly Quiet[]>>, lines: Panel['lines'], panel: number): object[] {
  return Object.entries(runs).flatMap(([run, samples], dash) =>
    Object.entries(lines).map(([name, value], at) => ({
      name: `${name} (${run})`,
      type: 'line',
      xAxisIndex: panel,
      yAxisIndex: panel,
      symbol: 'none',
      color: COLORS[at],
      lineStyle: { type: DASHES[dash], width: 1.5 },
      data: samples.map((sample) => [Math.round(sample.seconds), value(sample)]),
    })),
  );
}
