import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { truncateSync, writeFileSync } from 'node:fs';
import { open as fsOpen } from 'node:fs/promises';
import { text, buffer as whole } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { AioContext, type AioFile, type PoolBuffer, type ReadStreamOptions } from '../../src/index.ts';
import { outcomeOf } from '../support/outcome.ts';
import { eventually, openDescriptors } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';

const BYTES = 300_003;
const folder = scratchFolder();
const path = `${folder}/file`;
const content = randomFillSync(Buffer.alloc(BYTES));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

let context: AioContext;

beforeAll(() => {
  writeFileSync(path, content);
  context = new AioContext({ depth: 32, memory: 8 << 20 });
});
afterAll(() => context.close());

const opened = (direct: boolean | 'auto' = 'auto'): Promise<AioFile> => context.open(path, 'r', { direct });
const streamed = async (options?: ReadStreamOptions) => (await opened()).createReadStream(options);

describe.each([true, false])('direct: %s', (direct) => {
  test('a stream gives out what a stream of FileHandle gives out, chunk for chunk, wherever it begins and ends', async () => {
    const options = fc.record(
      {
        start: fc.nat(BYTES + 10_000),
        length: fc.nat(200_000),
        highWaterMark: fc.integer({ min: 1000, max: 100_000 }),
        inFlight: fc.integer({ min: 1, max: 20 }),
        encoding: fc.constantFrom('utf8' as const, 'hex' as const, 'base64' as const),
      },
      { requiredKeys: ['highWaterMark'] },
    );
    const property = fc.asyncProperty(options, async ({ length, ...rest }) => {
      const range = length === undefined ? rest : { ...rest, end: (rest.start ?? 0) + length };
      const ours = (await opened(direct)).createReadStream(range);
      const theirs = (await fsOpen(path)).createReadStream(range);
      const parts: unknown[] = await theirs.toArray();
      const joined = (chunks: unknown[]) =>
        rest.encoding === undefined ? Buffer.concat(chunks as Buffer[]) : Buffer.from(chunks.join(''));
      expect(joined(await ours.toArray()).equals(joined(parts))).toBe(true);
      expect(ours.bytesRead).toBe(theirs.bytesRead);
    });
    await fc.assert(property, { numRuns: 15 });
  });

  test('a chunk has at most highWaterMark bytes', async () => {
    const lengths = new Set<number>();
    const stream = (await opened(direct)).createReadStream({ start: 1000, end: 9999, highWaterMark: 700 });
    stream.on('data', (chunk: Buffer) => lengths.add(chunk.length));
    await once(stream, 'close');
    expect(Math.max(...lengths)).toBe(700);
    expect(stream.bytesRead).toBe(9000);
  });
});

test("without start a stream begins at the file's own position and moves it on by what it gave out", async () => {
  const file = await opened();
  await file.read(Buffer.alloc(4096), 0, 4096, null);
  const stream = file.createReadStream({ end: 8191, autoClose: false });
  expect((await whole(stream)).equals(content.subarray(4096, 4096 + 8192))).toBe(true);
  const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, null);
  expect(buffer.equals(content.subarray(12288, 16384))).toBe(true);
  await file.close();
});

test('it has the properties and the life of the stream of FileHandle', async () => {
  const file = await opened();
  const stream = file.createReadStream({ start: 5, end: 9 });
  expect(stream).toMatchObject({ start: 5, end: 9, autoClose: true, bytesRead: 0, pending: false, path, fd: file.fd });
  const events: string[] = [];
  for (const name of ['data', 'end', 'close']) stream.on(name, () => events.push(name));
  await once(stream, 'close');
  expect(events).toEqual(['data', 'end', 'close']);
  expect(stream).toMatchObject({ bytesRead: 5, pending: true, fd: null, destroyed: true });
  expect(file.state).toBe('closed');
});

test('autoClose: false leaves the file open at the end and after an error', async () => {
  const file = await opened();
  await once(file.createReadStream({ autoClose: false }).resume(), 'end');
  // What was read ahead beyond the end may still be under way.
  await file.drain();
  expect(file.state).toBe('idle');
  await file.close();
  const writable = await context.open(`${folder}/write-only`, 'w', { direct: 'auto' });
  const stream = writable.createReadStream({ autoClose: false, start: 0 });
  expect(await outcomeOf(() => whole(stream))).toBe('EBADF');
  expect(writable.state).toBe('idle');
  await writable.close();
});

