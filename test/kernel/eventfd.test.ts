import { constants, readSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_FLAG_RESFD } from '../../src/layout/index.ts';
import { eventfd } from '../../src/raw/index.ts';
import { answer, type Iocb, long, order, PAGE_BYTES, Rig, temporaryEventfd } from '../support/raw.ts';
import { closeNow, descriptorsOf, pattern, temporaryFile, temporaryPipe } from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

const { O_NONBLOCK } = constants;
/** <sys/eventfd.h>: a read takes 1 from the count instead of all of it. */
const EFD_SEMAPHORE = 1;
const POLLIN = 0x1n;
const POLLERR = 0x8;
const MIB = 1 << 20;

/** What a read of a non-blocking eventfd takes: its count, or the code of the error. */
function take(fd: number): bigint | string {
  const bytes = Buffer.alloc(8);
  const read = answer(() => readSync(fd, bytes));
  return typeof read === 'string' ? read : bytes[`readBigUInt64${order}`]();
}

/** Takes the count as soon as there is one. It looks rather than blocks, so that a signal that is lost fails the test. */
function takeWhenSignalled(fd: number): bigint | string {
  const deadline = performance.now() + 30_000;
  let taken = take(fd);
  while (taken === 'EAGAIN' && performance.now() < deadline) taken = take(fd);
  return taken;
}

function reading(fd: number, rig: Rig, resfd: number): Iocb {
  return { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(512)), nbytes: 512, flags: IOCB_FLAG_RESFD, resfd };
}

function cachedFile(): number {
  return temporaryFile({ content: pattern(PAGE_BYTES) }).fd;
}

test('a large transfer signals once, and its event is in the ring by then', () => {
  const bytes = 10 * MIB;
  const { fd } = temporaryFile({ size: bytes, direct: true });
  const rig = new Rig({ memory: bytes });
  const resfd = temporaryEventfd();
  const buf = rig.address(rig.buffer(bytes));
  for (const opcode of [IOCB_CMD_PWRITE, IOCB_CMD_PREAD]) {
    expect(rig.submit(rig.iocb({ opcode, fd, buf, nbytes: bytes, flags: IOCB_FLAG_RESFD, resfd }))).toBe(1);
    expect(takeWhenSignalled(resfd)).toBe(1n);
    expect(rig.poll()).toMatchObject([{ res: bytes }]);
  }
});

test('an event is never later than its signal', () => {
  const { fd } = temporaryFile({ content: pattern(PAGE_BYTES), direct: true });
  const rig = new Rig();
  const resfd = temporaryEventfd();
  const iocb = rig.iocb(reading(fd, rig, resfd));
  for (let round = 0; round < (long ? 50_000 : 5000); round++) {
    rig.submit(iocb);
    const count = takeWhenSignalled(resfd);
    const events = rig.poll();
    if (count !== 1n || events.length !== 1) throw new Error(`round ${round}: ${count}, ${events.length} events`);
  }
});

test('every completion adds one', () => {
  const fd = cachedFile();
  const rig = new Rig();
  const resfd = temporaryEventfd();
  rig.attemptAll(Array.from({ length: 5 }, () => reading(fd, rig, resfd)));
  expect(take(resfd)).toBe(5n);
  expect(take(resfd)).toBe('EAGAIN');
});

test('a semaphore is read once for each completion', () => {
  const fd = cachedFile();
  const rig = new Rig();
  const resfd = temporaryEventfd(0, O_NONBLOCK | EFD_SEMAPHORE);
  rig.attemptAll(Array.from({ length: 3 }, () => reading(fd, rig, resfd)));
  expect([take(resfd), take(resfd), take(resfd), take(resfd)]).toEqual([1n, 1n, 1n, 'EAGAIN']);
});

test('two contexts can share an eventfd', () => {
  const fd = cachedFile();
  const [one, other] = [new Rig(), new Rig()];
  const resfd = temporaryEventfd();
  one.attempt(reading(fd, one, resfd));
  other.attempt(reading(fd, other, resfd));
  expect(take(resfd)).toBe(2n);
});

