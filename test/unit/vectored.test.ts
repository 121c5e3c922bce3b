// readv and writev: any number of buffers of any memory, of any lengths, as one request.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { outcomeOf } from '../support/outcome.ts';
import { Random } from '../support/random.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
const BYTES = 2 * 1024 * 1024;
const content = Buffer.alloc(BYTES);
new Random(3).fill(content);

const context = new AioContext({ memory: 16 << 20 });
afterAll(() => context.close());
beforeEach(() => writeFileSync(path, content));

type Make = (length: number) => Buffer;
const pool: Make = (length) => context.allocate(length);
const foreign: Make = (length) => Buffer.alloc(length);
const dispose = (buffer: Buffer): void => {
  if (Symbol.dispose in buffer) (buffer as Buffer & Disposable)[Symbol.dispose]();
};

const alternately = (length: number, at: number): Buffer => (at % 2 === 0 ? pool(length) : foreign(length));

const shapes: [string, number[], (length: number, at: number) => Buffer][] = [
  ['one buffer of the pool', [8192], pool],
  ['eight buffers of the pool, as many as an iovec table has', new Array(8).fill(4096), pool],
  ['nine buffers of the pool', new Array(9).fill(4096), pool],
  ['the pool with more than one part takes', [524288, 4096], pool],
  ['large buffers of the pool', [1048576, 524288], pool],
  ['buffers of the pool whose lengths the device cannot stop at', [100, 3996, 4096], pool],
  ['one foreign buffer', [8192], foreign],
  ['foreign buffers of odd lengths', [1, 4095, 512, 3, 3581], foreign],
  ['foreign buffers larger than a piece', [524288, 1048576], foreign],
  ['a mixture', [4096, 4096, 8192, 512, 3584], alternately],
  ['1500 buffers of the pool', new Array(1500).fill(512), (length, at) => slice(length, at)],
  ['1500 foreign buffers', new Array(1500).fill(512), foreign],
  ['empty buffers among others', [0, 4096, 0, 0, 4096, 0], foreign],
];

/** Parts of one large buffer: a run of its own for each would not fit. */
const shared = context.allocate(1500 * 512);
function slice(length: number, at: number): Buffer {
  return shared.subarray(at * length, (at + 1) * length);
}

describe.each(['auto', false] as const)('with direct: %s', (direct) => {
  test.each(shapes)('readv fills %s in order', async (_name, lengths, make) => {
    const file = await context.open(path, 'r', { direct });
    const buffers = lengths.map(make);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const result = await file.readv(buffers, 4096);
    expect(result.bytesRead).toBe(total);
    expect(result.buffers).toBe(buffers);
    expect(Buffer.concat(buffers).equals(content.subarray(4096, 4096 + total))).toBe(true);
    await file.close();
    buffers.forEach(dispose);
  });

  test.each(shapes)('writev takes %s in order', async (_name, lengths, make) => {
    const file = await context.open(path, 'r+', { direct });
    const buffers = lengths.map(make);
    const random = new Random(4);
    for (const buffer of buffers) random.fill(buffer);
    const bytes = Buffer.concat(buffers);
    const result = await file.writev(buffers, 4096);
    expect(result.bytesWritten).toBe(bytes.length);
    expect(result.buffers).toBe(buffers);
    const expected = Buffer.concat([content.subarray(0, 4096), bytes, content.subarray(4096 + bytes.length)]);
    expect(readFileSync(path).equals(expected)).toBe(true);
    await file.close();
    buffers.forEach(dispose);
  });
});

test('of memory that is transferred away meanwhile are errors, and nothing lands in what is left', async () => {
  const file = await context.open(path, 'r+', { direct: 'auto' });
  const MIB = 1 << 20;
  await file.write(Buffer.alloc(2 * MIB, 'f'), 0, 2 * MIB, 0);
  const gone = new Uint8Array(MIB);
  const left = new Uint8Array(MIB);
  const one = new Uint8Array(2 * MIB);
  const reads = [file.readv([gone, left], 0), file.read(one, 0, 2 * MIB, 0)];
  for (const view of [gone, one]) structuredClone(view.buffer, { transfer: [view.buffer] });
  const outcomes = await Promise.all(reads.map((read) => outcomeOf(() => read)));
  expect(outcomes).toEqual(['EFAULT', 'EFAULT']);
  expect(left.every((byte) => byte === 0)).toBe(true);

  const first = new Uint8Array(MIB).fill(0x61);
  const second = Buffer.alloc(MIB, 'b');
  const written = outcomeOf(() => file.writev([first, second], 0));
  structuredClone(first.buffer, { transfer: [first.buffer] });
  expect(await written).toBe('EFAULT');
  expect(readFileSync(path).includes('b')).toBe(false);
  await file.close();
});

