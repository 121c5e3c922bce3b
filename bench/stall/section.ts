import { table } from '../table.ts';
import type { StallResult } from './child.ts';
import type { StallTable } from './stall.ts';

/** The stall table as Markdown. */
export function stallSection({ rows, trials }: StallTable): string {
  const head = [
    'where',
    'requests of one turn',
    'who',
    'submits of a turn, ms',
    'slept in them',
    'longest turn, ms',
    'MiB/s',
    'CPU µs a request',
    'inline',
  ];
  const lines = rows.flatMap(({ row, engines }) =>
    Object.entries(engines).map(([name, result], i) => [
      i === 0 ? row.place : '',
      i === 0 ? row.name : '',
      name,
      ...(typeof result === 'string' ? [result, '', '', '', '', ''] : cells(name, result)),
    ]),
  );
  return `## What submitting does to the event loop

All requests of a row are made in one turn. *naive* is a single io_submit for all of them on the event loop, *fs* is \`fs.read\` and \`fs.write\`
with four pool threads. Medians of ${trials} trials, of the sleeps the most; a sleep is a voluntary context switch of the event loop's thread
between the beginning and the end of an io_submit. The longest turn contains making the requests and their promises.

${table(head, lines)}`;
}

function cells(
  name: string,
  { longestTurnSubmitMs, sleeps, longestTurnMs, mibPerSecond, cpuUs, inlineShare }: StallResult,
): string[] {
  const submits = name !== 'fs';
  return [
    submits ? longestTurnSubmitMs.toFixed(2) : '',
    submits ? String(sleeps) : '',
    // Where one io_submit takes up the whole run there is no second turn to measure to.
    Math.max(longestTurnMs, longestTurnSubmitMs).toFixed(1),
    mibPerSecond.toFixed(mibPerSecond < 10 ? 1 : 0),
    cpuUs.toFixed(1),
    inlineShare === undefined ? '' : `${(inlineShare * 100).toFixed(0)} %`,
  ];
}
