// What memory a request may use, whose it is meanwhile, and what becomes of it.
import { readFileSync, writeFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { AioContext, type AioFile, type PoolBuffer } from '../../src/index.ts';
import { block } from '../support/blocker.ts';
import { directSkip } from '../support/direct.ts';
import { outcomeOf, submitted } from '../support/outcome.ts';
import { Random } from '../support/random.ts';
import { scratchFolder } from '../support/scratch.ts';
import { fixed, Small } from '../support/views.ts';

const path = `${scratchFolder()}/file`;
const BYTES = 256 * 1024;
const content = Buffer.alloc(BYTES);
new Random(1).fill(content);

const context = new AioContext({ memory: 1 << 20 });
const open = () => context.open(path, 'r+', { direct: 'auto' });
afterAll(() => context.close());
beforeEach(() => writeFileSync(path, content));

/** Makes the memory of a view go to somebody else, as postMessage does. */
function transfer(view: ArrayBufferView): void {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
}

describe('allocate', () => {
  test('gives zeroed memory, aligned to 4096, of the length that was asked for', () => {
    const buffers = [1, 4095, 4096, 4097, 100_000].map((length) => context.allocate(length));
    expect(buffers.map(({ length }) => length)).toEqual([1, 4095, 4096, 4097, 100_000]);
    for (const buffer of buffers) {
      expect(buffer.byteOffset % 4096).toBe(0);
      expect(buffer.every((byte) => byte === 0)).toBe(true);
      buffer.fill(1);
      buffer[Symbol.dispose]();
    }
    // The same memory again, and none of it as it was left.
    const again = context.allocate(100_000);
    expect(again.every((byte) => byte === 0)).toBe(true);
    again[Symbol.dispose]();
  });

  test('says what is wrong where the memory is exhausted, and has it again after a dispose', () => {
    const { freeBytes, buffers } = context.stats();
    const all = context.allocate(freeBytes);
    expect(() => context.allocate(1)).toThrow(
      expect.objectContaining({
        code: 'ERR_AIO_NO_MEMORY',
        message: expect.stringMatching(/run of 1 bytes: 0 bytes are free.*1 buffers.*dispose.*"memory"/i),
      }),
    );
    all[Symbol.dispose]();
    expect(context.stats()).toMatchObject({ freeBytes, buffers });
    context.allocate(freeBytes)[Symbol.dispose]();
    expect(() => context.allocate(freeBytes + 1)).toThrow(expect.objectContaining({ code: 'ERR_AIO_NO_MEMORY' }));
  });

  test('that is exhausted keeps no request from being copied', async () => {
    const all = context.allocate(context.stats().freeBytes);
    const file = await open();
    expect((await file.read(Buffer.alloc(BYTES), 0, BYTES, 0)).buffer.equals(content)).toBe(true);
    await file.close();
    all[Symbol.dispose]();
  });

  test('and dispose twice does not give away what has a new owner', () => {
    const first = context.allocate(4096);
    first[Symbol.dispose]();
    const second = context.allocate(4096);
    expect(second.byteOffset).toBe(first.byteOffset);
    first[Symbol.dispose]();
    const third = context.allocate(4096);
    expect(third.byteOffset).not.toBe(second.byteOffset);
    for (const buffer of [second, third]) buffer[Symbol.dispose]();
  });

  test('gives memory that nobody can detach', () => {
    const buffer = context.allocate(4096);
    buffer.fill(3);
    try {
      transfer(buffer);
    } catch {
      // Some versions of Node refuse it, others give the receiver a copy.
    }
    expect(buffer.length).toBe(4096);
    expect(buffer.every((byte) => byte === 3)).toBe(true);
    buffer[Symbol.dispose]();
  });

  test('gives buffers that a "using" declaration disposes', () => {
    const { freeBytes } = context.stats();
    {
      using buffer = context.allocate(8192);
      expect(context.stats().freeBytes).toBe(freeBytes - buffer.length);
    }
    expect(context.stats().freeBytes).toBe(freeBytes);
  });
});

describe('memory of the context', () => {
  test('is read into and written from without a copy', async () => {
    using buffer = context.allocate(BYTES);
    const file = await open();
    const { copiedBytes } = context.stats();
    expect((await file.read(buffer, 0, BYTES, 0)).buffer).toBe(buffer);
    expect(buffer.equals(content)).toBe(true);
    await file.write(buffer, 0, BYTES, BYTES);
    expect(context.stats().copiedBytes).toBe(copiedBytes);
    expect(readFileSync(path).equals(Buffer.concat([content, content]))).toBe(true);
    await file.close();
  });

  test('that is larger than a part of a request gets each part in its place', async () => {
    const large = new AioContext({ memory: 8 << 20 });
    const bytes = 3 * BYTES + 4096;
    const whole = Buffer.alloc(bytes);
    new Random(5).fill(whole);
    writeFileSync(path, whole);
    const file = await large.open(path, 'r+', { direct: 'auto' });
    const buffer = large.allocate(bytes);
    expect((await file.read(buffer, 0, bytes, 0)).bytesRead).toBe(bytes);
    expect(buffer.equals(whole)).toBe(true);
    expect((await file.write(buffer, 0, bytes, bytes)).bytesWritten).toBe(bytes);
    expect(readFileSync(path).equals(Buffer.concat([whole, whole]))).toBe(true);
    expect(large.stats().copiedBytes).toBe(0);
    await large.close();
  });

  test('after its dispose is refused, also where it has a new owner in part', async () => {
    const file = await open();
    const buffer = context.allocate(8192);
    const part = buffer.subarray(4096);
    buffer[Symbol.dispose]();
    using owner = context.allocate(4096);
    expect(owner.byteOffset).toBe(buffer.byteOffset);
    // Which owner a view was made for cannot be seen; what nobody owns is refused.
    expect(await outcomeOf(() => file.read(part, 0, 4096, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    expect(await outcomeOf(() => file.write(part, 0, 4096, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    expect(await outcomeOf(() => file.write(buffer, 0, 8192, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    await file.close();
  });

  test('after its dispose is refused by every call, also where all of it has a new owner', async () => {
    const file = await open();
    const other = new AioContext({ memory: 1 << 20 });
    const elsewhere = await other.open(path, 'r+', { direct: 'auto' });
    const buffer = context.allocate(4096);
    const lent = buffer.subarray(0, 2048);
    buffer[Symbol.dispose]();
    using owner = context.allocate(4096).fill('B');
    expect(owner.byteOffset).toBe(buffer.byteOffset);
    const calls = [
      () => file.read(buffer, 0, 4096, 0),
      () => file.write(buffer, 0, 4096, 0),
      () => elsewhere.read(buffer, 0, 4096, 0),
      () => elsewhere.write(buffer, 0, 4096, 0),
      () => file.read(buffer, { position: 0 }),
      () => file.write(buffer, { position: 1, length: 100 }),
      () => file.read(buffer, 0, 4096, null),
      () => file.readv([buffer], 0),
      () => file.writev([Buffer.alloc(4096), buffer], 0),
      () => file.writeFile(buffer),
      () => file.readFile({ buffer: () => buffer }),
    ];
    for (const call of calls) expect(await outcomeOf(call)).toBe('ERR_AIO_BUFFER_DISPOSED');
    expect(owner.equals(Buffer.alloc(4096, 'B'))).toBe(true);
    expect(readFileSync(path).equals(content)).toBe(true);
    // What others have of it cannot be told from the new owner's own views.
    expect((await file.read(lent, 0, 2048, 0)).bytesRead).toBe(2048);
    // A refusal takes nothing.
    expect((await file.read(owner, 0, 4096, 0)).bytesRead).toBe(4096);
    expect(context.stats()).toMatchObject({ queued: 0, inFlight: 0, buffers: 1 });
    await Promise.all([file.close(), other.close()]);
  });

  test('beyond a buffer is refused, though it can be reached through its ArrayBuffer', async () => {
    const file = await open();
    using buffer = context.allocate(4096);
    const beyond = new Uint8Array(buffer.buffer, buffer.byteOffset, 8192);
    expect(await outcomeOf(() => file.read(beyond, 0, 8192, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    const copies = new Uint8Array(buffer.buffer, buffer.buffer.byteLength - 4096, 4096);
    expect(await outcomeOf(() => file.write(copies, 0, 4096, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    await file.close();
  });

  test('can be given as any view of it', async () => {
    const file = await open();
    using buffer = context.allocate(8192);
    const at = buffer.byteOffset;
    const views = [
      new Float64Array(buffer.buffer, at, 512),
      new DataView(buffer.buffer, at, 4096),
      new Uint16Array(buffer.buffer, at + 4096, 2048),
    ];
    for (const view of views) {
      expect((await file.read(view, 0, 4096, 4096)).buffer).toBe(view);
      expect(content.compare(new Uint8Array(view.buffer, view.byteOffset, 4096), 0, 4096, 4096, 8192)).toBe(0);
    }
    await file.close();
  });

  test('of another context is copied as any other', async () => {
    const other = new AioContext({ memory: 1 << 20 });
    const buffer = other.allocate(4096);
    const file = await open();
    const { copiedBytes } = context.stats();
    await file.read(buffer, 0, 4096, 4096);
    expect(content.compare(buffer, 0, 4096, 4096, 8192)).toBe(0);
    expect(context.stats().copiedBytes).toBe(copiedBytes + 4096);
    await file.close();
    await other.close();
  });

  test('that is not aligned as the device wants is copied', async () => {
    const file = await open();
    using buffer = context.allocate(8192);
    await file.read(buffer, 1, 4096, 4096);
    expect(content.compare(buffer, 1, 4097, 4096, 8192)).toBe(0);
    expect([buffer[0], buffer[4097]]).toEqual([0, 0]);
    await file.write(buffer, 1, 4096, 0);
    expect(readFileSync(path).subarray(0, 4096).equals(content.subarray(4096, 8192))).toBe(true);
    await file.close();
  });
});

describe('memory that a request has', () => {
  test('is refused to another that would fill it or is filled from it, and free again afterwards', async () => {
    const small = new AioContext({ depth: 1, memory: 1 << 20 });
    const file = await small.open(path, 'r+', { direct: 'auto' });
    const buffer = small.allocate(8192);
    const blocker = await block(small);
    const reading = file.read(buffer, 0, 4096, 0);
    const busy = 'ERR_AIO_BUFFER_BUSY';
    expect(await outcomeOf(() => file.read(buffer, 0, 4096, 0))).toBe(busy);
    expect(await outcomeOf(() => file.write(buffer, 0, 4096, 0))).toBe(busy);
    expect(await outcomeOf(() => file.read(buffer.subarray(2048), 0, 4096, 0))).toBe(busy);
    expect(await outcomeOf(() => file.readv([Buffer.alloc(4096), buffer.subarray(0, 4096)], 0))).toBe(busy);
    expect(await outcomeOf(() => file.readv([buffer.subarray(4096), buffer.subarray(0, 4096)], 0))).toBe(busy);
    // Nothing of a refused vector stays taken.
    const beside = file.read(buffer, 4096, 4096, 0);
    await blocker.release();
    await Promise.all([reading, beside]);
    expect((await file.read(buffer, 0, 8192, 0)).bytesRead).toBe(8192);
    const { freeBytes } = small.stats();
    buffer[Symbol.dispose]();
    expect(small.stats().freeBytes).toBe(freeBytes + 8192);
    await small.close();
  });

  test('may be written from by several', async () => {
    const file = await open();
    using buffer = context.allocate(4096);
    buffer.fill(7);
    const writes = [0, 4096, 8192].map((at) => file.write(buffer, 0, 4096, at));
    expect((await Promise.all(writes)).map(({ bytesWritten }) => bytesWritten)).toEqual([4096, 4096, 4096]);
    expect(readFileSync(path).subarray(0, 12288).equals(Buffer.alloc(12288, 7))).toBe(true);
    await file.close();
  });

  test('stays its own after an abort, until the kernel is done', async () => {
    const small = new AioContext({ depth: 1, memory: 1 << 20 });
    const file = await small.open(path, 'r+', { direct: 'auto', submit: 'offload' });
    const buffer = small.allocate(BYTES);
    const controller = new AbortController();
    const read = outcomeOf(() => file.read(buffer, { position: 0, signal: controller.signal }));
    await submitted();
    expect(small.stats().inFlight).toBe(1);
    controller.abort();
    // In the same turn: the event cannot have been seen.
    const again = outcomeOf(() => file.read(buffer, { position: 0 }));
    buffer[Symbol.dispose]();
    const { freeBytes } = small.stats();
    expect(await read).toBe('ABORT_ERR');
    expect(await again).toBe('ERR_AIO_BUFFER_BUSY');
    await file.drain();
    expect(small.stats()).toMatchObject({ inFlight: 0, freeBytes: freeBytes + BYTES, buffers: 0 });
    await small.close();
  });

  test('and is disposed meanwhile is given back at its end, and only once', async () => {
    const small = new AioContext({ depth: 1, memory: 1 << 20 });
    const file = await small.open(path, 'r+', { direct: 'auto' });
    const { freeBytes } = small.stats();
    const buffer = small.allocate(4096);
    const blocker = await block(small);
    const write = file.write(buffer, 0, 4096, 0);
    for (let times = 0; times < 3; times++) buffer[Symbol.dispose]();
    expect(small.stats()).toMatchObject({ freeBytes: freeBytes - 4096, buffers: 0 });
    using next = small.allocate(4096);
    expect(next.byteOffset).not.toBe(buffer.byteOffset);
    // It is taken: nobody may make a new request with it.
    const late = outcomeOf(() => file.write(buffer, 0, 4096, 0));
    await blocker.release();
    expect(await late).toBe('ERR_AIO_BUFFER_DISPOSED');
    expect((await write).bytesWritten).toBe(4096);
    expect(small.stats().freeBytes).toBe(freeBytes - 4096);
    await small.close();
  });
});

describe('other memory', () => {
  test('is filled only where and as far as it was asked for', async () => {
    const file = await open();
    const memory = new ArrayBuffer(12288);
    const view = new Uint32Array(memory, 4096, 1024);
    const { bytesRead, buffer } = await file.read(view, 0, 4096, 8192);
    expect(bytesRead).toBe(4096);
    expect(buffer).toBe(view);
    const bytes = Buffer.from(memory);
    expect(bytes.subarray(4096, 8192).equals(content.subarray(8192, 12288))).toBe(true);
    for (const beside of [bytes.subarray(0, 4096), bytes.subarray(8192)]) {
      expect(beside.every((byte) => byte === 0)).toBe(true);
    }
    await file.close();
  });

  test.each([
    ['DataView', (memory: ArrayBuffer) => new DataView(memory, 8, 4096)],
    ['BigInt64Array', (memory: ArrayBuffer) => new BigInt64Array(memory, 8, 512)],
    ['Float32Array', (memory: ArrayBuffer) => new Float32Array(memory, 8, 1024)],
    ['Int8Array', (memory: ArrayBuffer) => new Int8Array(memory, 8, 4096)],
  ])('is written from as a %s that begins within it', async (_name, viewOf) => {
    const file = await open();
    const bytes = Buffer.from(new ArrayBuffer(8192));
    new Random(2).fill(bytes);
    const view = viewOf(bytes.buffer);
    expect((await file.write(view, 0, 4096, 4096)).buffer).toBe(view);
    expect(readFileSync(path).subarray(4096, 8192).equals(bytes.subarray(8, 4104))).toBe(true);
    await file.close();
  });

  test('that is larger than all the room for copies goes through it in pieces', async () => {
    const small = new AioContext({ memory: 65536 });
    const file = await small.open(path, 'r+', { direct: 'auto' });
    const views = Array.from({ length: 4 }, () => Buffer.alloc(BYTES));
    await Promise.all(views.map((view) => file.read(view, 0, BYTES, 0)));
    expect(views.every((view) => view.equals(content))).toBe(true);
    expect(small.stats().copyWaits).toBeGreaterThan(0);
    await small.close();
  });

  // What went wrong here would take the whole context with it, so it has one of its own.
  test('that is transferred away before it is written fails that request alone', { timeout: 5000 }, async () => {
    const own = new AioContext({ memory: 1 << 20 });
    const file = await own.open(path, 'r+', { direct: 'auto' });
    const gone = new Uint8Array(4096).fill(1);
    const stays = new Uint8Array(4096).fill(2);
    const outcomes = [
      outcomeOf(() => file.write(gone, 0, 4096, 0)),
      outcomeOf(() => file.write(stays, 0, 4096, 4096)),
      outcomeOf(() => file.writev([stays, gone], 8192)),
    ];
    transfer(gone);
    const [first, second, third] = await Promise.all(outcomes);
    expect(first).toMatch(/^E/);
    expect(second).toBe('ok');
    expect(third).toMatch(/^E/);
    const written = readFileSync(path);
    expect(written.subarray(0, 4096).equals(content.subarray(0, 4096))).toBe(true);
    expect(written.subarray(4096, 8192).equals(Buffer.alloc(4096, 2))).toBe(true);
    expect(written.subarray(8192).equals(content.subarray(8192))).toBe(true);
    await own.close();
  });

  test('that is transferred away before it is filled fails that request alone', { timeout: 5000 }, async () => {
    const own = new AioContext({ memory: 1 << 20 });
    const file = await own.open(path, 'r+', { direct: 'auto' });
    const gone = new Uint8Array(4096);
    const stays = new Uint8Array(4096);
    const outcomes = [
      outcomeOf(() => file.read(gone, 0, 4096, 0)),
      outcomeOf(() => file.read(stays, 0, 4096, 4096)),
      outcomeOf(() => file.readv([new Uint8Array(4096), gone], 0)),
    ];
    transfer(gone);
    const [first, second, third] = await Promise.all(outcomes);
    expect(first).toMatch(/^E/);
    expect(second).toBe('ok');
    expect(third).toMatch(/^E/);
    expect(content.compare(stays, 0, 4096, 4096, 8192)).toBe(0);
    expect(own.stats()).toMatchObject({ queued: 0, inFlight: 0 });
    await own.close();
  });
});

const Key = fixed(4096);

/** Has a view say that it is of other memory, and longer. */
function forge<T extends Uint8Array>(view: T): T {
  const value = new ArrayBuffer(BYTES);
  return Object.defineProperties(view, {
    buffer: { value },
    byteOffset: { value: 512 },
    byteLength: { value: BYTES },
    length: { value: BYTES },
    constructor: { value: Key },
  });
}

type Made = [view: Uint8Array<ArrayBuffer>, memory: ArrayBuffer];
const views: [string, () => Made][] = [
  ['a subclass whose constructor takes nothing', () => of(new Key())],
  ['a subclass whose constructor throws', () => of(new Small(4096))],
  ['a view with properties of its own', () => ofForged(new Uint8Array(4096))],
  ['a view of another realm', () => of(runInNewContext('new Uint8Array(4096)'))],
];
const of = (view: Uint8Array<ArrayBuffer>): Made => [view, view.buffer];
function ofForged(view: Uint8Array<ArrayBuffer>): Made {
  const memory = view.buffer;
  return [forge(view), memory];
}

describe.each(views)('%s', (_name, make) => {
  const options = [false, 'auto'] as const;

  test.each(options)('is written as it is (direct: %s)', async (direct) => {
    const file = await context.open(path, 'r+', { direct });
    const [view, memory] = make();
    new Uint8Array(memory).fill(0x41);
    const expected = Buffer.alloc(4096, 0x41);
    const written = async (bytes: number, write: () => Promise<unknown>) => {
      writeFileSync(path, content);
      await write();
      expect(readFileSync(path).equals(Buffer.concat([expected.subarray(0, bytes), content.subarray(bytes)]))).toBe(
        true,
      );
    };
    await written(4096, () => file.write(view, 0, 4096, 0));
    await written(4096, () => file.write(view, { position: 0 }));
    await written(32, () => file.write(view, 64, 32, 0));
    await written(4096, () => file.writev([view], 0));
    await written(4096, () => file.writeFile(view));
    expect(await outcomeOf(() => file.write(view, 0, 4097, 0))).toBe('ERR_OUT_OF_RANGE');
    await file.close();
  });

  test.each(options)('is filled as it is (direct: %s)', async (direct) => {
    const file = await context.open(path, 'r+', { direct });
    const [view, memory] = make();
    const bytes = Buffer.from(memory);
    const filled = async (from: number, to: number, read: () => Promise<unknown>) => {
      bytes.fill(0);
      await read();
      const expected = Buffer.alloc(4096);
      content.copy(expected, from, 0, to - from);
      expect(bytes.equals(expected)).toBe(true);
    };
    await filled(0, 4096, () => file.read(view, 0, 4096, 0));
    await filled(0, 4096, () => file.read(view, { position: 0 }));
    await filled(64, 96, () => file.read(view, 64, 32, 0));
    await filled(0, 4096, () => file.readv([view], 0));
    await filled(0, 4096, () => file.readv([new Uint8Array(0), view], 0));
    expect(await outcomeOf(() => file.read(view, 0, 4097, 0))).toBe('ERR_OUT_OF_RANGE');
    await file.close();
  });
});

test('a subclass larger than all the room for copies goes through it in pieces', async () => {
  const small = new AioContext({ memory: 65536 });
  const file = await small.open(path, 'r+', { direct: 'auto' });
  const view = new Small(BYTES).fill(0x41);
  await file.write(view, 0, BYTES, 0);
  expect(readFileSync(path).equals(Buffer.alloc(BYTES, 0x41))).toBe(true);
  writeFileSync(path, content);
  await file.readv([view], 0);
  expect(content.equals(view)).toBe(true);
  await small.close();
});

test('a buffer of the pool with properties of its own is the memory that it was given out with', async () => {
  const file = await open();
  const buffer = context.allocate(4096).fill(0x41);
  using neighbour = context.allocate(4096).fill(0x42);
  const memory = Buffer.from(buffer.buffer, buffer.byteOffset, 4096);
  const { freeBytes } = context.stats();
  forge(buffer);
  for (const write of [
    () => file.write(buffer, 0, 4096, 0),
    () => file.write(buffer, { position: 0 }),
    () => file.writev([buffer], 0),
  ]) {
    writeFileSync(path, content);
    await write();
    expect(readFileSync(path).equals(Buffer.concat([memory, content.subarray(4096)]))).toBe(true);
  }
  writeFileSync(path, content);
  // At an address that direct I/O does not take, it is copied.
  for (const read of [
    () => file.read(buffer, 0, 4096, 0),
    () => file.read(buffer, 1, 512, 0),
    () => file.readv([buffer], 0),
  ]) {
    memory.fill(0);
    await read();
    expect(memory.includes(content.subarray(0, 512))).toBe(true);
  }
  for (const beyond of [() => file.read(buffer, 0, 8192, 0), () => file.write(buffer, 4096, 512, 0)]) {
    expect(await outcomeOf(beyond)).toBe('ERR_OUT_OF_RANGE');
  }
  expect(neighbour.equals(Buffer.alloc(4096, 0x42))).toBe(true);
  buffer[Symbol.dispose]();
  expect(context.stats().freeBytes).toBe(freeBytes + 4096);
  await file.close();
});

test.each(['Float64Array', 'BigUint64Array', 'DataView', 'Uint8Array'])(
  'a %s of another realm is one of ours',
  async (type) => {
    const file = await open();
    const memory = runInNewContext('new ArrayBuffer(4096)');
    const view: NodeJS.ArrayBufferView<ArrayBuffer> = runInNewContext(`new ${type}(memory)`, { memory });
    expect((await file.read(view, 0, 4096, 0)).buffer).toBe(view);
    expect(Buffer.from(memory).equals(content.subarray(0, 4096))).toBe(true);
    await file.writev([view, view], 4096);
    expect(
      readFileSync(path)
        .subarray(4096, 12288)
        .equals(Buffer.concat([content.subarray(0, 4096), content.subarray(0, 4096)])),
    ).toBe(true);
    const shared = runInNewContext(`new ${type}(new SharedArrayBuffer(64))`);
    const resizable = runInNewContext(`new ${type}(new ArrayBuffer(64, { maxByteLength: 128 }))`);
    for (const refused of [shared, resizable]) {
      expect(await outcomeOf(() => file.write(refused, { position: 0 }))).toBe('ERR_INVALID_ARG_VALUE');
    }
    await file.close();
  },
);

const noDirect = directSkip();

describe('direct requests', () => {
  test('say how large and aligned they must be', async ({ skip }) => {
    skip(noDirect !== false, String(noDirect));
    const direct = await context.open(path);
    const buffered = await context.open(path, 'r', { direct: false });
    expect([direct.direct, buffered.direct]).toEqual([true, false]);
    expect(buffered.alignment).toEqual({ memory: 1, offset: 1 });
    expect(Object.isFrozen(direct.alignment)).toBe(true);
    await Promise.all([direct.close(), buffered.close()]);
  });
});

test('a context that closes with buffers handed out leaves them readable', async () => {
  const short = new AioContext({ memory: 65536 });
  const buffer = short.allocate(4096).fill(5);
  await short.close();
  expect(buffer.every((byte) => byte === 5)).toBe(true);
  buffer[Symbol.dispose]();
});

describe('memory that is disposed while its request waits', () => {
  /** Disposes a buffer and has somebody else take its memory. */
  function successor(buffer: PoolBuffer, of = context): PoolBuffer {
    const { byteOffset, length } = buffer;
    buffer[Symbol.dispose]();
    const next = of.allocate(length).fill('s');
    if (next.byteOffset !== byteOffset) return next;
    throw new Error('its memory was given away');
  }

  type Call = (file: AioFile, buffer: PoolBuffer) => Promise<unknown>;
  const behind =
    (call: Call): Call =>
    (file, buffer) => {
      const before = file.preallocate(0, 1);
      return Promise.all([call(file, buffer), before]);
    };

  test.each<[string, Call]>([
    ['at the own position, behind another', (file, into) => Promise.all([file.read(), file.read(into, 0, 4096)])],
    ['behind a change of the size', behind((file, into) => file.read(into, 0, 4096, 0))],
    ['behind a change of the size, of several buffers', behind((file, into) => file.readv([into], 0))],
    ['of the whole file', (file, into) => file.readFile({ buffer: into.subarray(0) })],
    [
      'of the whole file, behind a change of the size',
      behind((file, into) => file.readFile({ buffer: into.subarray(0) })),
    ],
  ])('takes what is read %s, and is given back then', async (_name, read) => {
    writeFileSync(path, Buffer.alloc(65536, 'r').subarray(0, _name.includes('whole') ? 4096 : 65536));
    const file = await open();
    const { freeBytes } = context.stats();
    const buffer = context.allocate(4096);
    const view = buffer.subarray(0);
    const reading = read(file, buffer);
    const other = successor(buffer);
    await reading;
    expect([view.toString(), other.toString()]).toEqual(['r'.repeat(4096), 's'.repeat(4096)]);
    other[Symbol.dispose]();
    expect(context.stats().freeBytes).toBe(freeBytes);
    await file.close();
  });

  test.each<[string, Call]>([
    ['behind a change of the size', behind((file, from) => file.write(from, 0, 4096, 0))],
    ['behind a change of the size, all of it', behind((file, from) => file.writeFile(from.subarray(0)))],
    ['where direct I/O cannot begin', (file, from) => file.write(from, 0, 4096, 1)],
  ])('is what is written %s', async (_name, write) => {
    writeFileSync(path, '');
    const file = await open();
    const { freeBytes } = context.stats();
    const buffer = context.allocate(4096).fill('w');
    const writing = write(file, buffer);
    const other = successor(buffer);
    await writing;
    expect(readFileSync(path, 'latin1').slice(-4096)).toBe('w'.repeat(4096));
    other[Symbol.dispose]();
    expect(context.stats().freeBytes).toBe(freeBytes);
    await file.close();
  });

  test('is refused for a new request meanwhile', async () => {
    const file = await open();
    const buffer = context.allocate(4096);
    const view = buffer.subarray(0);
    const changed = file.preallocate(0, 1);
    const reading = file.read(buffer, 0, 4096, 0);
    buffer[Symbol.dispose]();
    expect(await outcomeOf(() => file.read(buffer, 0, 4096, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    expect(await outcomeOf(() => file.read(view, 0, 4096, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    await Promise.all([changed, reading]);
    await file.close();
  });

  test('is kept where it is of another context', async () => {
    const other = new AioContext({ memory: 1 << 20 });
    const { freeBytes } = other.stats();
    const file = await open();
    for (const read of [
      (_: AioFile, into: PoolBuffer) => file.read(into, 0, 4096, 4096),
      (_: AioFile, into: PoolBuffer) => file.read(into.subarray(0), 0, 4096, 4096),
      (_: AioFile, into: PoolBuffer) => file.readv([into], 4096),
      behind((_, into) => file.read(into, 0, 4096, 4096)),
    ]) {
      const buffer = other.allocate(4096);
      const view = buffer.subarray(0);
      const reading = read(file, buffer);
      const next = successor(buffer, other);
      await reading;
      expect(view.equals(content.subarray(4096, 8192))).toBe(true);
      next[Symbol.dispose]();
      expect(other.stats().freeBytes).toBe(freeBytes);
      expect(await outcomeOf(() => file.read(view, 0, 4096, 0))).toBe('ERR_AIO_BUFFER_DISPOSED');
    }
    await Promise.all([file.close(), other.close()]);
  });

  test('by a getter among the options is refused', async () => {
    const file = await open();
    for (const call of ['read', 'write'] as const) {
      const buffer = context.allocate(4096);
      let other: PoolBuffer | undefined;
      const options = {
        position: 0,
        get signal(): undefined {
          buffer[Symbol.dispose]();
          other ??= context.allocate(4096);
          return undefined;
        },
      };
      expect(await outcomeOf(() => (call === 'read' ? file.read(buffer, options) : file.write(buffer, options)))).toBe(
        'ERR_AIO_BUFFER_DISPOSED',
      );
      expect(other?.every((byte) => byte === 0)).toBe(true);
      other?.[Symbol.dispose]();
    }
    await file.close();
  });
});
