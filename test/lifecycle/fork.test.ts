// A fork while direct I/O is in flight shares pages that the device writes to; without MADV_DONTFORK the child can get the data and
// the parent not (open(2), NOTES on O_DIRECT).
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { binding } from '../../src/raw/binding.ts';
import { Arena, addressOf } from '../../src/raw/index.ts';
import { scratchFolder } from '../support/scratch.ts';

const PIECE_BYTES = 128 * 1024;
const PIECES = 32;

test('children that are spawned meanwhile change nothing of what is read', async () => {
  const path = `${scratchFolder()}/file`;
  const content = Buffer.alloc(PIECES * PIECE_BYTES);
  for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(at, at);
  writeFileSync(path, content);
  await using context = new AioContext();
  await using file = await context.open(path);
  const buffers = Array.from({ length: PIECES }, () => context.allocate(PIECE_BYTES));
  let spawning = true;
  let wrong = 0;
  let rounds = 0;
  const children = (async () => {
    // On a busy machine thirty of them may come and go within one round.
    for (let child = 0; child < 30 || rounds < 2; child++) await promisify(execFile)('true');
    spawning = false;
  })();
  while (spawning) {
    for (const buffer of buffers) buffer.fill(0);
    await Promise.all(buffers.map((buffer, at) => file.read(buffer, 0, PIECE_BYTES, at * PIECE_BYTES)));
    // A child that writes to a shared page would leave zeros here.
    for (const [at, buffer] of buffers.entries()) {
      if (!buffer.equals(content.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES))) wrong++;
    }
    rounds++;
  }
  await children;
  expect(wrong).toBe(0);
  expect(rounds).toBeGreaterThan(1);
  for (const buffer of buffers) buffer[Symbol.dispose]();
});

/** The flags of the mapping that an address lies in, as in proc(5), /proc/pid/smaps. */
function mappingFlags(address: bigint): string[] {
  let inside = false;
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) /.exec(line);
    if (range !== null) inside = BigInt(`0x${range[1]}`) <= address && address < BigInt(`0x${range[2]}`);
    else if (inside && line.startsWith('VmFlags:')) return line.slice('VmFlags:'.length).trim().split(' ');
  }
  return [];
}

test('the memory of a context is not copied into children', async () => {
  await using context = new AioContext();
  using buffer = context.allocate(4096);
  // "dc": do not copy on fork. Newer kernels copy pinned pages at once, and the test above cannot tell.
  expect(mappingFlags(addressOf(buffer))).toContain('dc');
});

test('that is asked for by kaio itself, though V8 may have asked already', () => {
  const native = binding();
  const advices: [ArrayBufferLike | ArrayBufferView, number][] = [];
  const arena = new Arena(
    65536,
    {},
    {
      ...native,
      madvise: (memory, advice) => {
        advices.push([memory, advice]);
        return native.madvise(memory, advice);
      },
    },
  );
  expect(advices).toContainEqual([arena.buffer, native.MADV_DONTFORK]);
});
