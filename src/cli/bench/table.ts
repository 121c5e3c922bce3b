import type { BenchOptions } from './options.ts';
import type { EngineResult } from './run.ts';

const SHARES = [0.5, 0.9, 0.99, 0.999] as const;
const BAR_COLUMNS = 40;

/** The figures of a result that people and programs read alike. */
export interface Figures {
  readonly engine: string;
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly bestPerSecond: number;
  readonly mebibytesPerSecond: number;
  readonly userUsPerRequest: number;
  readonly systemUsPerRequest: number;
  /** By name: p50, p90, p99, p99.9. */
  readonly latencyUs: Readonly<Record<string, number>>;
}

export function figuresOf(result: EngineResult, blockBytes: number): Figures {
  const { engine, requests, wallMs, userUs, systemUs, latencies, perSecond } = result;
  return {
    engine,
    requests,
    requestsPerSecond: (requests / wallMs) * 1000,
    bestPerSecond: Math.max(...perSecond),
    mebibytesPerSecond: (requests * blockBytes) / 2 ** 20 / (wallMs / 1000),
    userUsPerRequest: userUs / requests,
    systemUsPerRequest: systemUs / requests,
    latencyUs: Object.fromEntries(SHARES.map((share) => [`p${share * 100}`, latencies.percentile(share)])),
  };
}

/** The table at the end, and a chart of each engine's latencies. */
export function summary(results: readonly EngineResult[], options: BenchOptions): string {
  const head = ['engine', 'requests/s', 'MiB/s', 'CPU µs', 'p50 µs', 'p90', 'p99', 'p99.9'];
  const rows = results.map((result) => {
    const figures = figuresOf(result, options.blockBytes);
    const cpu = figures.userUsPerRequest + figures.systemUsPerRequest;
    return [
      result.engine,
      figures.requestsPerSecond.toFixed(0),
      figures.mebibytesPerSecond.toFixed(0),
      cpu.toFixed(1),
      ...Object.values(figures.latencyUs).map((us) => us.toFixed(0)),
    ];
  });
  return `${aligned([head, ...rows])}\n${results.map(chart).join('\n')}`;
}

function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!);
  return rows.map((row) => `${row.map(cell).join('  ')}\n`).join('');
}

/** A bar an octave; the longest one spans the chart. */
function chart({ engine, latencies }: EngineResult): string {
  const octaves = latencies.octaves();
  const most = Math.max(...octaves.map(({ count }) => count));
  const lines = octaves.map(({ upTo, count }) => {
    const bar = '█'.repeat(Math.round((count / most) * BAR_COLUMNS)) || (count > 0 ? '▏' : '');
    return `${`≤ ${duration(upTo)}`.padStart(10)}  ${bar} ${((count / latencies.total) * 100).toFixed(2)} %\n`;
  });
  return `latency of ${engine}\n${lines.join('')}`;
}

function duration(us: number): string {
  if (us < 1000) return `${us} µs`;
  return us < 1e6 ? `${(us / 1000).toFixed(0)} ms` : `${(us / 1e6).toFixed(0)} s`;
}
