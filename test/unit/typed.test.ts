// Whatever is given to the package, what it answers with says by its code what it is: found by test/campaigns/fuzz.
import { getEventListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AioContext, type AioFile, copyFile } from '../../src/index.ts';
import * as layout from '../../src/layout/index.ts';
import * as raw from '../../src/raw/index.ts';
import { block } from '../support/blocker.ts';
import { outcomeOf, submitted } from '../support/outcome.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
writeFileSync(path, Buffer.alloc(8192));
const context = new AioContext({ memory: 1 << 20 });
afterAll(() => context.close());

/** What no type allows. */
const any = (value: unknown): never => value as never;

function detached(make: (memory: ArrayBuffer) => NodeJS.ArrayBufferView): NodeJS.ArrayBufferView {
  const memory = new ArrayBuffer(64);
  const view = make(memory);
  structuredClone(memory, { transfer: [memory] });
  return view;
}

describe('kaio/layout', () => {
  const iocb = layout.layoutOf('iocb');
  test.each<[string, string, () => unknown]>([
    ['a text that is none', 'ERR_INVALID_ARG_TYPE', () => layout.parseHex(any(1), false)],
    ['a structure that is no name', 'ERR_INVALID_ARG_TYPE', () => layout.layoutOf(any(Object.create(null)))],
    ['a constant that there is not', 'ERR_INVALID_ARG_VALUE', () => layout.constantOn(any('toString'))],
    ['a constant that is no name', 'ERR_INVALID_ARG_TYPE', () => layout.constantOn(any(Symbol('x')))],
    ['an iocb that is none', 'ERR_INVALID_ARG_TYPE', () => layout.refusals(any(null))],
    ['an iocb with a text', 'ERR_INVALID_ARG_TYPE', () => layout.refusals(any({ aio_buf: 'x' }))],
    [
      'memory that is gone',
      'ERR_INVALID_ARG_VALUE',
      () => layout.decodeIocb(detached((memory) => new DataView(memory))),
    ],
    ['a layout that is none', 'ERR_INVALID_ARG_TYPE', () => layout.drawText(any(undefined))],
    ['a layout of no structure', 'ERR_INVALID_ARG_VALUE', () => layout.drawTable({ ...iocb, name: any('toString') })],
    ['a layout too large to draw', 'ERR_INVALID_ARG_VALUE', () => layout.drawSvg({ ...iocb, size: 2 ** 31 })],
    ['a field outside of its layout', 'ERR_INVALID_ARG_VALUE', () => layout.drawText({ ...iocb, size: 32 })],
    [
      'fields that overlap',
      'ERR_INVALID_ARG_VALUE',
      () => layout.drawText({ ...iocb, fields: iocb.fields.toReversed() }),
    ],
    ['options that are none', 'ERR_INVALID_ARG_TYPE', () => layout.drawText(iocb, any(null))],
  ])('of %s: %s', async (_what, code, call) => {
    expect(await outcomeOf(call)).toBe(code);
  });
});

describe('kaio/raw', () => {
  test.each<[string, () => unknown]>([
    ['a context that is a number', () => raw.io_destroy(any(1))],
    ['a bigint that no address is', () => raw.io_submit(-1n, 0, 0n)],
    ['a count that is no number', () => raw.io_getevents(0n, any('0'), 0, 0n)],
    ['a timeout of null', () => raw.io_getevents(0n, 0, 0, 0n, any(null))],
    ['what has no address', () => raw.addressOf(any({}))],
    ['more requests than a number of 32 bits says', () => raw.io_setup(2 ** 32 + 1)],
    ['fewer requests than that', () => raw.io_setup(7 - 2 ** 32)],
    ['a count that is cut to 3', () => raw.eventfd(2 ** 32 + 3, 0)],
    ['flags that are cut to 0', () => raw.eventfd(5, 2 ** 32)],
    ['options of an arena that are null', () => new raw.Arena(65536, any(null))],
    ['no buffer to free', () => new raw.Arena(65536).free(any(undefined))],
    ['no view of an arena', () => new raw.Arena(65536).addressOf(any(null))],
  ])('of %s: ERR_INVALID_ARG_TYPE', async (_what, call) => {
    expect(await outcomeOf(call)).toBe('ERR_INVALID_ARG_TYPE');
  });
});

test('shared memory has an address as any other', () => {
  const shared = new SharedArrayBuffer(8);
  expect(raw.addressOf(shared)).toBe(raw.addressOf(new Uint8Array(shared)));
});

