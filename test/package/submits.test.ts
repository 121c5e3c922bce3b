import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PROMPT_SLICE_REQUESTS } from '../../src/engine/policy.ts';
import { scratchFolder } from '../support/scratch.ts';
import { mustRun, root, run } from './installed.ts';

/** One iocb as strace, an independent reader of the kernel's structures, decodes it. */
interface Decoded {
  opcode: string;
  fildes: number;
  nbytes: number;
  offset: number;
}

const folder = scratchFolder();

/** What stands in the way of tracing here; false where nothing does. */
function untraceable(): string | false {
  if (run('sh', ['-c', 'command -v strace']).status !== 0) return 'strace is not installed';
  const { status, stderr } = run('strace', ['-o', '/dev/null', 'true']);
  return status !== 0 && `strace may not trace here: ${stderr.trim()}`;
}

/** The requests of each io_submit call with which kaio wrote the job's files. */
function tracedSubmits(size: string): Decoded[][] {
  const log = join(folder, 'strace.log');
  const calls = 'trace=io_setup,io_submit,io_getevents,io_destroy';
  // -s is also how much of an array is shown: all of the largest slice, on storage that completes requests within the call.
  // --seccomp-bpf stops the program for these calls alone. (-y, which would name the files, takes so long over each call that the
  // engine, rightly, submits off the event loop.)
  const strace = ['-f', '-s', String(PROMPT_SLICE_REQUESTS), '--seccomp-bpf', '-e', calls, '-o', log];
  const job = [process.execPath, join(root, 'examples/out/hundred-writes.js'), '--dir', folder, '--size', size];
  mustRun('strace', [...strace, ...job]);
  const submits = [...readFileSync(log, 'utf8').matchAll(/io_submit\(0x\w+, (\d+), \[(.*)\]/g)].map(
    ([, count, iocbs]) => {
      const decoded = decode(iocbs!);
      expect(decoded, 'strace shows each iocb of the call').toHaveLength(Number(count));
      return decoded;
    },
  );
  // The warm-up ends with reads, and nothing but the job reads or writes afterwards.
  const warm = submits.findLastIndex((iocbs) => iocbs.some(({ opcode }) => opcode === 'IOCB_CMD_PREAD'));
  const isTransfer = ({ opcode }: Decoded) => !opcode.endsWith('SYNC');
  return submits
    .slice(warm + 1)
    .map((iocbs) => iocbs.filter(isTransfer))
    .filter((iocbs) => iocbs.length > 0);
}

function decode(iocbs: string): Decoded[] {
  const fields = /aio_lio_opcode=(\w+).*?aio_fildes=(\d+)(?:.*aio_nbytes=(\d+), aio_offset=(\d+))?/;
  return iocbs.split(/\}, \{(?=aio_data=)/).map((iocb) => {
    const [, opcode = iocb, ...numbers] = fields.exec(iocb) ?? [];
    const [fildes = -1, nbytes = -1, offset = -1] = numbers.map(Number);
    return { opcode, fildes, nbytes, offset };
  });
}

/** The bytes of each descriptor's file that the requests cover, as [first, end) joined where they touch. */
function covered(requests: Decoded[]): [number, number][][] {
  const files = new Map<number, [number, number][]>();
  for (const { fildes, offset, nbytes } of [...requests].sort((one, other) => one.offset - other.offset)) {
    const spans = files.get(fildes) ?? [];
    const last = spans.at(-1);
    if (last !== undefined && last[1] === offset) last[1] = offset + nbytes;
    else spans.push([offset, offset + nbytes]);
    files.set(fildes, spans);
  }
  return [...files.values()];
}

/** Runs of the job before the number of its calls counts as too large. */
const ATTEMPTS = 4;

test.for([
  ['4096', 4096, 5],
  ['1MiB', 1024 ** 2, 20],
] as const)(
  'a hundred writes of %s go to the kernel in a few io_submit calls, each to its file, whole and once',
  { timeout: 240_000 },
  ([option, bytes, most], { skip }) => {
    const reason = untraceable();
    if (reason) skip(reason);
    // That each descriptor was that of the right file, the job itself has seen: it read all of them back by name.
    const whole = Array.from({ length: 100 }, () => [[0, bytes]]);
    const calls: number[] = [];
    // The engine submits less in one call when calls take long, as they do under strace on a busy machine: the best run counts.
    while (calls.length < ATTEMPTS && Math.min(...calls) > most) {
      const submits = tracedSubmits(option);
      expect(new Set(submits.flat().map(({ opcode }) => opcode))).toEqual(new Set(['IOCB_CMD_PWRITE']));
      expect(covered(submits.flat())).toEqual(whole);
      calls.push(submits.length);
    }
    expect(Math.min(...calls), `calls in each run: ${calls.join(', ')}`).toBeLessThanOrEqual(most);
  },
);
