import { constants, readSync, write, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { IOCB_CMD_POLL } from '../../src/layout/index.ts';
import { type Iocb, long, order, Rig, temporaryEventfd } from '../support/raw.ts';
import { closeNow, connectedSockets, openFile, pattern, temporaryFile, temporaryPipe } from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

const { O_NOCTTY, O_NONBLOCK, O_RDWR } = constants;
/** <poll.h>, which Node does not have. */
const POLLIN = 0x1;
const POLLPRI = 0x2;
const POLLOUT = 0x4;
const POLLHUP = 0x10;
const POLLRDNORM = 0x40;
const POLLRDBAND = 0x80;
const POLLWRNORM = 0x100;

const poll = (fd: number, events = POLLIN): Iocb => ({ opcode: IOCB_CMD_POLL, fd, buf: BigInt(events) });

test('a poll of an empty pipe waits until the pipe is readable', () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe();
  const iocb = rig.iocb({ ...poll(reader), data: 42n });
  expect(rig.submit(iocb)).toBe(1);
  expect(rig.poll()).toEqual([]);
  writeSync(writer, 'x');
  expect(rig.reap()).toEqual([{ data: 42n, obj: iocb, res: POLLIN | POLLRDNORM, res2: 0n }]);
});

test('a poll of what is ready is done at once, with the events that were asked for', () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe();
  writeSync(writer, 'x');
  expect(rig.submit(rig.iocb(poll(reader)))).toBe(1);
  expect(rig.poll()).toMatchObject([{ res: POLLIN }]);
});

test('a hang-up ends a poll that did not ask for it', () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe();
  expect(rig.submit(rig.iocb(poll(reader)))).toBe(1);
  closeNow(writer);
  expect(rig.reap()).toMatchObject([{ res: POLLHUP }]);
});

test('a poll ends with its first event: a second write is not one of it', () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe();
  expect(rig.submit(rig.iocb(poll(reader)))).toBe(1);
  writeSync(writer, 'x');
  writeSync(writer, 'y');
  expect(rig.reap()).toHaveLength(1);
  expect(rig.poll()).toEqual([]);
});

test('two polls of one descriptor both end', () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe();
  const polls = [rig.iocb(poll(reader)), rig.iocb(poll(reader))];
  expect(rig.submit(...polls)).toBe(2);
  writeSync(writer, 'x');
  const ended = rig.reap(2).map(({ obj }) => obj);
  expect(new Set(ended)).toEqual(new Set(polls));
});

test('an event mask of more than 16 bits is refused', () => {
  const rig = new Rig();
  const { reader } = temporaryPipe();
  expect(rig.attempt({ ...poll(reader), buf: 0x1_0001n })).toEqual({ io_submit: 'EINVAL' });
});

test.each(['nbytes', 'offset', 'rw_flags'] as const)('a poll with %s set is refused', (field) => {
  const rig = new Rig();
  const { reader } = temporaryPipe();
  expect(rig.attempt({ ...poll(reader), [field]: 1 })).toEqual({ io_submit: 'EINVAL' });
});

test('a poll of no descriptor is refused', () => {
  expect(new Rig().attempt(poll(-1))).toEqual({ io_submit: 'EBADF' });
});

test('a regular file is always ready', () => {
  const { fd } = temporaryFile({ content: pattern(10) });
  expect(new Rig().attempt(poll(fd, POLLIN | POLLOUT))).toEqual({ res: POLLIN | POLLOUT });
});

test('a terminal, which waits in two queues, is refused', () => {
  const terminal = openFile('/dev/ptmx', O_RDWR | O_NOCTTY);
  expect(new Rig().attempt(poll(terminal))).toEqual({ io_submit: 'EINVAL' });
});

test('an eventfd ends a poll', () => {
  const rig = new Rig();
  const fd = temporaryEventfd();
  expect(rig.submit(rig.iocb(poll(fd)))).toBe(1);
  expect(rig.poll()).toEqual([]);
  const one = Buffer.alloc(8);
  one[`writeBigUInt64${order}`](1n);
  writeSync(fd, one);
  expect(rig.reap()).toMatchObject([{ res: POLLIN }]);
});

test('a timer ends a poll', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  expect(observe('descriptors', 'timerfd')).toEqual({ submitted: 1, before: 0, after: 1, res: POLLIN });
});

test('data that arrives ends the poll of a socket', async () => {
  const [one, other] = await connectedSockets();
  const rig = new Rig();
  expect(rig.submit(rig.iocb(poll(other)))).toBe(1);
  expect(rig.poll()).toEqual([]);
  writeSync(one, 'x');
  // The result is what the socket woke its waiters with (net/core/sock.c, sock_def_readable), not cut to the mask.
  expect(rig.reap()).toMatchObject([{ res: POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND }]);
  expect(rig.attempt(poll(one, POLLOUT | POLLWRNORM))).toEqual({ res: POLLOUT | POLLWRNORM });
});

test('a write on another thread that races the poll is never missed', async () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe(O_NONBLOCK);
  const iocb = rig.iocb(poll(reader));
  const byte = Buffer.alloc(1);
  for (let round = 0; round < (long ? 50_000 : 5000); round++) {
    const written = new Promise<void>((resolve, reject) => {
      write(writer, byte, (error) => (error === null ? resolve() : reject(error)));
    });
    rig.submit(iocb);
    rig.reap();
    await written;
    readSync(reader, byte);
  }
  expect(rig.poll()).toEqual([]);
});

test('reads, writes and splices on another thread that race the poll are never missed', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  const { path } = temporaryFile({ content: pattern(4096) });
  const rounds = long ? 50_000 : 5000;
  expect(observe('splice', path, String(rounds))).toEqual({ readable: rounds, writable: rounds });
});