test('a stream that stays at its end has given back its memory, and is destroyed when its file closes', async () => {
  const { buffers, freeBytes } = context.stats();
  const file = await opened();
  const streams = Array.from({ length: 50 }, () => file.createReadStream({ start: 0, end: 9999, autoClose: false }));
  const closed = once(streams[0]!, 'close');
  for (const stream of streams) await once(stream.resume(), 'end');
  expect(await eventually(() => context.stats().buffers === buffers)).toBe(true);
  expect(context.stats().freeBytes).toBe(freeBytes);
  expect(streams[1]).toMatchObject({ destroyed: false, fd: file.fd });
  await file.close();
  expect(streams.every(({ destroyed }) => destroyed)).toBe(true);
  await closed;
});

test('a stream that stays at its end closes the file when it is destroyed, and not with an error', async () => {
  const file = await opened();
  const [failing, other] = [0, 1].map(() => file.createReadStream({ start: 0, autoClose: false }).resume());
  await Promise.all([once(failing!, 'end'), once(other!, 'end')]);
  await expect(once(failing!.destroy(new Error('late')), 'close')).rejects.toThrow('late');
  await file.drain();
  expect(file.state).toBe('idle');
  other!.destroy();
  await once(other!, 'close');
  expect(file.state).toBe('closed');
});

test('a stream that is destroyed by the first who hears of its end closes the file', async () => {
  const file = await opened();
  // What was asked for beyond the end comes late: it is still in flight then.
  const read = file.read.bind(file) as (...args: unknown[]) => void;
  vi.spyOn(file, 'read').mockImplementation(((...args: unknown[]) => {
    const [position, done] = args.splice(3) as [number, (...results: unknown[]) => void];
    const late = position > BYTES ? 50 : 0;
    read(...args, position, (...results: unknown[]) => setTimeout(() => done(...results), late));
  }) as never);
  const stream = file.createReadStream({ highWaterMark: 65536, autoClose: false });
  stream.prependListener('end', () => stream.destroy());
  await once(stream.resume(), 'close');
  expect(file.state).toBe('closed');
});

test('a file does not keep streams alive that are at their end, unless somebody listens for its close', async () => {
  const file = await opened();
  const streams = Array.from({ length: 20 }, () => file.createReadStream({ start: 0, end: 99, autoClose: false }));
  for (const stream of streams) await once(stream.resume(), 'end');
  let closed = false;
  const heard = file.createReadStream({ start: 0, end: 99, autoClose: false }).resume();
  heard.on('close', () => {
    closed = true;
  });
  await once(heard, 'end');
  streams.push(heard);
  const refs = streams.splice(0).map((stream) => new WeakRef(stream));
  const alive = (): number => {
    collectGarbage();
    return refs.filter((ref) => ref.deref() !== undefined).length;
  };
  expect(await eventually(() => alive() <= 2)).toBe(true);
  await file.close();
  expect(await eventually(() => closed)).toBe(true);
});

test('emitClose: false emits no close', async () => {
  const stream = await streamed({ emitClose: false });
  let closed = false;
  stream.on('close', () => {
    closed = true;
  });
  await once(stream.resume(), 'end');
  expect(await eventually(() => stream.closed)).toBe(true);
  expect(closed).toBe(false);
});

test('nothing more is read than inFlight chunks while nobody consumes', async () => {
  const highWaterMark = 16384;
  const stream = await streamed({ highWaterMark, inFlight: 4 });
  const before = context.stats().bytesRead;
  for (let chunk = 0; chunk < 8; chunk++) {
    while (stream.read(highWaterMark) === null) await once(stream, 'readable');
  }
  // Until everything that was asked for has come: no clock tells, but nothing more can come then.
  expect(await eventually(() => context.stats().inFlight === 0)).toBe(true);
  await sleep(20);
  const consumed = 8 * highWaterMark;
  const read = context.stats().bytesRead - before;
  expect(read).toBeGreaterThan(consumed);
  expect(read).toBeLessThanOrEqual(consumed + 5 * highWaterMark);
  stream.destroy();
  await once(stream, 'close');
});