test('a request without the flag signals nothing', () => {
  const fd = cachedFile();
  const rig = new Rig();
  const resfd = temporaryEventfd();
  expect(rig.attempt({ ...reading(fd, rig, resfd), flags: 0 })).toEqual({ res: 512 });
  expect(take(resfd)).toBe('EAGAIN');
});

test('a refused request signals nothing', () => {
  const rig = new Rig();
  const resfd = temporaryEventfd();
  expect(rig.attempt(reading(-1, rig, resfd))).toEqual({ io_submit: 'EBADF' });
  expect(rig.attempt({ ...reading(cachedFile(), rig, resfd), opcode: 9 })).toEqual({ io_submit: 'EINVAL' });
  expect(take(resfd)).toBe('EAGAIN');
});

test('an eventfd that is closed is refused', () => {
  const rig = new Rig();
  const fd = cachedFile();
  const closed = temporaryEventfd();
  closeNow(closed);
  for (const resfd of [closed, -1]) expect(rig.attempt(reading(fd, rig, resfd))).toEqual({ io_submit: 'EBADF' });
});

test('what is no eventfd is refused', () => {
  const rig = new Rig();
  const fd = cachedFile();
  for (const resfd of [fd, temporaryPipe().writer, descriptorsOf('anon_inode:[eventpoll]')[0]!]) {
    expect(rig.attempt(reading(fd, rig, resfd))).toEqual({ io_submit: 'EINVAL' });
  }
});

test('a count that overflows is an error to poll, and reads as all ones', () => {
  const fd = cachedFile();
  const rig = new Rig();
  const resfd = temporaryEventfd();
  const most = Buffer.alloc(8);
  most[`writeBigUInt64${order}`](2n ** 64n - 2n);
  writeSync(resfd, most);
  expect(rig.attempt(reading(fd, rig, resfd))).toEqual({ res: 512 });
  const polled = rig.attempt({ opcode: IOCB_CMD_POLL, fd: resfd, buf: POLLIN });
  expect(Number((polled as { res: number }).res) & POLLERR).toBe(POLLERR);
  expect(take(resfd)).toBe(2n ** 64n - 1n);
});

test('an eventfd that is closed in flight does no harm', () => {
  const { fd } = temporaryFile({ content: pattern(MIB), direct: true });
  const rig = new Rig();
  const resfd = temporaryEventfd();
  const read: Iocb = { ...reading(fd, rig, resfd), buf: rig.address(rig.buffer(MIB)), nbytes: MIB };
  expect(rig.submit(rig.iocb(read))).toBe(1);
  closeNow(resfd);
  expect(rig.reap()).toMatchObject([{ res: MIB }]);
});

test('an eventfd that was closed and whose number is taken again is signalled no more', () => {
  const { reader, writer } = temporaryPipe();
  const rig = new Rig();
  const resfd = temporaryEventfd();
  const poll: Iocb = { opcode: IOCB_CMD_POLL, fd: reader, buf: POLLIN, flags: IOCB_FLAG_RESFD, resfd };
  expect(rig.submit(rig.iocb(poll))).toBe(1);
  closeNow(resfd);
  const next = temporaryEventfd();
  expect(next).toBe(resfd);
  writeSync(writer, 'x');
  rig.reap();
  expect(take(next)).toBe('EAGAIN');
});

test('epoll wakes edge-triggered at every completion, though nobody reads the eventfd', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  const { path } = temporaryFile({ content: pattern(PAGE_BYTES) });
  expect(observe('epoll', path)).toEqual({ before: 0, first: 1, between: 0, second: 1, third: 1, count: 3 });
});

test('flags that eventfd does not know are refused', () => {
  expect(answer(() => eventfd(0, 2))).toBe('EINVAL');
});

test('an eventfd starts with the count that it is given', () => {
  expect(take(temporaryEventfd(0xffff_ffff))).toBe(0xffff_ffffn);
});
