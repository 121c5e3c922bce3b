// The number of a closed descriptor soon belongs to another file: what was requested of the old one must never reach the new.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { openDescriptors } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();
const FILES = 16;
const PIECES = 4;
const PIECE_BYTES = 64 * 1024;

const path = (file: number) => `${folder}/${file}`;

/** Opens one file after another, writes it full of its own number, and closes it while the writes are on their way. */
async function writeAndClose(context: AioContext, files: readonly number[], rounds: number): Promise<Set<number>> {
  const descriptors = new Set<number>();
  const buffers = Array.from({ length: PIECES }, () => context.allocate(PIECE_BYTES));
  for (let round = 0; round < rounds; round++) {
    const number = files[round % files.length]!;
    const file = await context.open(path(number), 'r+');
    descriptors.add(file.fd);
    for (const buffer of buffers) buffer.fill(number);
    const writes = buffers.map((buffer, at) => file.write(buffer, 0, PIECE_BYTES, at * PIECE_BYTES));
    // Sometimes before they are submitted, sometimes while they are in flight.
    if (round % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
    const closed = file.close();
    for (const { bytesWritten } of await Promise.all(writes)) expect(bytesWritten).toBe(PIECE_BYTES);
    await closed;
  }
  for (const buffer of buffers) buffer[Symbol.dispose]();
  return descriptors;
}

test('a reused descriptor never receives an old write', async () => {
  for (let file = 0; file < FILES; file++) writeFileSync(path(file), Buffer.alloc(PIECES * PIECE_BYTES, file));
  const before = openDescriptors();
  const context = new AioContext();
  const opened = openDescriptors();
  const shares = Array.from({ length: 4 }, (_, share) => [share, share + 4, share + 8, share + 12]);
  const used = await Promise.all(shares.map((files) => writeAndClose(context, files, 100)));
  // 400 files were open, and few numbers were used: or nothing was reused and nothing is shown.
  expect(new Set(used.flatMap((numbers) => [...numbers])).size).toBeLessThan(40);
  expect(openDescriptors()).toBe(opened);
  await context.close();
  expect(openDescriptors()).toBe(before);
  for (let file = 0; file < FILES; file++) {
    expect(readFileSync(path(file)).equals(Buffer.alloc(PIECES * PIECE_BYTES, file)), `file ${file}`).toBe(true);
  }
});
