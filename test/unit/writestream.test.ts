import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AioContext, type AioFile, type WriteStreamOptions } from '../../src/index.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { outcomeOf, turn } from '../support/outcome.ts';
import { eventually, openDescriptors } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();
const content = randomFillSync(Buffer.alloc(300_003));
const path = `${folder}/file`;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

let context: AioContext;

beforeAll(() => {
  context = new AioContext({ depth: 32, memory: 8 << 20 });
});
afterAll(() => context.close());

const created = (flags = 'w', direct: boolean | 'auto' = 'auto'): Promise<AioFile> =>
  context.open(path, flags, { direct });

/** The content in pieces of these lengths, over and over. */
function* pieces(lengths: readonly number[], bytes = content.length): Generator<Buffer> {
  for (let at = 0, i = 0; at < bytes; i++) {
    const length = Math.min(lengths[i % lengths.length]!, bytes - at);
    yield content.subarray(at, at + length);
    at += length;
  }
}

test('context.close() does not end a stream: it fails with what it still has to write', async () => {
  const own = new AioContext({ depth: 8, memory: 1 << 20 });
  const stream = (await own.open(path, 'w', { direct: 'auto' })).createWriteStream();
  const failed = once(stream, 'error');
  stream.write(content.subarray(0, 100));
  await own.close();
  expect(await failed).toMatchObject([{ code: 'EBADF' }]);
  expect(statSync(path).size).toBe(0);
});

describe.each([true, false])('direct: %s', (direct) => {
  test('what is written is what is in the file, to the byte, in whatever pieces it comes', async () => {
    const cases = fc.record({
      lengths: fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 4 }),
      bytes: fc.nat(content.length),
      highWaterMark: fc.integer({ min: 1, max: 100_000 }),
      inFlight: fc.integer({ min: 1, max: 20 }),
    });
    const property = fc.asyncProperty(cases, async ({ lengths, bytes, ...options }) => {
      const stream = (await created('w', direct)).createWriteStream(options);
      await pipeline(Readable.from(pieces(lengths, bytes)), stream);
      expect(stream.bytesWritten).toBe(bytes);
      expect(readFileSync(path).equals(content.subarray(0, bytes))).toBe(true);
    });
    await fc.assert(property, { numRuns: 20 });
  });

  test('a stream in the middle of a file changes nothing before and behind it', async () => {
    const before = Buffer.alloc(200_000, 'x');
    writeFileSync(path, before);
    const stream = (await created('r+', direct)).createWriteStream({ start: 1234 });
    await pipeline(Readable.from(pieces([777, 30_000], 100_001)), stream);
    const expected = Buffer.from(before);
    content.copy(expected, 1234, 0, 100_001);
    expect(readFileSync(path).equals(expected)).toBe(true);
  });

  test('a file that appends is added to', async () => {
    writeFileSync(path, 'abc');
    const stream = (await created('a', direct)).createWriteStream({ highWaterMark: 8192 });
    await pipeline(Readable.from(pieces([10_000], 50_000)), stream);
    expect(readFileSync(path).equals(Buffer.concat([Buffer.from('abc'), content.subarray(0, 50_000)]))).toBe(true);
  });

  test('with the space reserved the file has its exact size, also where less or more came', async () => {
    for (const preallocate of [1, 100_000, 1_000_000]) {
      const stream = (await created('w', direct)).createWriteStream({ preallocate, flush: true });
      await pipeline(Readable.from(pieces([65_536])), stream);
      expect(readFileSync(path).equals(content)).toBe(true);
    }
  });
});

test('space that a stream reserved and did not use is cut off only where nobody has written behind it', async () => {
  const MiB = 1 << 20;
  const file = await created();
  const [first, second] = [0, MiB].map((start) =>
    file.createWriteStream({ start, preallocate: MiB, autoClose: false }),
  );
  second!.end(Buffer.alloc(MiB, 'b'));
  await once(second!, 'finish');
  first!.end(Buffer.alloc(MiB, 'a'));
  await once(first!, 'finish');
  expect(readFileSync(path).equals(Buffer.concat([Buffer.alloc(MiB, 'a'), Buffer.alloc(MiB, 'b')]))).toBe(true);
  await file.truncate(0);
  for (let i = 0; i < 120; i++) {
    const short = file.createWriteStream({ start: 0, preallocate: MiB, autoClose: false });
    await new Promise((resolve) => short.write('hello', resolve));
    // At any moment: in flight when the stream ends, or made while it gives back.
    const finished = once(short, 'finish');
    short.end();
    for (let turns = 0; turns < i % 12; turns++) await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([finished, file.write(Buffer.from('others'), 0, 6, 2 * MiB)]);
    expect(readFileSync(path).toString('utf8', 2 * MiB)).toBe('others');
    await file.truncate(0);
  }
  await file.close();
});

