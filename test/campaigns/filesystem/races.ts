// What the tests of file systems race direct I/O against, one file each. Whatever wins, a block holds what somebody wrote to it, or zeros:
// never what the disk held before (STALE), never a mixture. The sizes are right at every moment.
import assert from 'node:assert';
import { fstatSync, ftruncateSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import type { AioContext, AioFile } from '../../../src/index.ts';
import type { Random } from '../../support/random.ts';
import { Peer, PUNCH_HOLE, unknownHere } from './peer.ts';

/** What the disk is full of before: a file system that shows blocks before they are written shows it. */
const STALE = 0x5a;
const BLOCK_BYTES = 4096;
const BLOCKS = 64;
const FILE_BYTES = BLOCKS * BLOCK_BYTES;
const KEPT_FREE = 0.15;

/** Writes most of a file system full and empties it again. */
export function makeStale(folder: string): void {
  const { bsize, bavail } = statfsSync(folder);
  const pieceBytes = 8 << 20;
  const piece = Buffer.alloc(pieceBytes, STALE);
  const pieces = Math.floor((bsize * bavail * (1 - KEPT_FREE)) / pieceBytes);
  for (let at = 0; at < pieces; at++) writeFileSync(`${folder}/stale-${at}`, piece, { flush: at === pieces - 1 });
  for (const name of readdirSync(folder).filter((found) => found.startsWith('stale-'))) rmSync(`${folder}/${name}`);
}

export interface Ground {
  context: AioContext;
  path: string;
  random: Random;
}

/** The file in every way: past the page cache, through it, and in a mapping of another process. */
interface Arena {
  direct: AioFile;
  buffered: AioFile;
  peer: Peer;
  random: Random;
  context: AioContext;
}

/** Each sector of 512 bytes is full of one byte, one of those that may be there. A mapping may change while it is copied. */
function expectBlocks(bytes: Uint8Array, allowed: readonly number[], where: string): void {
  if (where === 'mapped') {
    assert.ok(
      bytes.every((byte) => allowed.includes(byte)),
      `a mapping shows another byte than ${allowed}`,
    );
    return;
  }
  for (let at = 0; at < bytes.length; at += 512) {
    const value = bytes[at]!;
    assert.ok(allowed.includes(value), `${where}: ${value} at ${at}, not one of ${allowed}`);
    assert.ok(
      bytes.subarray(at, at + 512).every((byte) => byte === value),
      `${where}: torn at ${at}`,
    );
  }
}

async function write(file: AioFile, block: number, byte: number, blocks = 1): Promise<void> {
  const memory = file.context.allocate(blocks * BLOCK_BYTES).fill(byte);
  const { bytesWritten } = await file.write(memory, 0, memory.length, block * BLOCK_BYTES);
  memory[Symbol.dispose]?.();
  assert.strictEqual(bytesWritten, blocks * BLOCK_BYTES);
}

async function read(file: AioFile, block: number, blocks = 1): Promise<Buffer> {
  const memory = file.context.allocate(blocks * BLOCK_BYTES).fill(0xee);
  const { bytesRead } = await file.read(memory, 0, memory.length, block * BLOCK_BYTES);
  const bytes = Buffer.from(memory.subarray(0, bytesRead));
  memory[Symbol.dispose]();
  return bytes;
}

/** Reads random blocks in random ways as long as something goes on, and says what they may hold. */
async function readMeanwhile(
  { direct, buffered, peer, random }: Arena,
  going: Promise<unknown>,
  allowed: readonly number[],
) {
  let over = false;
  const ended = going.finally(() => {
    over = true;
  });
  let reads = 0;
  while (!over) {
    const block = random.below(BLOCKS - 4);
    const way = random.below(3);
    const bytes =
      way === 0
        ? await peer.load(block * BLOCK_BYTES, 4 * BLOCK_BYTES)
        : await read(way === 1 ? direct : buffered, block, 4);
    expectBlocks(bytes, allowed, ['mapped', 'direct', 'buffered'][way]!);
    reads++;
  }
  await ended;
  return reads;
}

function shuffled(random: Random, count: number): number[] {
  const all = Array.from({ length: count }, (_, at) => at);
  for (let at = count - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [all[at], all[other]] = [all[other]!, all[at]!];
  }
  return all;
}

/** Direct writes fill holes while others read them: zeros or data. */
async function filledHoles(arena: Arena): Promise<void> {
  await arena.direct.truncate(FILE_BYTES);
  const going = Promise.all(shuffled(arena.random, BLOCKS).map((block) => write(arena.direct, block, 0xa1)));
  await readMeanwhile(arena, going, [0, 0xa1]);
  expectBlocks(await read(arena.buffered, 0, BLOCKS), [0xa1], 'afterwards');
}

/** As each extending write is done, the file is at least as long. */
async function extended(arena: Arena): Promise<void> {
  const { direct, random } = arena;
  await Promise.all(
    shuffled(random, BLOCKS).map(async (block) => {
      await write(direct, block, 0xa2);
      const { size } = fstatSync(direct.fd);
      assert.ok(size >= (block + 1) * BLOCK_BYTES, `${size} after block ${block}`);
    }),
  );
  expectBlocks(await read(direct, 0, BLOCKS), [0xa2], 'afterwards');
}

/** Reads at the end of a file that grows: what is there is data. */
async function appended(arena: Arena): Promise<void> {
  const { direct, buffered, random } = arena;
  for (let block = 0; block < BLOCKS; block++) {
    const file = random.chance(0.5) ? direct : buffered;
    const [, seen] = await Promise.all([write(direct, block, 0xa3), read(file, block)]);
    expectBlocks(seen, [0, 0xa3], 'at the end');
  }
  assert.strictEqual(fstatSync(direct.fd).size, FILE_BYTES);
}

/** An extending write beside an allocation: the size is what both need. */
async function allocated({ direct, peer, random }: Arena): Promise<void> {
  for (let at = 0; at + 2 <= BLOCKS; at += 2) {
    const half = random.chance(0.5) ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    const [, result] = await Promise.all([write(direct, at, 0xa4, 2), peer.fallocate(0, at * BLOCK_BYTES, half)]);
    if (unknownHere(result)) return;
    assert.strictEqual(fstatSync(direct.fd).size, (at + 2) * BLOCK_BYTES);
  }
  expectBlocks(await read(direct, 0, BLOCKS), [0xa4], 'afterwards');
}

/** Writes beside a truncation: afterwards there is data or nothing, and zeros where it is extended again. */
async function truncated(arena: Arena): Promise<void> {
  const { direct, buffered, random } = arena;
  for (let times = 0; times < 8; times++) {
    await write(direct, 0, 0xa5, BLOCKS);
    const writes = shuffled(random, BLOCKS)
      .slice(0, 16)
      .map((block) => write(direct, block, 0xa6));
    ftruncateSync(buffered.fd, random.below(FILE_BYTES / 512) * 512);
    await Promise.all(writes);
    ftruncateSync(buffered.fd, FILE_BYTES);
    expectBlocks(await read(random.chance(0.5) ? direct : buffered, 0, BLOCKS), [0, 0xa5, 0xa6], 'afterwards');
  }
}

/** Writes beside holes that are punched: the old data does not come back. */
async function punched(arena: Arena): Promise<void> {
  const { direct, peer, random } = arena;
  for (let times = 0; times < 8; times++) {
    await write(direct, 0, 0xa7, BLOCKS);
    const first = random.below(BLOCKS - 16);
    const punch = peer.fallocate(PUNCH_HOLE, first * BLOCK_BYTES, 16 * BLOCK_BYTES);
    const writes = Promise.all(Array.from({ length: 16 }, (_, at) => write(direct, first + at, 0xa8)));
    await readMeanwhile(arena, Promise.all([punch, writes]), [0, 0xa7, 0xa8]);
    if (unknownHere(await punch)) return;
    expectBlocks(await read(direct, first, 16), [0, 0xa8], 'afterwards');
  }
}

/** A write to blocks that are shared with others leaves those alone. */
async function unshared(arena: Arena): Promise<void> {
  const { direct, buffered, peer, random } = arena;
  const half = BLOCKS / 2;
  for (let times = 0; times < 4; times++) {
    await write(direct, 0, 0xa9, half);
    if (unknownHere(await peer.clone(0, half * BLOCK_BYTES, half * BLOCK_BYTES))) return;
    const writes = shuffled(random, half).map((block) => write(direct, half + block, 0xaa));
    const reads = shuffled(random, half).map(async (block) => {
      expectBlocks(await read(random.chance(0.5) ? direct : buffered, block), [0xa9], 'the source');
    });
    await Promise.all([...writes, ...reads]);
    expectBlocks(await read(direct, half, half), [0xaa], 'the copy');
    expectBlocks(await read(buffered, 0, half), [0xa9], 'the source');
  }
}

/** Buffered writes and stores in a mapping beside direct I/O in other pages: nothing is lost when caches are dropped. */
async function mixed(arena: Arena): Promise<void> {
  const { direct, buffered, peer, random } = arena;
  await direct.truncate(FILE_BYTES);
  const expected = Array.from({ length: BLOCKS }, () => 0);
  for (let times = 0; times < 8; times++) {
    const work = shuffled(random, BLOCKS)
      .slice(0, 40)
      .map((block) => {
        const byte = 1 + random.below(0x40);
        expected[block] = byte;
        const way = random.below(3);
        if (way === 0) return peer.store(block * BLOCK_BYTES, Buffer.alloc(BLOCK_BYTES, byte));
        return write(way === 1 ? direct : buffered, block, byte);
      });
    await Promise.all(work);
    // EIO says that a store met a direct write (exerciser.ts); the data is there all the same.
    await direct.sync().catch((error: { code: string }) => assert.strictEqual(error.code, 'EIO'));
    await direct.sync();
    await peer.evict();
    const whole = await read(random.chance(0.5) ? direct : buffered, 0, BLOCKS);
    for (const [block, byte] of expected.entries()) {
      expectBlocks(whole.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES), [byte], `block ${block}`);
    }
  }
}

export const races: Readonly<Record<string, (arena: Arena) => Promise<void>>> = {
  'holes that are filled': filledHoles,
  'a file that is extended': extended,
  'the end of a file that grows': appended,
  'an allocation beside': allocated,
  'a truncation beside': truncated,
  'holes that are punched': punched,
  'blocks that are shared': unshared,
  'page cache and mapping beside': mixed,
};

/** Runs one of the races on a new file. */
export async function race(name: string, { context, path, random }: Ground): Promise<void> {
  writeFileSync(path, '');
  const direct = await context.open(path, 'r+');
  const buffered = await context.open(path, 'r+', { direct: false });
  const peer = new Peer(path, FILE_BYTES);
  try {
    await races[name]!({ direct, buffered, peer, random, context });
    const whole = readFileSync(path);
    assert.ok(!whole.includes(Buffer.alloc(512, STALE)), 'the file shows what the disk held before');
  } catch (error) {
    throw new Error(`${name}, seed ${random.seed}`, { cause: error });
  } finally {
    await direct.close();
    await buffered.close();
    await peer[Symbol.asyncDispose]();
    rmSync(path);
  }
}
