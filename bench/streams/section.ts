import { table } from '../table.ts';
import { figuresOf, type StreamRow, type StreamTable } from './streams.ts';

const TITLES: Readonly<Record<StreamRow['task'], string>> = {
  read: 'reading what no cache has',
  'read warm': 'reading what the page cache has',
  write: 'writing a new file until it is on the disk',
  copy: 'copying what no cache has, until it is on the disk',
};

/** The table of streams as Markdown. */
export function streamSection({ rows, rounds, prefix, bytes }: StreamTable): string {
  const head = ['task', 'who', 'MB/s', 'relative', 'CPU µs/MiB', 'memory, MiB', 'of the pool'];
  const lines = rows.map((row, i) => {
    const { best, middle, cpuUs, peakMiB, poolMiB } = figuresOf(row.results);
    const ours = rows.find(({ task, peer }) => task === row.task && peer === 'kaio')!;
    const number = (value: number, digits: number): string => (Number.isNaN(value) ? '' : value.toFixed(digits));
    return [
      row.task === rows[i - 1]?.task ? '' : TITLES[row.task],
      row.peer,
      `${best.toFixed(0)} (${middle.toFixed(0)})`,
      (best / figuresOf(ours.results).best).toFixed(2),
      cpuUs.toFixed(0),
      number(peakMiB, 0),
      row.peer.startsWith('kaio') && row.task !== 'copy' ? number(poolMiB, 1) : '',
    ];
  });
  const note =
    prefix === ''
      ? ''
      : ` Every peer was run by \`${prefix}\`, on a machine with other work: the ratios count, not the rates.`;
  return `## Streams and copies

A file of ${bytes / 2 ** 30} GiB of random data, each peer in turn, ${rounds} rounds: the best, in brackets the median; *relative* is best against kaio's
best.${note}
Page caches are dropped beforehand unless it says otherwise, and what is written counts when fsync has returned. kaio has its
defaults, 8 requests of 256 KiB for reading and of 512 KiB for writing, and *zeroCopy* or *preallocate* where that is said; *fs* has its
own, 64 KiB and 16 KiB. The memory is the most that the process had, some 55 MiB of it Node with kaio loaded; of the pool it is bounded by \`inFlight\` times
\`highWaterMark\`, and the chunk that the consumer has. CPU of the page cache's own writers is nobody's here.

${table(head, lines)}`;
}
