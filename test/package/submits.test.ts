import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mustRun, root, run, temporaryFolder } from './installed.ts';

/** One iocb as strace, an independent reader of the kernel's structures, decodes it. */
interface Decoded {
  opcode: string;
  path: string;
  nbytes: number;
  offset: number;
}

let folder: string;

beforeEach(() => {
  folder = temporaryFolder('submits');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What stands in the way of tracing here; false where nothing does. */
function untraceable(): string | false {
  if (run('sh', ['-c', 'command -v strace']).status !== 0) return 'strace is not installed';
  const { status, stderr } = run('strace', ['-o', '/dev/null', 'true']);
  return status !== 0 && `strace may not trace here: ${stderr.trim()}`;
}

/** The requests of each io_submit call of the main job that carried writes to its files, those of the warm-up left out. */
function tracedSubmits(size: string): Decoded[][] {
  const log = join(folder, 'strace.log');
  const calls = 'trace=io_setup,io_submit,io_getevents,io_destroy';
  // -y names the file behind each descriptor, -s is also how much of an array is shown, and --seccomp-bpf stops the program for
  // these calls alone.
  const strace = ['-f', '-y', '-s', '32', '--seccomp-bpf', '-e', calls, '-o', log];
  const job = [process.execPath, join(root, 'examples/out/hundred-writes.js'), '--dir', folder, '--size', size];
  mustRun('strace', [...strace, ...job]);
  const submits = [...readFileSync(log, 'utf8').matchAll(/io_submit\(0x\w+, \d+, \[(.*)\]/g)].map(([, iocbs]) =>
    decode(iocbs!),
  );
  const writes = submits.filter((iocbs) => iocbs.some(({ opcode }) => opcode === 'IOCB_CMD_PWRITE'));
  return writes.slice(writes.findIndex((iocbs) => iocbs.length > 16));
}

function decode(iocbs: string): Decoded[] {
  const fields = /aio_lio_opcode=(\w+).*?aio_fildes=\d+<(.*?)>(?:.*aio_nbytes=(\d+), aio_offset=(\d+))?/;
  return iocbs.split(/\}, \{(?=aio_data=)/).map((iocb) => {
    const [, opcode = iocb, path = '', nbytes, offset] = fields.exec(iocb) ?? [];
    return { opcode, path, nbytes: Number(nbytes), offset: Number(offset) };
  });
}

/** The bytes of each file that the requests cover, as [first, end) joined where they touch. */
function covered(requests: Decoded[]): Map<string, [number, number][]> {
  const files = new Map<string, [number, number][]>();
  for (const { path, offset, nbytes } of [...requests].sort((one, other) => one.offset - other.offset)) {
    const name = path.split('/').at(-1)!;
    const spans = files.get(name) ?? [];
    const last = spans.at(-1);
    if (last !== undefined && last[1] === offset) last[1] = offset + nbytes;
    else spans.push([offset, offset + nbytes]);
    files.set(name, spans);
  }
  return files;
}

test.for([
  ['4096', 4096, 5],
  ['1MiB', 1024 ** 2, 20],
] as const)(
  'a hundred writes of %s go to the kernel in a few io_submit calls, each to its file, whole and once',
  ([option, bytes, calls], { skip }) => {
    const reason = untraceable();
    if (reason) skip(reason);
    const submits = tracedSubmits(option);
    const requests = submits.flat();
    expect(new Set(requests.map(({ opcode }) => opcode))).toEqual(new Set(['IOCB_CMD_PWRITE']));
    const whole = Array.from({ length: 100 }, (_, index): [string, [number, number][]] => [
      `file-${index}`,
      [[0, bytes]],
    ]);
    expect(covered(requests)).toEqual(new Map(whole));
    expect(submits.length).toBeLessThanOrEqual(calls);
  },
);
