import { writeSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { IOCB_CMD_POLL, IOCB_CMD_PREAD } from '../../src/layout/index.ts';
import { io_getevents } from '../../src/raw/index.ts';
import { kernelBefore } from '../support/proc.ts';
import { ALL_ONES, answer, KERNEL_ADDRESS, order, Rig } from '../support/raw.ts';
import { pattern, temporaryFile, temporaryPipe } from '../support/raw-files.ts';
import { callInThread, settle } from '../support/raw-threads.ts';

const POLLIN = 0x1n;
const NOW = { tv_sec: 0, tv_nsec: 0 };
const MILLISECOND = 1_000_000;

/** A rig in whose ring `count` events are ready. */
function ready(count: number): Rig {
  const rig = new Rig();
  add(rig, count);
  return rig;
}

function add(rig: Rig, count: number): void {
  const { fd } = temporaryFile({ content: pattern(64) });
  const read = { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(64)), nbytes: 64 };
  const iocbs = Array.from({ length: count }, (_, at) => rig.iocb({ ...read, data: BigInt(at) }));
  expect(rig.submit(...iocbs)).toBe(count);
}

/** Calls, and says how many milliseconds that took. */
function timed<T>(call: () => T): { result: T; elapsedMs: number } {
  const start = performance.now();
  const result = call();
  return { result, elapsedMs: performance.now() - start };
}

test.each([
  ['fewer than no events at least', -1, 1],
  ['fewer than no events at most', 0, -1],
  ['more events at least than at most', 2, 1],
])('a wait for %s is refused', (_, min, nr) => {
  const rig = ready(3);
  expect(answer(() => io_getevents(rig.ctx, min, nr, rig.events, NOW))).toBe('EINVAL');
  expect(rig.unread).toBe(3);
});

test('a context that does not exist is refused', () => {
  const rig = new Rig();
  for (const ctx of [0n, ALL_ONES, rig.arena.address]) {
    expect(answer(() => io_getevents(ctx, 0, 1, rig.events, NOW))).toBe('EINVAL');
  }
});

test('a bad timeout pointer is a fault, before the context is looked at', () => {
  const rig = ready(1);
  for (const timeout of [KERNEL_ADDRESS, rig.end]) {
    expect(answer(() => io_getevents(rig.ctx, 1, 1, rig.events, timeout))).toBe('EFAULT');
    expect(answer(() => io_getevents(0n, 1, 1, rig.events, timeout))).toBe('EFAULT');
  }
  expect(rig.unread).toBe(1);
});

test('a timeout is read from memory', () => {
  const rig = new Rig();
  const timespec = rig.buffer(16);
  timespec[`writeBigInt64${order}`](BigInt(50 * MILLISECOND), 8);
  const { result, elapsedMs } = timed(() => io_getevents(rig.ctx, 1, 1, rig.events, rig.address(timespec)));
  expect(result).toBe(0);
  expect(elapsedMs).toBeGreaterThanOrEqual(49);
});

test('no room for events is a fault where one is ready, which is kept, and fine where none is', () => {
  const rig = ready(1);
  for (const events of [0n, KERNEL_ADDRESS, rig.end]) {
    expect(answer(() => io_getevents(rig.ctx, 1, 1, events, NOW))).toBe('EFAULT');
  }
  expect(rig.poll(1)).toMatchObject([{ res: 64 }]);
  expect(answer(() => io_getevents(rig.ctx, 0, 1, 0n, NOW))).toBe(0);
});

test('a call that need not wait does not, whatever the timeout', () => {
  const rig = new Rig();
  const seconds = { tv_sec: 5, tv_nsec: 0 };
  for (const nr of [0, 1]) {
    const { result, elapsedMs } = timed(() => io_getevents(rig.ctx, 0, nr, rig.events, seconds));
    expect(result).toBe(0);
    expect(elapsedMs).toBeLessThan(4000);
  }
});

test('a call takes as many events as it has room for, in their order, and the next takes the rest', () => {
  const rig = ready(10);
  expect(rig.poll(3, NOW, 1).map(({ data }) => data)).toEqual([0n, 1n, 2n]);
  expect(rig.poll(100, NOW, 0).map(({ data }) => data)).toEqual([3n, 4n, 5n, 6n, 7n, 8n, 9n]);
  expect(rig.poll()).toEqual([]);
});

test.each([
  ['no time', 0],
  ['10 ns', 10],
  ['100 ms', 100 * MILLISECOND],
])('a wait of %s for nothing has nothing', (_, tv_nsec) => {
  const rig = new Rig();
  const { result, elapsedMs } = timed(() => io_getevents(rig.ctx, 1, 1, rig.events, { tv_sec: 0, tv_nsec }));
  expect(result).toBe(0);
  expect(elapsedMs).toBeGreaterThanOrEqual(tv_nsec / MILLISECOND - 1);
});

