import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../../src/layout/constants.ts';
import { fakeEngine, fakeTarget, turn } from '../support/fake-kernel.ts';

const count = (bytes: number): unknown => bytes;

test('tracing tools hear of every slice, job and batch of completions', async () => {
  const heard: [string, unknown][] = [];
  const listener = (message: unknown, name: string | symbol): void => {
    heard.push([String(name), message]);
  };
  const names = ['kaio:submit', 'kaio:job', 'kaio:complete'];
  for (const name of names) subscribe(name, listener);
  const { engine, kernel } = fakeEngine();
  const appended = fakeTarget({ append: true });
  const view = engine.pool.allocate(512);
  const done = [
    engine.transfer(IOCB_CMD_PREAD, fakeTarget(), view, 0, 512, 0, undefined, count, view, undefined),
    engine.transfer(IOCB_CMD_PWRITE, appended, Buffer.alloc(9), 0, 9, 0, undefined, count, undefined, undefined),
  ];
  await turn();
  kernel.completeAll();
  await Promise.all(done);
  for (const name of names) unsubscribe(name, listener);
  expect(heard).toEqual([
    ['kaio:submit', { count: 1, durationMs: expect.any(Number), inFlight: 1, inFlightBytes: 512 }],
    ['kaio:job', { count: 1, fd: appended.fd, path: '/fake' }],
    ['kaio:complete', { count: 2, inFlight: 2, inFlightBytes: 521 }],
  ]);
});

test('latencies are measured from the submit on, where that was asked for', async () => {
  for (const latency of [true, false]) {
    const { engine, kernel } = fakeEngine({ latency });
    const view = engine.pool.allocate(1 << 20);
    const done = engine.transfer(IOCB_CMD_PREAD, fakeTarget(), view, 0, 1 << 20, 0, undefined, count, view, undefined);
    await turn();
    await new Promise((resolve) => setTimeout(resolve, 20));
    kernel.completeAll();
    await done;
    const histogram = engine.stats().latency;
    expect(histogram?.count).toBe(latency ? 1 : undefined);
    if (latency) expect(histogram?.min).toBeGreaterThan(10e6);
  }
});
