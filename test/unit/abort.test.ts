// Requests that are given up: what rejects, when, and what becomes of the file.
import { getEventListeners } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { block } from '../support/blocker.ts';
import { outcomeOf, submitted } from '../support/outcome.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
const BYTES = 1 << 20;
let context: AioContext;
const open = () => context.open(path, 'r+', { direct: 'auto', submit: 'offload' });

beforeEach(() => {
  writeFileSync(path, Buffer.alloc(BYTES, 'o'));
  context = new AioContext({ depth: 1, memory: 4 << 20 });
});
afterEach(() => context.close());

test("an abort rejects with Node's AbortError, whose cause is the reason", async () => {
  const file = await open();
  const blocker = await block(context);
  const controller = new AbortController();
  const reason = new Error('no longer wanted');
  const read = file.read(Buffer.alloc(512), { position: 0, signal: controller.signal });
  controller.abort(reason);
  await expect(read).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
  await blocker.release();
  await file.close();
});

test('what was aborted before its turn is never submitted', async () => {
  const file = await open();
  const blocker = await block(context);
  const controller = new AbortController();
  const { signal } = controller;
  const before = context.stats();
  const outcomes = [
    outcomeOf(() => file.write(Buffer.alloc(4096, 'n'), { position: 0, signal })),
    outcomeOf(() => file.writev([Buffer.alloc(4096, 'n')], 0, { signal })),
    outcomeOf(() => file.write(Buffer.alloc(BYTES, 'n'), { position: 0, signal })),
    outcomeOf(() => file.sync({ signal })),
    outcomeOf(() => file.read(Buffer.alloc(4096), { position: 0, signal })),
  ];
  controller.abort();
  expect(await Promise.all(outcomes)).toEqual(new Array(5).fill('ABORT_ERR'));
  await blocker.release();
  await file.drain();
  const after = context.stats();
  expect(after.submittedInline + after.submittedOffThread).toBe(before.submittedInline + before.submittedOffThread);
  expect(after).toMatchObject({ queued: 0, inFlight: 0, aborted: before.aborted + 5 });
  expect(readFileSync(path).equals(Buffer.alloc(BYTES, 'o'))).toBe(true);
  await file.close();
});

test('a request that waits for its turn at the own position rejects at once', async () => {
  const file = await open();
  const blocker = await block(context);
  const controller = new AbortController();
  let first = false;
  const reading = file.read(Buffer.alloc(512)).then(() => {
    first = true;
  });
  const second = outcomeOf(() => file.read({ buffer: Buffer.alloc(512), signal: controller.signal }));
  const third = file.read(Buffer.alloc(512));
  controller.abort();
  const early = await Promise.race([second, sleep(1000, 'still waiting')]);
  expect([early, first]).toEqual(['ABORT_ERR', false]);
  await blocker.release();
  await reading;
  expect((await third).bytesRead).toBe(512);
  await file.close();
});

test('an aborted read leaves the buffer that it was to fill alone from then on', async () => {
  const file = await open();
  const controller = new AbortController();
  const buffer = Buffer.alloc(BYTES);
  const read = outcomeOf(() => file.read(buffer, { position: 0, signal: controller.signal }));
  await submitted();
  controller.abort();
  const then = Buffer.from(buffer);
  expect(await read).toBe('ABORT_ERR');
  await file.drain();
  expect(buffer.equals(then)).toBe(true);
  await file.close();
});

test('after an aborted write another one over it wins', async () => {
  const file = await open();
  for (let round = 0; round < 20; round++) {
    const controller = new AbortController();
    const old = outcomeOf(() => file.write(Buffer.alloc(BYTES, 'a'), { position: 0, signal: controller.signal }));
    await submitted();
    controller.abort();
    const letter = String.fromCharCode(98 + round);
    const last = file.write(Buffer.alloc(BYTES / 2, letter), 0, BYTES / 2, BYTES / 4);
    expect(await old).toBe('ABORT_ERR');
    expect((await last).bytesWritten).toBe(BYTES / 2);
    await file.drain();
    const written = readFileSync(path).subarray(BYTES / 4, (BYTES * 3) / 4);
    expect(written.equals(Buffer.alloc(BYTES / 2, letter))).toBe(true);
  }
  await file.close();
});

test('drain and close wait for what an aborted request still does', async () => {
  for (const end of ['drain', 'close'] as const) {
    const file = await open();
    const controller = new AbortController();
    const write = outcomeOf(() => file.write(Buffer.alloc(4096, 'w'), { position: 0, signal: controller.signal }));
    await submitted();
    expect(context.stats().inFlight).toBe(1);
    controller.abort();
    expect(await write).toBe('ABORT_ERR');
    await file[end]();
    expect(context.stats().inFlight).toBe(0);
    // It was with the kernel, and so it was done.
    expect(readFileSync(path).subarray(0, 4096).equals(Buffer.alloc(4096, 'w'))).toBe(true);
    await file.close();
  }
});