test('fewer events than were waited for come when the time is over', () => {
  const rig = ready(3);
  const { result, elapsedMs } = timed(() => rig.poll(5, { tv_sec: 0, tv_nsec: 100 * MILLISECOND }));
  expect(result).toHaveLength(3);
  expect(elapsedMs).toBeGreaterThanOrEqual(99);
});

test('fewer events than were waited for come at once where no time was given', () => {
  expect(ready(3).poll(5, NOW)).toHaveLength(3);
});

test('nanoseconds of more than a second are waited for', () => {
  const rig = new Rig();
  const { result, elapsedMs } = timed(() =>
    io_getevents(rig.ctx, 1, 1, rig.events, { tv_sec: 0, tv_nsec: 1500 * MILLISECOND }),
  );
  expect(result).toBe(0);
  expect(elapsedMs).toBeGreaterThanOrEqual(1499);
});

test.each([
  { tv_sec: 1, tv_nsec: -950 * MILLISECOND },
  { tv_sec: -1, tv_nsec: 1050 * MILLISECOND },
])('seconds and nanoseconds are added, and one of them may be negative ($tv_sec s, $tv_nsec ns)', (timeout) => {
  const rig = new Rig();
  const { result, elapsedMs } = timed(() => io_getevents(rig.ctx, 1, 1, rig.events, timeout));
  expect(result).toBe(0);
  expect(elapsedMs).toBeGreaterThanOrEqual(49);
  expect(elapsedMs).toBeLessThan(4000);
});

test.each([
  { tv_sec: -1, tv_nsec: 0 },
  { tv_sec: 0, tv_nsec: -1 },
  { tv_sec: 1, tv_nsec: -2000 * MILLISECOND },
])('a negative time is for ever ($tv_sec s, $tv_nsec ns)', async (timeout) => {
  const rig = new Rig();
  const waiter = await callInThread('io_getevents', rig.ctx, 1, 1, rig.events, timeout);
  await settle();
  expect(waiter.returned).toBe(false);
  add(rig, 1);
  expect(await waiter.result).toBe(1);
});

/** Threads that each wait for `min` of up to `nr` events, and a pipe for each event to come. */
async function waiters(rig: Rig, mins: readonly number[], pipes: number) {
  const ends = Array.from({ length: pipes }, () => temporaryPipe());
  const polls = ends.map(({ reader }) => rig.iocb({ opcode: IOCB_CMD_POLL, fd: reader, buf: POLLIN }));
  expect(rig.submit(...polls)).toBe(pipes);
  const calls = await Promise.all(
    mins.map((min) => callInThread('io_getevents', rig.ctx, min, min, rig.address(rig.buffer(32 * min)))),
  );
  // Before the threads are ended, which would wait for those that still wait.
  onTestFinished(() => rig.destroy());
  await settle();
  return { calls, fire: (at: number) => writeSync(ends[at]!.writer, 'x') };
}

test('four threads that wait for one event each get one each of four', async () => {
  const rig = new Rig();
  const { calls, fire } = await waiters(rig, [1, 1, 1, 1], 4);
  expect(calls.some(({ returned }) => returned)).toBe(false);
  for (let at = 0; at < 4; at++) fire(at);
  expect(await Promise.all(calls.map(({ result }) => result))).toEqual([1, 1, 1, 1]);
  expect(rig.unread).toBe(0);
});

test('a thread that waits for two events leaves a single one to a thread that waits for one', async () => {
  const rig = new Rig();
  const { calls, fire } = await waiters(rig, [2, 1], 3);
  fire(0);
  // Before Linux 6.8 a completion wakes whoever waits (fs/aio.c, aio_complete): also who waits for two may take it, and waits on.
  if (!kernelBefore(6, 8)) expect(await calls[1]!.result).toBe(1);
  await settle();
  expect(calls[0]!.returned).toBe(false);
  fire(1);
  fire(2);
  expect(await Promise.all(calls.map(({ result }) => result))).toEqual([2, 1]);
});

test('a thread that waits for two events takes them together; before Linux 6.8 one by one', async () => {
  const rig = new Rig();
  const { calls, fire } = await waiters(rig, [2], 2);
  fire(0);
  if (kernelBefore(6, 8)) while (rig.unread > 0) await settle(10);
  await settle();
  expect(rig.unread).toBe(kernelBefore(6, 8) ? 0 : 1);
  fire(1);
  expect(await calls[0]!.result).toBe(2);
});

test('a thread that waits when its context is destroyed is woken', async () => {
  const rig = new Rig();
  const { calls } = await waiters(rig, [1], 0);
  rig.destroy();
  expect(await calls[0]!.result).toBe('EINVAL');
});
