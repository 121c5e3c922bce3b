// Callbacks in the place of promises: when they are called, with what, and in which context. What they throw is in test/lifecycle.
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { closeSync, writeFileSync, writeSync } from 'node:fs';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { AioContext, type AioFile } from '../../src/index.ts';
import { eventfd } from '../../src/raw/index.ts';
import { submitted } from '../support/outcome.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
writeFileSync(path, Buffer.alloc(4096, 'x'));
const context = new AioContext({ memory: 65536 });
afterAll(() => context.close());

type Callback = (error: Error | null, ...rest: unknown[]) => void;
const buffer = Buffer.alloc(16);

/** Every way to give a callback. */
const ways: Record<string, (file: AioFile, callback: Callback) => unknown> = {
  'read(buffer, offset, length, position)': (file, callback) => file.read(buffer, 0, 16, 0, callback),
  'read(buffer, options)': (file, callback) => file.read(buffer, { position: 0 }, callback),
  'read at the own position': (file, callback) => file.read(buffer, 0, 16, null, callback),
  'write(buffer, offset, length, position)': (file, callback) => file.write(buffer, 0, 16, 0, callback),
  'write(buffer, options)': (file, callback) => file.write(buffer, { position: 0 }, callback),
  'write at the own position': (file, callback) => file.write(buffer, 0, 16, null, callback),
  readv: (file, callback) => file.readv([buffer], 0, callback),
  writev: (file, callback) => file.writev([buffer], 0, callback),
  'sync()': (file, callback) => file.sync(callback),
  'sync(options)': (file, callback) => file.sync({ ioprio: 0 }, callback),
  'datasync()': (file, callback) => file.datasync(callback),
  'datasync(options)': (file, callback) => file.datasync({}, callback),
};

function call(file: AioFile, way: string): { returned: unknown; early: boolean; given: Promise<unknown[]> } {
  const calls: unknown[][] = [];
  let returned: unknown;
  const given = new Promise<unknown[]>((resolve) => {
    returned = ways[way]!(file, (...all) => {
      calls.push(all);
      resolve(all);
    });
  });
  return { returned, early: calls.length > 0, given };
}

test.each(Object.keys(ways))('%s calls it once, after the call has returned, with what came of it', async (way) => {
  const file = await context.open(path, 'r+', { direct: false });
  const { returned, early, given } = call(file, way);
  expect([returned, early]).toEqual([undefined, false]);
  const [error, bytes] = await given;
  expect(error).toBeNull();
  if (!way.includes('sync')) expect(bytes).toBe(16);
  await file.close();
});

test.each(Object.keys(ways))('%s of a closed file calls it with the error, not at once either', async (way) => {
  const file = await context.open(path, 'r+', { direct: false });
  await file.close();
  const { returned, early, given } = call(file, way);
  expect([returned, early]).toEqual([undefined, false]);
  expect(await given).toEqual([expect.objectContaining({ code: 'EBADF' })]);
});

test.each(Object.keys(ways))('%s keeps the store of an AsyncLocalStorage for it', async (way) => {
  const storage = new AsyncLocalStorage<string>();
  const file = await context.open(path, 'r+', { direct: false });
  const stores = ['first', 'second'].map((store) =>
    storage.run(store, () => new Promise((resolve) => ways[way]!(file, () => resolve(storage.getStore())))),
  );
  expect(await Promise.all(stores)).toEqual(['first', 'second']);
  await file.close();
});

test('a promise keeps the store of an AsyncLocalStorage', async () => {
  const storage = new AsyncLocalStorage<number>();
  const file = await context.open(path, 'r', { direct: false });
  const stores = Array.from({ length: 10 }, (_, i) =>
    storage.run(i, async () => {
      await file.read(Buffer.alloc(16), 0, 16, i % 2 === 0 ? 0 : null);
      return storage.getStore();
    }),
  );
  expect(await Promise.all(stores)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await file.close();
});

test('what a wake-up of the default context publishes is not in the context of whoever asked for it first', async () => {
  await AioContext.default.close();
  const storage = new AsyncLocalStorage<string>();
  const first = storage.run('first', () => AioContext.default);
  const stores: unknown[] = [];
  const onComplete = (): number => stores.push(storage.getStore());
  subscribe('kaio:complete', onComplete);
  onTestFinished(() => void unsubscribe('kaio:complete', onComplete));
  // Not ready when it is submitted, so that the loop is woken.
  const counter = eventfd(0, 0);
  const polled = first.poll(counter, 1);
  await submitted();
  writeSync(counter, new BigUint64Array([1n]));
  await polled;
  expect(stores).toEqual([undefined]);
  closeSync(counter);
});

test('a wrong argument goes to the callback', async () => {
  const file = await context.open(path, 'r', { direct: false });
  const given = new Promise((resolve) => file.read(buffer, -1, 16, 0, resolve));
  expect(await given).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
  await file.close();
});

test('callbacks may make requests, and have all of them answered', async () => {
  const file = await context.open(path, 'r', { direct: false });
  let left = 500;
  await new Promise<void>((resolve, reject) => {
    const next = (error: Error | null): void => {
      if (error !== null) reject(error);
      else if (--left === 0) resolve();
      else file.read(Buffer.alloc(16), 0, 16, 0, next);
    };
    file.read(Buffer.alloc(16), 0, 16, 0, next);
  });
  expect(left).toBe(0);
  await file.close();
});

test('a callback is the last argument, also behind options and behind an encoding', async () => {
  const file = await context.open(path, 'w+', { direct: false });
  const called = (run: (callback: (...given: unknown[]) => void) => unknown): Promise<unknown[]> =>
    new Promise((resolve) => expect(run((...given) => resolve(given))).toBeUndefined());
  expect(await called((callback) => file.write('c3bc', 0, 'hex', callback))).toEqual([null, 2, 'c3bc']);
  expect(await called((callback) => file.write('abc', 0, 'hex', callback))).toMatchObject([
    { code: 'ERR_INVALID_ARG_VALUE' },
  ]);
  const buffers = [Buffer.from('ab'), Buffer.from('cd')];
  expect(await called((callback) => file.writev(buffers, 2, { dsync: true }, callback))).toEqual([null, 4, buffers]);
  const into = [Buffer.alloc(6)];
  expect(await called((callback) => file.readv(into, 0, undefined, callback))).toEqual([null, 6, into]);
  expect(into[0]?.toString()).toBe('\u00fcabcd');
  const aborted = { signal: AbortSignal.abort() };
  expect(await called((callback) => file.readv(into, 0, aborted, callback))).toMatchObject([{ code: 'ABORT_ERR' }]);
  await file.close();
});