test('several requests are in flight once it is clear that the file is not a short one', async () => {
  let most = 0;
  const stream = await streamed({ highWaterMark: 16384, inFlight: 6 });
  stream.on('data', () => {
    most = Math.max(most, context.stats().requested - context.stats().completed - context.stats().failed);
  });
  await once(stream, 'close');
  expect(most).toBeGreaterThan(2);
  expect(most).toBeLessThanOrEqual(6);
});

test('a stream that is destroyed, aborted or left half-way gives back its memory and its descriptor', async () => {
  const { buffers, freeBytes } = context.stats();
  const descriptors = openDescriptors();
  const early = await streamed();
  early.destroy();
  await once(early, 'close');
  const later = await streamed({ highWaterMark: 4096 });
  later.once('data', () => later.destroy(new Error('enough')));
  await expect(once(later, 'close')).rejects.toThrow('enough');
  const controller = new AbortController();
  const aborted = await streamed({ signal: controller.signal, highWaterMark: 4096 });
  aborted.once('data', () => controller.abort());
  expect(await outcomeOf(() => whole(aborted))).toBe('ABORT_ERR');
  for await (const _ of await streamed({ highWaterMark: 4096 })) break;
  expect(await eventually(() => openDescriptors() <= descriptors)).toBe(true);
  expect(context.stats()).toMatchObject({ buffers, freeBytes, inFlight: 0 });
});

test('file.close() ends a stream and then closes', async () => {
  const file = await opened();
  const stream = file.createReadStream({ highWaterMark: 4096, autoClose: false });
  stream.once('data', () => stream.pause());
  await once(stream, 'data');
  await file.close();
  expect(stream.destroyed).toBe(true);
  expect(file.state).toBe('closed');
});

test('file.close() ends several streams that rest', async () => {
  const file = await opened();
  const streams = [file.createReadStream({ start: 0 }), file.createReadStream({ start: 0 })];
  await Promise.all(streams.map((stream) => once(stream, 'readable')));
  const lines = [file.readLines({ start: 0 }), file.readLines({ start: 0 })];
  for (const unread of lines) unread.close();
  expect(await eventually(() => file.state === 'idle')).toBe(true);
  await file.close();
  expect(streams.every(({ destroyed }) => destroyed)).toBe(true);
});

test('a stream that is made while file.close() waits for others fails, and close() does not wait for it', async () => {
  const file = await context.open(path, 'r+', { direct: 'auto' });
  file.createReadStream();
  const closed = file.close();
  const late = [file.createReadStream(), file.createWriteStream({ autoClose: false })];
  expect(await Promise.all(late.map((stream) => outcomeOf(() => once(stream, 'close'))))).toEqual(['EBADF', 'EBADF']);
  await closed;
});

test('what a file grows by while it is read is read, and what is cut off is not', async () => {
  const growing = `${folder}/growing`;
  writeFileSync(growing, content.subarray(0, 100_000));
  const file = await context.open(growing, 'r', { direct: 'auto' });
  const stream = file.createReadStream({ highWaterMark: 8192, inFlight: 4 });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    if (chunks.length === 3) writeFileSync(growing, content.subarray(100_000, 200_000), { flag: 'a' });
    if (chunks.length === 10) truncateSync(growing, 150_000);
  }
  expect(Buffer.concat(chunks).equals(content.subarray(0, 150_000))).toBe(true);
});

test('lines come as those of FileHandle', async () => {
  const lines = `${folder}/lines`;
  writeFileSync(lines, 'one\ntwo\r\n\nfour ü\nwithout an end');
  const file = await context.open(lines, 'r', { direct: 'auto' });
  const ours: string[] = [];
  for await (const line of file.readLines({ highWaterMark: 4 })) ours.push(line);
  expect(ours).toEqual(['one', 'two', '', 'four ü', 'without an end']);
  expect(await eventually(() => file.state === 'closed')).toBe(true);
});