describe('kaio', () => {
  test('of memory that was transferred away: ERR_INVALID_ARG_VALUE, and a read by halves is none', async () => {
    const file = await context.open(path, 'r+', { direct: 'auto' });
    const gone = detached((memory) => new Float64Array(memory));
    expect(await outcomeOf(() => file.writev([Buffer.alloc(512), gone], 0))).toBe('ERR_INVALID_ARG_VALUE');
    expect(await outcomeOf(() => file.readv([detached((memory) => new DataView(memory))], 0))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    await file.close();
  });

  test('of memory that is transferred away while a read waits for its turn: EFAULT, and of what was gone before: nothing read', async () => {
    writeFileSync(path, Buffer.alloc(8192));
    const file = await context.open(path, 'r+', { direct: 'auto' });
    for (const bytes of [50, 4096]) {
      // At the file's own position requests go one after another, and 100 is no multiple that direct I/O could begin at.
      const first = file.read(Buffer.alloc(100), 0, 100, null);
      const memory = new ArrayBuffer(bytes);
      const waiting = outcomeOf(() => file.read(Buffer.from(memory), {}));
      const several = outcomeOf(() => file.readv([Buffer.alloc(10), Buffer.from(memory)]));
      structuredClone(memory, { transfer: [memory] });
      const gone = file.read(
        detached((from) => Buffer.from(from)),
        {},
      );
      await first;
      expect([await waiting, await several]).toEqual(['EFAULT', 'EFAULT']);
      expect((await gone).bytesRead).toBe(0);
    }
    await file.close();
  });

  test('of what cannot be written as a whole: ERR_INVALID_ARG_TYPE', async () => {
    const file = await context.open(path, 'r+', { direct: 'auto' });
    for (const data of [
      [[Symbol('no byte')]],
      [[1n]],
      [1],
      [null],
      { [Symbol.iterator]: 1 },
      { [Symbol.asyncIterator]: null },
    ]) {
      expect(await outcomeOf(() => file.writeFile(any(data)))).toBe('ERR_INVALID_ARG_TYPE');
      expect(await outcomeOf(() => file.appendFile(any(data)))).toBe('ERR_INVALID_ARG_TYPE');
    }
    await file.close();
  });

  test('of an encoding that is none, memory that is gone among them: ERR_INVALID_ARG_VALUE, and no stream is left', async () => {
    const file = await context.open(path, 'r+', { direct: 'auto' });
    for (const encoding of ['nonsense', 1, Symbol('utf8'), detached((memory) => new Float32Array(memory))]) {
      const options = any({ encoding });
      expect(await outcomeOf(() => file.createReadStream(options))).toBe('ERR_INVALID_ARG_VALUE');
      expect(await outcomeOf(() => file.createWriteStream(options))).toBe('ERR_INVALID_ARG_VALUE');
      expect(await outcomeOf(() => file.readLines(options))).toBe('ERR_INVALID_ARG_VALUE');
      expect(await outcomeOf(() => file.readFile(options))).toBe('ERR_INVALID_ARG_VALUE');
      expect(await outcomeOf(() => file.writeFile('', options))).toBe('ERR_INVALID_ARG_VALUE');
    }
    await file.close();
  });

  test('stat answers whatever it is given, and so the file can be closed', async () => {
    const file = await context.open(path, 'r', { direct: 'auto' });
    for (const options of [undefined, () => {}, 5, 'bigint', {}])
      expect((await file.stat(any(options))).size).toBe(8192);
    expect((await file.stat({ bigint: true })).size).toBe(8192n);
    await file.close();
  });

  test('of a mode that Node.js would abort the process for: ERR_OUT_OF_RANGE', async () => {
    const file = await context.open(path, 'r+', { direct: 'auto' });
    for (const mode of [2 ** 31, 2 ** 32 - 1, '37777777777']) {
      expect(await outcomeOf(() => file.chmod(mode))).toBe('ERR_OUT_OF_RANGE');
      expect(await outcomeOf(() => context.open(path, 'r', { mode }))).toBe('ERR_OUT_OF_RANGE');
    }
    expect(await outcomeOf(() => file.chmod(any(undefined)))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await outcomeOf(() => context.open(path, 'r', { mode: -0 }).then((opened) => opened.close()))).toBe('ok');
    expect(await outcomeOf(() => file.chmod(-0))).toBe('ok');
    expect(await outcomeOf(() => file.chmod(0o600))).toBe('ok');
    await file.close();
  });
});

describe('a signal whose own properties throw', () => {
  /** A signal that nobody should ask anything but by the built-in methods. */
  function thrower(): AbortController {
    const controller = new AbortController();
    const get = () => {
      throw new Error('a property of its own was asked');
    };
    const names = ['aborted', 'reason', 'throwIfAborted', 'addEventListener', 'removeEventListener', 'onabort'];
    Object.defineProperties(controller.signal, Object.fromEntries(names.map((name) => [name, { get }])));
    return controller;
  }

  const calls: Record<string, (file: AioFile, signal: AbortSignal) => Promise<unknown>> = {
    read: (file, signal) => file.read(Buffer.alloc(512), { position: 0, signal }),
    'read at its own position': (file, signal) => file.read(Buffer.alloc(512), { signal }),
    'write of five bytes': (file, signal) => file.write(Buffer.alloc(5), { position: 1, signal }),
    readv: (file, signal) => file.readv([Buffer.alloc(512)], 0, { signal }),
    sync: (file, signal) => file.sync({ signal }),
    readFile: (file, signal) => file.readFile({ signal }),
    writeFile: (file, signal) => file.writeFile('text', { signal }),
    copyFile: (_file, signal) => copyFile(path, `${path}-copy`, { context: small, signal }),
  };
  let small: AioContext;
  beforeEach(() => {
    small = new AioContext({ depth: 1, memory: 1 << 20 });
  });
  afterEach(() => small.close());

  test.each(Object.entries(calls))('lets a %s end, and keeps no listener', async (_name, call) => {
    const file = await small.open(path, 'r+', { direct: 'auto' });
    const { signal } = thrower();
    expect(await outcomeOf(() => call(file, signal))).toBe('ok');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await file.close();
  });

  test.each(Object.entries(calls))('aborts a %s', async (_name, call) => {
    const file = await small.open(path, 'r+', { direct: 'auto' });
    const controller = thrower();
    const { signal } = controller;
    const blocker = await block(small);
    const outcome = outcomeOf(() => call(file, signal));
    await submitted();
    controller.abort();
    expect(await outcome).toBe('ABORT_ERR');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await outcomeOf(() => call(file, signal))).toBe('ABORT_ERR');
    await blocker.release();
    await file.close();
    expect(small.stats()).toMatchObject({ queued: 0, inFlight: 0 });
  });
});
