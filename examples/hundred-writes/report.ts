import type { Result, SubmitStats } from './job.ts';

/** One row of the table: what it is called, and how it reads for one engine. */
type Row = [title: string, cell: (result: Result) => string];

const milliseconds = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`;

const rows: Row[] = [
  ['submitting code had control back after', (r) => milliseconds(r.controlBackMs)],
  ['all was durable after', (r) => milliseconds(r.durableMs)],
  ['HTTP answers per second meanwhile', (r) => r.http.answersPerSecond.toFixed(0)],
  ['HTTP latency, p50', (r) => milliseconds(r.http.p50Ms)],
  ['HTTP latency, p99', (r) => milliseconds(r.http.p99Ms)],
  ['HTTP latency, max', (r) => milliseconds(r.http.maxMs)],
  ['longest pause of the event loop, at most', (r) => milliseconds(r.longestPauseMs)],
  ['times the submitting turn slept', (r) => String(r.sleepsSubmitting)],
  ['CPU used, HTTP server included', (r) => milliseconds(r.cpuMs)],
  ['checksums right', (r) => `${r.checksums.right} of ${r.checksums.right + r.checksums.wrong}`],
];

/** The results as a table of text, one column an engine. */
export function table(results: Result[]): string {
  const cells = [
    ['', ...results.map((result) => result.engine)],
    ...rows.map(([title, cell]) => [title, ...results.map(cell)]),
  ];
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const pad = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!);
  return cells.map((row) => row.map(pad).join('   ').trimEnd()).join('\n');
}

/** A sentence on how kaio submitted. */
export function howSubmitted({
  submits,
  submittedInline,
  jobs,
  submittedOffThread,
  longestSubmitMs,
}: SubmitStats): string {
  return (
    `kaio submitted ${submittedInline} requests (parts of writes, and syncs) in ${submits} calls on the event loop, the longest of ` +
    `${longestSubmitMs.toFixed(2)} ms, and ${submittedOffThread} in ${jobs} jobs off it.`
  );
}

/** One line that says what is under way, on a terminal only: there it replaces the line before. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