describe('zeroCopy', () => {
  test("chunks are the pool's own memory, which their receiver disposes", async () => {
    const { buffers } = context.stats();
    const received: Buffer[] = [];
    const stream = await streamed({ zeroCopy: true, highWaterMark: 65536 });
    for await (using chunk of stream as AsyncIterable<PoolBuffer>) {
      expect(context.stats().buffers).toBeGreaterThan(buffers);
      received.push(Buffer.from(chunk));
    }
    expect(Buffer.concat(received).equals(content)).toBe(true);
    expect(context.stats().buffers).toBe(buffers);
  });

  test('what nobody received is given back when the stream is destroyed', async () => {
    const { buffers } = context.stats();
    const file = await opened();
    const unit = file.alignment.offset;
    const stream = file.createReadStream({ zeroCopy: true, highWaterMark: 65536, start: 100 });
    // By a listener: what has been read already comes without a turn between.
    stream.once('data', () => stream.pause());
    const [first] = (await once(stream, 'data')) as [PoolBuffer];
    const end = 65536 + (100 % unit === 0 ? 100 : 0);
    expect(first.equals(content.subarray(100, end))).toBe(true);
    await eventually(() => context.stats().inFlight === 0);
    stream.destroy();
    await once(stream, 'close');
    expect(context.stats().buffers).toBe(buffers + 1);
    first[Symbol.dispose]();
    expect(context.stats().buffers).toBe(buffers);
  });

  test('where the pool is exhausted chunks are ordinary memory, and can be disposed all the same', async () => {
    const small = new AioContext({ depth: 8, memory: 65536 });
    const kept = small.allocate(49152);
    const file = await small.open(path, 'r', { direct: 'auto' });
    const chunks = (await file.createReadStream({ zeroCopy: true, highWaterMark: 16384 }).toArray()) as PoolBuffer[];
    expect(Buffer.concat(chunks).equals(content)).toBe(true);
    for (const chunk of chunks) chunk[Symbol.dispose]();
    kept[Symbol.dispose]();
    await small.close();
  });

  test('there are no strings without a copy', async () => {
    const file = await opened();
    expect(() => file.createReadStream({ zeroCopy: true, encoding: 'utf8' })).toThrow('cannot be combined');
    await file.close();
  });
});

test('a stream goes on where the pool is exhausted', async () => {
  const small = new AioContext({ depth: 8, memory: 65536 });
  const kept = small.allocate(49152);
  const file = await small.open(path, 'r', { direct: 'auto' });
  expect((await whole(file.createReadStream())).equals(content)).toBe(true);
  kept[Symbol.dispose]();
  await small.close();
});

test('wrong options are refused as Node refuses them', async () => {
  const file = await opened();
  const create = (options: object) => outcomeOf(() => file.createReadStream(options));
  expect(await create({ start: -1 })).toBe('ERR_OUT_OF_RANGE');
  expect(await create({ start: 'x' })).toBe('ERR_INVALID_ARG_TYPE');
  expect(await create({ start: null })).toBe('ERR_INVALID_ARG_TYPE');
  for (const start of [undefined, 5]) expect(await create({ start, end: null })).toBe('ERR_INVALID_ARG_TYPE');
  expect(await create({ start: 5, end: 4 })).toBe('ERR_OUT_OF_RANGE');
  expect(await create({ highWaterMark: -1 })).toBe('ERR_OUT_OF_RANGE');
  expect(await create({ inFlight: 0 })).toBe('ERR_OUT_OF_RANGE');
  expect(await create({ encoding: 'nonsense' })).toBe('ERR_INVALID_ARG_VALUE');
  expect(await create({ signal: 1 })).toBe('ERR_INVALID_ARG_TYPE');
  await file.close();
});

test('an empty file and a start behind the end give nothing', async () => {
  writeFileSync(`${folder}/empty`, '');
  expect(await text((await context.open(`${folder}/empty`, 'r', { direct: 'auto' })).createReadStream())).toBe('');
  expect(await text(await streamed({ start: BYTES + 5 }))).toBe('');
});

test('no options are as good as none, and a beginning beyond every file is its end', async () => {
  const file = await opened();
  expect((await whole(file.createReadStream(null as never))).equals(content)).toBe(true);
  for (const start of [2 ** 53 - 1, 2 ** 53 - 4096]) expect(await text(await streamed({ start }))).toBe('');
});

test('a highWaterMark that no memory has is allowed, and means a chunk as large as may be', async () => {
  const chunks: number[] = [];
  for await (const chunk of await streamed({ highWaterMark: 2 ** 40 })) chunks.push(chunk.length);
  expect(chunks).toEqual([BYTES]);
});

test('lines are not had without a copy', async () => {
  const file = await opened();
  expect(() => file.readLines({ zeroCopy: true })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
  await file.close();
});