test('a stream that reserved space and wrote nothing leaves the size as it was', async () => {
  const file = await created();
  await file.truncate(5000);
  const stream = file.createWriteStream({ start: 0, preallocate: 1 << 20 });
  stream.end();
  await once(stream, 'close');
  expect(statSync(path).size).toBe(5000);
});

test.each(['end', 'destroy'] as const)(
  'a stream that wrote nothing leaves what others wrote before its start (%s)',
  async (how) => {
    const file = await created('w+');
    const stream = file.createWriteStream({ start: 1 << 20, preallocate: 8192, autoClose: false });
    while (statSync(path).size === 0) await new Promise((resolve) => setImmediate(resolve));
    await file.write(Buffer.from('others'), 0, 6, 65_536);
    const over = once(stream, how === 'end' ? 'finish' : 'close');
    stream[how]();
    await over;
    await file.close();
    expect(readFileSync(path).toString('utf8', 65_536, 65_542)).toBe('others');
    expect(statSync(path).size).toBe(1 << 20);
  },
);

test("without start a stream begins at the file's own position and moves it on", async () => {
  const file = await created('w+');
  await file.write(content.subarray(0, 4096), 0, 4096, null);
  const stream = file.createWriteStream({ autoClose: false });
  stream.end(content.subarray(4096, 12_288));
  await once(stream, 'finish');
  await file.write(content.subarray(12_288, 16_384), 0, 4096, null);
  expect(readFileSync(path).equals(content.subarray(0, 16_384))).toBe(true);
  await file.close();
});

test('it has the properties and the life of the stream of FileHandle', async () => {
  const file = await created();
  const stream = file.createWriteStream({ start: 0, encoding: 'hex' });
  expect(stream).toMatchObject({ start: 0, autoClose: true, flush: false, bytesWritten: 0, pending: false, path });
  expect(stream.fd).toBe(file.fd);
  const events: string[] = [];
  for (const name of ['finish', 'close']) stream.on(name, () => events.push(name));
  const taken = new Promise((resolve) => stream.write('616263', resolve));
  stream.close();
  expect(await taken).toBeFalsy();
  await once(stream, 'close');
  expect(events).toEqual(['finish', 'close']);
  expect(stream).toMatchObject({ bytesWritten: 3, pending: true, fd: null });
  expect(readFileSync(path, 'utf8')).toBe('abc');
  expect(file.state).toBe('closed');
});

test('write holds the writer back once inFlight pieces are full', async () => {
  const file = await created();
  await file.preallocate(0, 1 << 20);
  const stream = file.createWriteStream({ highWaterMark: 16_384, inFlight: 2, start: 0 });
  let more = true;
  let given = 0;
  for (; more; given++) more = stream.write(content.subarray(0, 16_384));
  // Two pieces of memory, and what Writable itself queues before it says stop.
  expect(given).toBeLessThanOrEqual(4);
  await once(stream, 'drain');
  expect(stream.writableLength).toBe(0);
  stream.end();
  await once(stream, 'close');
  expect(stream.bytesWritten).toBe(given * 16_384);
});

test('what a slow writer gives is in the file though the stream goes on', async () => {
  const stream = (await created()).createWriteStream();
  stream.write('a few ');
  expect(await eventually(() => statSync(path).size === 6)).toBe(true);
  stream.write('more');
  expect(await eventually(() => readFileSync(path, 'utf8') === 'a few more')).toBe(true);
  stream.end(content.subarray(0, 10_000));
  await once(stream, 'close');
  expect(readFileSync(path).equals(Buffer.concat([Buffer.from('a few more'), content.subarray(0, 10_000)]))).toBe(true);
});

test('file.close() waits until what a stream was given is written', async () => {
  const file = await created();
  const stream = file.createWriteStream();
  for (const piece of pieces([50_000])) stream.write(piece);
  await file.close();
  expect(stream.closed || stream.destroyed).toBe(true);
  expect(readFileSync(path).equals(content)).toBe(true);
});

