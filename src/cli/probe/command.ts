import { parseArgs } from 'node:util';
import { type Command, type Terminal, UsageError } from '../command.ts';
import { probe } from './facts.ts';
import { report } from './report.ts';

const help = `Usage: kaio probe PATH [--json]

Can this kernel, this container, this mount do asynchronous direct I/O? Nothing is taken on trust: system calls are made and requests
timed. PATH is a folder, a file or a block device; a file or a device is only read. Writes go to a scratch file of 8 MiB beside it,
which has no name and so cannot stay behind.

  --json          everything that was found, as JSON
  -h, --help      show this help

The table says of each kind of request:
  in the kernel   asynchronous: io_submit returns and the kernel goes on by itself; waits first: the same, but io_submit sleeps before;
                  waits: io_submit sleeps until all is done; immediate: all is done when it returns, by work and not by waiting
  io_submit       how long the call held the thread, and completion how long it was until the result was there: medians of 4 KiB requests
  RWF_NOWAIT      whether the request was done with the flag by which kaio asks not to wait, refused, or the flag is not known

read, overwrite, reserved write (to space from fallocate) and append (which makes the file longer) go past the page cache.

Exit codes: 0 yes, at least in part; 1 no; 2 wrong use, or nothing can be tried

Examples:
  kaio probe /var/lib/data
  kaio probe --json /dev/nvme0n1
`;

async function run(args: string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { json: { type: 'boolean' } } });
  const [path] = positionals;
  if (path === undefined || positionals.length > 1) throw new UsageError('give one folder, file or block device');
  const facts = await probe(path);
  terminal.out(values.json ? `${JSON.stringify(facts, undefined, 2)}\n` : report(facts, terminal));
  return facts.verdict.answer === 'no' ? 1 : 0;
}

export const command: Command = { summary: 'whether a folder, file or device does asynchronous I/O', help, run };
