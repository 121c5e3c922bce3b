// Waiting for descriptors: context.poll, and files that are pipes.

import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { eventfd } from '../../src/raw/index.ts';
import { outcomeOf, turn } from '../support/outcome.ts';
import { eventually } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';

const POLLIN = 1;
const POLLOUT = 4;
const POLLHUP = 16;

const folder = scratchFolder();
const context = new AioContext({ depth: 16, memory: 65536 });
afterAll(() => context.close());

let pipes = 0;

/** Both ends of a pipe, which have one wait queue each. */
function pipe(): { read: number; write: number } {
  const path = `${folder}/pipe${pipes++}`;
  execFileSync('mkfifo', [path]);
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { read, write: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) };
}

function close(...descriptors: number[]): void {
  for (const fd of descriptors) closeSync(fd);
}

test('a descriptor that is ready says so at once', async () => {
  const { read, write } = pipe();
  expect(await context.poll(write, POLLOUT)).toBe(POLLOUT);
  writeSync(write, 'x');
  expect((await context.poll(read, POLLIN)) & POLLIN).toBe(POLLIN);
  close(read, write);
});

test('a descriptor that becomes ready later says so then', async () => {
  const { read, write } = pipe();
  let ready = 0;
  const poll = context.poll(read, POLLIN).then((events) => {
    ready = events;
  });
  for (let i = 0; i < 5; i++) await turn();
  expect(ready).toBe(0);
  expect(context.stats().inFlight).toBe(1);
  writeSync(write, 'x');
  await poll;
  expect(ready & POLLIN).toBe(POLLIN);
  close(read, write);
});

test('the end of the other side counts though nobody asked for it', async () => {
  const { read, write } = pipe();
  const poll = context.poll(read, POLLIN);
  await turn();
  close(write);
  expect((await poll) & POLLHUP).toBe(POLLHUP);
  close(read);
});

test('many wait at once, each for its own', async () => {
  const descriptors = Array.from({ length: 10 }, () => eventfd(0, 0));
  const order: number[] = [];
  const polls = descriptors.map((fd, i) => context.poll(fd, POLLIN).then(() => order.push(i)));
  for (const i of [7, 2, 9]) {
    writeSync(descriptors[i]!, new BigUint64Array([1n]));
    await polls[i];
  }
  expect(order).toEqual([7, 2, 9]);
  for (const fd of descriptors) writeSync(fd, new BigUint64Array([1n]));
  await Promise.all(polls);
  close(...descriptors);
});

test('an abort ends the wait, in the kernel as well', async () => {
  const { read, write } = pipe();
  for (const submittedFirst of [false, true]) {
    const controller = new AbortController();
    const poll = outcomeOf(() => context.poll(read, POLLIN, { signal: controller.signal }));
    if (submittedFirst) await turn();
    controller.abort();
    expect(await poll).toBe('ABORT_ERR');
    expect(await eventually(() => context.stats().inFlight === 0)).toBe(true);
  }
  close(read, write);
});

test('the end of the context ends the wait', async () => {
  const { read, write } = pipe();
  const short = new AioContext({ depth: 2, memory: 65536 });
  const polls = Array.from({ length: 5 }, () => outcomeOf(() => short.poll(read, POLLIN)));
  await turn();
  await short.close();
  expect(await Promise.all(polls)).toEqual(new Array(5).fill('ERR_AIO_CONTEXT_CLOSED'));
  close(read, write);
});

// linux/fs/aio.c, aio_poll_queue_proc: an iocb has room in one wait queue, and a FIFO that is open for both has two.
test('a descriptor with two wait queues is refused by the kernel', async () => {
  const path = `${folder}/both`;
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDWR);
  expect(await outcomeOf(() => context.poll(fd, POLLIN))).toBe('EINVAL');
  close(fd);
});

test('a pipe that could wait for ever is refused, and told how not to', async () => {
  const { read, write } = pipe();
  const path = `${folder}/blocking`;
  execFileSync('mkfifo', [path]);
  const blocking = openSync(path, constants.O_RDWR);
  const file = await context.attach(blocking);
  for (const request of [
    () => file.read(Buffer.alloc(1)),
    () => file.write('x'),
    () => file.readv([Buffer.alloc(1)]),
  ]) {
    expect(await outcomeOf(request)).toBe('ERR_AIO_WOULD_BLOCK');
  }
  // A pipe of pipe(2) knows the flag, a FIFO does not.
  expect(await outcomeOf(() => file.read(Buffer.alloc(1), { nowait: true }))).toMatch(/^(EAGAIN|ENOTSUP)$/);
  await file.close();
  close(read, write, blocking);
});

test('a pipe that does not wait is read and written, with poll to wait for it', async () => {
  const { read, write } = pipe();
  const [from, to] = await Promise.all([context.attach(read), context.attach(write)]);
  expect(await outcomeOf(() => from.read(Buffer.alloc(5)))).toBe('EAGAIN');
  const ready = context.poll(read, POLLIN);
  expect((await to.write('hello')).bytesWritten).toBe(5);
  await ready;
  const { bytesRead, buffer } = await from.read(Buffer.alloc(10));
  expect(buffer.toString('latin1', 0, bytesRead)).toBe('hello');
  await Promise.all([from.close(), to.close()]);
  // They belong to whoever opened them.
  expect(writeSync(write, 'x')).toBe(1);
  close(read, write);
});

test('of many that become ready at once, what the first callbacks ask for is submitted before the last are called', async () => {
  const { read, write } = pipe();
  const deep = new AioContext({ depth: 32, memory: 65536 });
  const submits: number[] = [];
  const after: Promise<number>[] = [];
  const ready = new Promise<void>((resolve) => {
    for (let i = 0; i < 20; i++) {
      void deep.poll(read, POLLIN).then(() => {
        submits.push(deep.stats().submits);
        after.push(deep.poll(write, POLLOUT));
        if (submits.length === 20) resolve();
      });
    }
  });
  await turn();
  const before = deep.stats().submits;
  writeSync(write, 'x');
  await ready;
  await Promise.all(after);
  expect(submits).toEqual([
    ...new Array<number>(8).fill(before),
    ...new Array<number>(8).fill(before + 1),
    ...new Array<number>(4).fill(before + 2),
  ]);
  expect(deep.stats().wakes).toBe(1);
  await deep.close();
  close(read, write);
});