test('a stream that is finished and stays has given back its memory, and is destroyed when its file closes', async () => {
  const { buffers, freeBytes } = context.stats();
  const file = await created();
  const streams = Array.from({ length: 10 }, (_, i) =>
    file.createWriteStream({ start: i * 4096, autoClose: false, highWaterMark: 8192 }),
  );
  for (const stream of streams) await once(stream.end('abc'), 'finish');
  expect(context.stats()).toMatchObject({ buffers, freeBytes });
  expect(streams[0]).toMatchObject({ destroyed: false, fd: file.fd, bytesWritten: 3 });
  await file.close();
  expect(streams.every(({ destroyed }) => destroyed)).toBe(true);
});

test('an error of the kernel ends the stream, and with autoClose: false not the file', async () => {
  const many = (file: AioFile, options: WriteStreamOptions) =>
    outcomeOf(() =>
      pipeline(Readable.from(pieces([4096])), file.createWriteStream({ highWaterMark: 8192, ...options })),
    );
  writeFileSync(path, '');
  const readable = await context.open(path, 'r', { direct: 'auto' });
  expect(await many(readable, { autoClose: false })).toBe('EBADF');
  expect(await eventually(() => readable.state === 'idle')).toBe(true);
  expect(await many(readable, {})).toBe('EBADF');
  expect(await eventually(() => readable.state === 'closed')).toBe(true);
});

test.each(['before', 'after'])(
  'file.close() ends a stream that cannot begin and stays after errors, called %s it fails',
  async (when) => {
    const file = await created();
    const stream = file.createWriteStream({ autoClose: false, preallocate: 2 ** 53 - 1 });
    const failed = once(stream, 'error');
    if (when === 'after') await failed;
    await file.close();
    expect((await failed)[0]).toMatchObject({ syscall: 'fallocate' });
    expect(stream.destroyed).toBe(true);
  },
);

test('a stream that is destroyed or aborted gives back its memory, its descriptor and what it reserved', async () => {
  const { buffers, freeBytes } = context.stats();
  const descriptors = openDescriptors();
  const early = (await created()).createWriteStream({ preallocate: 1 << 20 });
  early.destroy();
  await once(early, 'close');
  expect(statSync(path).size).toBe(0);
  const controller = new AbortController();
  const options = { preallocate: 1 << 20, highWaterMark: 4096, signal: controller.signal };
  const aborted = (await created()).createWriteStream(options);
  let written = 0;
  const endless = async function* (): AsyncGenerator<Buffer> {
    for (;;) {
      if (++written === 40) controller.abort();
      yield content.subarray(0, 4096);
    }
  };
  expect(await outcomeOf(() => pipeline(endless, aborted))).toBe('ABORT_ERR');
  expect(await eventually(() => aborted.closed)).toBe(true);
  expect(statSync(path).size).toBeLessThan(1 << 20);
  expect(openDescriptors()).toBeLessThanOrEqual(descriptors);
  expect(context.stats()).toMatchObject({ buffers, freeBytes, inFlight: 0 });
});

