import { ratioText } from '../statistics.ts';
import { table } from '../table.ts';
import type { StallResult, StallTable } from './stall.ts';

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
    'relative',
    'CPU µs a request',
    'inline',
  ];
  const lines = rows.flatMap(({ row, engines }) =>
    Object.entries(engines).map(([name, result], i) => [
      i === 0 ? row.place : '',
      i === 0 ? row.name : '',
      name,
      ...(typeof result === 'string' ? [result, '', '', '', '', '', ''] : cells(name, result)),
    ]),
  );
  return `## What submitting does to the event loop

All requests of a row are made in one turn. *naive* is a single io_submit for all of them on the event loop, *fs* is \`fs.read\` and \`fs.write\`
with four pool threads. Each is one process that does the row again and again, in ${trials} rounds that alternate with those of the others; another
one is watched. Medians of the rounds, of the sleeps the most; *relative* is the rate in a round beside that of *naive* in the same round: the
median, the least and the greatest. A sleep is a voluntary context switch of the event loop's thread between the beginning and the end of an
io_submit. Submits and turns are the longest of a round. The longest turn contains making the requests, which *fs* and *kaio* are given
callbacks for.

${table(head, lines)}`;
}

function cells(
  name: string,
  { longestTurnSubmitMs, sleeps, longestTurnMs, mibPerSecond, relative, cpuUs, inlineShare }: StallResult,
): string[] {
  const submits = name !== 'fs';
  return [
    submits ? longestTurnSubmitMs.toFixed(2) : '',
    submits ? String(sleeps) : '',
    // Where one io_submit takes up the whole run there is no second turn to measure to.
    Math.max(longestTurnMs, longestTurnSubmitMs).toFixed(1),
    mibPerSecond.toFixed(mibPerSecond < 10 ? 1 : 0),
    ratioText(relative),
    cpuUs.toFixed(1),
    inlineShare === undefined ? '' : `${(inlineShare * 100).toFixed(0)} %`,
  ];
}