describe('signals', () => {
  test('of a timeout end a request that takes too long', async () => {
    const file = await open();
    const blocker = await block(context);
    const read = file.read(Buffer.alloc(512), { position: 0, signal: AbortSignal.timeout(10) });
    await expect(read).rejects.toMatchObject({ name: 'AbortError', cause: { name: 'TimeoutError' } });
    await blocker.release();
    await file.close();
  });

  test('that are aborted after the end change nothing', async () => {
    const file = await open();
    const controller = new AbortController();
    const { aborted } = context.stats();
    expect((await file.read(Buffer.alloc(512), { position: 0, signal: controller.signal })).bytesRead).toBe(512);
    controller.abort();
    expect(context.stats().aborted).toBe(aborted);
    await file.close();
  });

  test('may be shared by many requests, without a warning and without a listener left', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    const file = await open();
    const controller = new AbortController();
    const { signal } = controller;
    await Promise.all(Array.from({ length: 100 }, () => file.read(Buffer.alloc(512), { position: 0, signal })));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', note);
    expect(warnings).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await file.close();
  });

  test('end a request whatever other listeners do with the event', async () => {
    const file = await open();
    const blocker = await block(context);
    const controller = new AbortController();
    const { signal } = controller;
    signal.addEventListener('abort', (event) => event.stopImmediatePropagation());
    // The last waits for the second, at the own position, and not yet in the engine.
    const reads = [0, null, null].map((position) =>
      outcomeOf(() => file.read(Buffer.alloc(512), { position, signal })),
    );
    controller.abort();
    const early = await Promise.race([Promise.all(reads), sleep(1000, 'still waiting')]);
    expect(early).toEqual(['ABORT_ERR', 'ABORT_ERR', 'ABORT_ERR']);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await blocker.release();
    await file.close();
  });

  test('end a request with a callback through it', async () => {
    const file = await open();
    const blocker = await block(context);
    const controller = new AbortController();
    const given = new Promise<unknown[]>((resolve) => {
      file.read(Buffer.alloc(512), { position: 0, signal: controller.signal }, (...all) => resolve(all));
    });
    controller.abort();
    expect(await given).toEqual([expect.objectContaining({ code: 'ABORT_ERR' })]);
    await blocker.release();
    await file.close();
  });
});

describe('a signal that lets nobody listen', () => {
  /** As of now Node takes it for no EventTarget: to listen to it, or no longer, throws. */
  const deafen = (signal: AbortSignal) => Object.defineProperty(signal, 'constructor', { value: null });

  test('is refused, and nothing stays behind of the request', async () => {
    const file = await open();
    const { signal } = new AbortController();
    deafen(signal);
    const buffer = context.allocate(4096);
    for (const callback of [false, true]) {
      const refused = callback
        ? new Promise((resolve) => file.read(buffer, { position: 0, signal }, resolve))
        : file.read(buffer, { position: 0, signal }).catch((error: unknown) => error);
      expect(await refused).toMatchObject({ code: 'ERR_INVALID_THIS' });
    }
    expect(await file.read(buffer, { position: 0 })).toMatchObject({ bytesRead: 4096 });
    await file.close();
  });

  test('loses no completion where it becomes one under way', async () => {
    const wide = new AioContext({ depth: 16, memory: 4 << 20 });
    const file = await wide.open(path, 'r', { direct: 'auto' });
    const { signal } = new AbortController();
    const reads = Array.from({ length: 16 }, (_, i) =>
      file.read(wide.allocate(4096), { position: 0, signal: i % 4 === 1 ? signal : undefined }),
    );
    deafen(signal);
    const settled = await Promise.race([Promise.all(reads), sleep(5000, [])]);
    expect(settled.map(({ bytesRead }) => bytesRead)).toEqual(new Array(16).fill(4096));
    await file.close();
    await wide.close();
  });
});

test('requests at the own position listen to their signal once, and to none when they are over', async () => {
  const file = await context.open(path, 'r', { direct: false });
  const { signal } = new AbortController();
  const reads = Array.from({ length: 50 }, () => file.read(Buffer.alloc(16), { signal }));
  await new Promise((resolve) => setImmediate(resolve));
  // One for those that have their turn, one for those that wait for it.
  expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(2);
  await Promise.all(reads);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  await file.close();
});
