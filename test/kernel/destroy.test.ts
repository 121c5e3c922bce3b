import { readSync } from 'node:fs';
import { expect, test } from 'vitest';
import { IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_FLAG_RESFD } from '../../src/layout/index.ts';
import { io_destroy, io_getevents, io_submit, readRing } from '../../src/raw/index.ts';
import { ALL_ONES, answer, type Iocb, long, order, PAGE_BYTES, Rig, temporaryEventfd } from '../support/raw.ts';
import { pattern, scratch, temporaryFile, temporaryPipe } from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

const POLLIN = 0x1n;

/** The count of a non-blocking eventfd, which is thereby 0 again. */
function takeCount(fd: number): bigint {
  const bytes = Buffer.alloc(8);
  readSync(fd, bytes);
  return bytes[`readBigUInt64${order}`]();
}

test.each([
  ['zero', 0n],
  ['all ones', ALL_ONES],
])('a context that is %s cannot be destroyed', (_, ctx) => {
  expect(answer(() => io_destroy(ctx))).toBe('EINVAL');
});

test('a context cannot be destroyed twice', () => {
  const rig = new Rig();
  rig.destroy();
  expect(answer(() => io_destroy(rig.ctx))).toBe('EINVAL');
});

test('a destroyed context takes no requests and gives no events', () => {
  const rig = new Rig();
  const { fd } = temporaryFile({ size: PAGE_BYTES });
  const iocb = rig.iocb({ opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(16)), nbytes: 16 });
  const pointers = rig.pointers([iocb]);
  rig.destroy();
  expect(answer(() => io_submit(rig.ctx, 1, pointers))).toBe('EINVAL');
  expect(answer(() => io_submit(rig.ctx, 0, pointers))).toBe('EINVAL');
  expect(answer(() => io_getevents(rig.ctx, 0, 1, rig.events))).toBe('EINVAL');
  expect(() => readRing(rig.ctx)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
});

test('a context with a hundred unread events can be destroyed', () => {
  const rig = new Rig({ nr: 128 });
  const { fd } = temporaryFile({ size: PAGE_BYTES });
  const buf = rig.address(rig.buffer(16));
  const iocbs = Array.from({ length: 100 }, () => rig.iocb({ opcode: IOCB_CMD_PREAD, fd, buf, nbytes: 16 }));
  expect(rig.submit(...iocbs)).toBe(100);
  expect(rig.unread).toBe(100);
  rig.disown();
  expect(answer(() => io_destroy(rig.ctx))).toBeUndefined();
});

test('destroying a context completes a pending poll and signals its eventfd', () => {
  const rig = new Rig();
  const { reader } = temporaryPipe();
  const resfd = temporaryEventfd();
  const poll: Iocb = { opcode: IOCB_CMD_POLL, fd: reader, buf: POLLIN, flags: IOCB_FLAG_RESFD, resfd };
  expect(rig.submit(rig.iocb(poll))).toBe(1);
  expect(answer(() => takeCount(resfd))).toBe('EAGAIN');
  rig.destroy();
  expect(takeCount(resfd)).toBe(1n);
});

test('destroying a context waits for direct reads in flight, each of which signals its eventfd', () => {
  const rig = new Rig({ memory: 8 << 20 });
  const content = pattern(8 << 20);
  const { fd } = temporaryFile({ content, direct: true });
  const resfd = temporaryEventfd();
  const data = rig.buffer(content.length, 0xee);
  const iocbs = Array.from({ length: 8 }, (_, at) => {
    const buf = rig.address(data) + BigInt(at << 20);
    return rig.iocb({
      opcode: IOCB_CMD_PREAD,
      fd,
      buf,
      nbytes: 1 << 20,
      offset: at << 20,
      flags: IOCB_FLAG_RESFD,
      resfd,
    });
  });
  expect(rig.submit(...iocbs)).toBe(8);
  rig.destroy();
  expect(takeCount(resfd)).toBe(8n);
  expect(data.equals(content)).toBe(true);
});

test('contexts destroyed with closed descriptors and reads in flight by a hundred threads never lock up', ({
  skip,
}) => {
  skip(noCompiler !== undefined, noCompiler);
  const seconds = long ? '60' : '2';
  const { path } = temporaryFile({ content: pattern(1 << 20), directory: scratch() });
  const { threads, rounds, failures } = observe('destroyers', path, seconds);
  expect({ threads, failures }).toEqual({ threads: 100, failures: 0 });
  expect(rounds).toBeGreaterThanOrEqual(100);
}, 120_000);