test('no buffers are nothing to transfer', async () => {
  const file = await context.open(path, 'r+', { direct: false });
  expect(await file.readv([], 0)).toEqual({ bytesRead: 0, buffers: [] });
  expect(await file.writev([Buffer.alloc(0)], 0)).toMatchObject({ bytesWritten: 0 });
  expect((await file.stat()).size).toBe(BYTES);
  await file.close();
});

test('a vector ends where the file does, and leaves the rest of its buffers alone', async () => {
  const file = await context.open(path, 'r', { direct: false });
  for (const make of [pool, foreign]) {
    const buffers = [make(4096), make(4096), make(4096)];
    for (const buffer of buffers) buffer.fill(9);
    expect((await file.readv(buffers, BYTES - 5000)).bytesRead).toBe(5000);
    const bytes = Buffer.concat(buffers);
    expect(bytes.subarray(0, 5000).equals(content.subarray(BYTES - 5000))).toBe(true);
    expect(bytes.subarray(5000).every((byte) => byte === 9)).toBe(true);
    buffers.forEach(dispose);
  }
  await file.close();
});

test('the caller may change the array once the call has returned', async () => {
  const file = await context.open(path, 'r', { direct: false });
  const buffers = [foreign(4096), foreign(4096)];
  const [first, second] = buffers;
  const reading = file.readv(buffers, 0);
  buffers.length = 0;
  expect((await reading).bytesRead).toBe(8192);
  expect(Buffer.concat([first!, second!]).equals(content.subarray(0, 8192))).toBe(true);
  await file.close();
});

test('a callback takes the place of the promise', async () => {
  const file = await context.open(path, 'r+', { direct: false });
  const buffers = [Buffer.alloc(10), Buffer.alloc(20)];
  const called: unknown[] = [];
  expect(file.readv(buffers, 0, (...given) => called.push(...given))).toBeUndefined();
  expect(file.writev(buffers, 0, (...given) => called.push(...given))).toBeUndefined();
  expect(called).toEqual([]);
  await file.drain();
  expect(called.filter((value) => value === 30)).toHaveLength(2);
  expect(called.filter((value) => value === buffers)).toHaveLength(2);
  await file.close();
});

describe('an array that is not what it looks like', () => {
  const opened = () => context.open(path, 'r', { direct: 'auto' });

  test('with holes is refused as Node refuses it, and keeps no memory', async () => {
    const file = await opened();
    const { freeBytes } = context.stats();
    const buffer = context.allocate(4096);
    const holes: Buffer[] = [buffer];
    holes[2] = Buffer.alloc(1);
    expect(await outcomeOf(() => file.readv(holes, 0))).toBe('ERR_INVALID_ARG_TYPE');
    buffer[Symbol.dispose]();
    expect(context.stats().freeBytes).toBe(freeBytes);
    await file.close();
  });

  test('with methods of its own has its elements taken, once, and nothing else', async () => {
    const file = await opened();
    const [mine, other] = [context.allocate(4096), context.allocate(4096)];
    const seen = [mine];
    function Strange(): Buffer[] {
      return seen;
    }
    const strange = Object.assign([mine], { constructor: { [Symbol.species]: Strange } });
    for (const list of [Object.assign([mine], { map: () => seen }), strange]) {
      mine.fill(0);
      const reading = file.readv(list, 0);
      seen[0] = other;
      await reading;
      expect(mine.equals(content.subarray(0, 4096))).toBe(true);
      expect(other.every((byte) => byte === 0)).toBe(true);
      seen[0] = mine;
    }
    dispose(mine);
    dispose(other);
    await file.close();
  });

  test('with a getter that disposes what came before it is refused', async () => {
    const file = await opened();
    const buffer = context.allocate(4096);
    const get = (): Buffer => {
      dispose(buffer);
      other ??= context.allocate(4096);
      return Buffer.alloc(1);
    };
    let other: Buffer | undefined;
    const list = Object.defineProperty([buffer, buffer], 1, { get });
    expect(await outcomeOf(() => file.readv(list, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    expect(other?.every((byte) => byte === 0)).toBe(true);
    if (other !== undefined) dispose(other);
    await file.close();
  });
});