describe('zeroCopy', () => {
  test("chunks of the pool are written as they are and disposed, from a file's stream or by hand", async () => {
    const { buffers, copiedBytes } = context.stats();
    writeFileSync(`${folder}/source`, content.subarray(0, 262_144));
    const source = await context.open(`${folder}/source`, 'r');
    const target = await created('w', true);
    const options = { zeroCopy: true, highWaterMark: 16_384 };
    await pipeline(source.createReadStream(options), target.createWriteStream(options));
    expect(readFileSync(path).equals(content.subarray(0, 262_144))).toBe(true);
    expect(context.stats()).toMatchObject({ buffers, copiedBytes });
  });

  test('what is not whole blocks is copied and disposed', async () => {
    const { buffers } = context.stats();
    const stream = (await created()).createWriteStream({ zeroCopy: true, highWaterMark: 8192 });
    for (const piece of pieces([5000, 4096, 1])) {
      const chunk = context.allocate(piece.length);
      piece.copy(chunk);
      if (!stream.write(chunk)) await once(stream, 'drain');
    }
    stream.end();
    await once(stream, 'close');
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(context.stats().buffers).toBe(buffers);
  });

  test('what was given and not written is disposed when the stream is destroyed', async () => {
    const { buffers } = context.stats();
    const stream = (await created()).createWriteStream({ zeroCopy: true, inFlight: 1 });
    for (let i = 0; i < 10; i++) stream.write(context.allocate(4096));
    stream.end(context.allocate(4096));
    stream.destroy();
    await once(stream, 'close');
    expect(await eventually(() => context.stats().buffers === buffers)).toBe(true);
  });

  test.each([true, false])('what is given after the end is disposed, autoClose: %s', async (autoClose) => {
    const { buffers } = context.stats();
    const file = await created();
    const stream = file.createWriteStream({ zeroCopy: true, autoClose });
    stream.on('error', () => {});
    await once(stream.end(), autoClose ? 'close' : 'finish');
    for (let i = 0; i < 5; i++) stream.write(context.allocate(4096));
    stream.end(context.allocate(4096));
    expect(context.stats().buffers).toBe(buffers);
    await file.close();
  });

  test.each([{ preallocate: 2 ** 53 - 1 }, { start: Number.MAX_SAFE_INTEGER }])(
    'what is given to a stream that has failed and stays is disposed, with %j',
    async (options) => {
      const { buffers } = context.stats();
      const file = await created();
      const stream = file.createWriteStream({ zeroCopy: true, autoClose: false, ...options });
      const failed = once(stream, 'error');
      stream.write(context.allocate(4096));
      stream.end();
      await failed;
      stream.write(context.allocate(4096));
      expect(await eventually(() => context.stats().buffers === buffers)).toBe(true);
      expect(stream.destroyed).toBe(false);
      await file.close();
    },
  );

  test('chunks that nobody has to dispose are not kept', async () => {
    const stream = (await created()).createWriteStream({ zeroCopy: true, highWaterMark: 8192 });
    const refs: WeakRef<Uint8Array>[] = [];
    const give = (chunk: Uint8Array): Promise<unknown> => {
      refs.push(new WeakRef(chunk));
      return new Promise((resolve) => stream.write(chunk, resolve));
    };
    for (let i = 0; i < 20; i++) await give(new Uint8Array(8192));
    const alive = (): number => {
      collectGarbage();
      return refs.filter((ref) => ref.deref() !== undefined).length;
    };
    expect(await eventually(() => alive() <= 2)).toBe(true);
    stream.end();
    await once(stream, 'close');
  });
});

test('wrong options are refused as Node refuses them', async () => {
  const file = await created();
  const create = (options: object) => outcomeOf(() => file.createWriteStream(options));
  expect(await create({ start: -1 })).toBe('ERR_OUT_OF_RANGE');
  expect(await create({ start: 'x' })).toBe('ERR_INVALID_ARG_TYPE');
  expect(await create({ start: null })).toBe('ERR_INVALID_ARG_TYPE');
  expect(await create({ flush: 1 })).toBe('ERR_INVALID_ARG_TYPE');
  expect(await create({ preallocate: -1 })).toBe('ERR_OUT_OF_RANGE');
  expect(await create({ inFlight: 2000 })).toBe('ERR_OUT_OF_RANGE');
  await file.close();
});

test('a write that was not taken when the stream is destroyed is no success', async () => {
  const stream = (await created()).createWriteStream({ highWaterMark: 4096, inFlight: 1 });
  await turn();
  const written = new Promise((resolve) => stream.write(Buffer.alloc(1 << 20), resolve));
  stream.destroy();
  expect(await written).toMatchObject({ code: 'ERR_STREAM_DESTROYED' });
  await once(stream, 'close');
  expect(statSync(path).size).toBeLessThan(1 << 20);
});

test('a highWaterMark that no memory has is allowed, and null is as good as no options', async () => {
  for (const options of [{ highWaterMark: 2 ** 40 }, { flush: null }, null]) {
    const stream = (await created()).createWriteStream(options as never);
    stream.end(content);
    await once(stream, 'close');
    expect(readFileSync(path).equals(content)).toBe(true);
  }
});

test('a reservation that the disk has no room for is given back', async ({ skip }) => {
  const obstacle = fileSystemSkip('ext4');
  skip(obstacle !== false, String(obstacle));
  await withFileSystem('ext4', async (dir) => {
    writeFileSync(`${dir}/file`, 'before');
    const free = (): number => statfsSync(dir).bavail;
    const before = free();
    const file = await context.open(`${dir}/file`, 'r+', { direct: 'auto' });
    const stream = file.createWriteStream({ start: 0, preallocate: 2 ** 30 });
    stream.end('text');
    expect(await once(stream, 'error')).toMatchObject([{ code: 'ENOSPC' }]);
    await file.close();
    expect(statSync(`${dir}/file`).size).toBe(6);
    // A block of its extents may stay.
    expect(before - free()).toBeLessThan(16);
  });
});
