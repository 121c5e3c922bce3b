import { writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_CMD_PREAD } from '../../src/layout/index.ts';
import { io_cancel } from '../../src/raw/index.ts';
import { ALL_ONES, answer, type Iocb, KERNEL_ADDRESS, KEY_OFFSET, order, PAGE_BYTES, Rig } from '../support/raw.ts';
import { pattern, temporaryFile, temporaryPipe } from '../support/raw-files.ts';

const POLLIN = 0x1n;

function cancel(rig: Rig, iocb: bigint, ctx = rig.ctx): ReturnType<typeof io_cancel> | string {
  return answer(() => io_cancel(ctx, iocb, rig.events));
}

/** A poll that waits, and the end of the pipe that it waits for. */
function waitingPoll(rig: Rig): { iocb: bigint; writer: number } {
  const { reader, writer } = temporaryPipe();
  const iocb = rig.iocb({ opcode: IOCB_CMD_POLL, fd: reader, buf: POLLIN });
  expect(rig.submit(iocb)).toBe(1);
  return { iocb, writer };
}

/** The 64 bytes of an iocb that the rig made. */
function bytesOf(rig: Rig, iocb: bigint): Buffer {
  return Buffer.from(rig.arena.buffer, Number(iocb - rig.arena.address), 64);
}

test.each([
  ['null', () => 0n],
  ['of the kernel', () => KERNEL_ADDRESS],
  ['unmapped', (rig: Rig) => rig.end],
])('an iocb that is %s is a fault, in a bad context too', (_, of) => {
  const rig = new Rig();
  expect(cancel(rig, of(rig))).toBe('EFAULT');
  expect(cancel(rig, of(rig), 0n)).toBe('EFAULT');
});

test('a waiting poll is being cancelled, and its event comes', () => {
  const rig = new Rig();
  const { iocb } = waitingPoll(rig);
  expect(cancel(rig, iocb)).toBe('EINPROGRESS');
  expect(rig.reap()).toMatchObject([{ obj: iocb, res: 0 }]);
  expect(cancel(rig, iocb)).toBe('EINVAL');
});

test('an iocb that was not submitted cannot be cancelled', () => {
  const rig = new Rig();
  expect(cancel(rig, rig.iocb({ opcode: IOCB_CMD_PREAD, fd: 0 }))).toBe('EINVAL');
});

test('a read that is done cannot be cancelled, and its event is there', () => {
  const rig = new Rig();
  const { fd } = temporaryFile({ content: pattern(PAGE_BYTES) });
  const iocb = rig.iocb({ opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(64)), nbytes: 64 });
  expect(rig.submit(iocb)).toBe(1);
  expect(cancel(rig, iocb)).toBe('EINVAL');
  expect(rig.reap()).toMatchObject([{ obj: iocb, res: 64 }]);
});

test('a direct read and a sync in flight cannot be cancelled, and complete', () => {
  const rig = new Rig({ memory: 4 << 20 });
  const { fd } = temporaryFile({ content: pattern(4 << 20), direct: true });
  const read: Iocb = { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(4 << 20)), nbytes: 4 << 20 };
  for (const [request, res] of [
    [read, 4 << 20],
    [{ opcode: IOCB_CMD_FSYNC, fd }, 0],
  ] as const) {
    const iocb = rig.iocb(request);
    expect(rig.submit(iocb)).toBe(1);
    expect(cancel(rig, iocb)).toBe('EINVAL');
    expect(rig.reap()).toMatchObject([{ obj: iocb, res }]);
  }
});

test('a poll cannot be cancelled by a wrong key, a copy of its iocb or another context, and goes on', () => {
  const rig = new Rig();
  const other = new Rig();
  const { iocb, writer } = waitingPoll(rig);
  const bytes = bytesOf(rig, iocb);
  const key = bytes[`readUInt32${order}`](KEY_OFFSET);
  bytes[`writeUInt32${order}`](key + 1, KEY_OFFSET);
  expect(cancel(rig, iocb)).toBe('EINVAL');
  bytes[`writeUInt32${order}`](key, KEY_OFFSET);
  const copy = rig.buffer(64);
  bytes.copy(copy);
  expect(cancel(rig, rig.address(copy))).toBe('EINVAL');
  for (const ctx of [other.ctx, 0n, ALL_ONES, rig.arena.address]) expect(cancel(rig, iocb, ctx)).toBe('EINVAL');
  expect(rig.poll()).toEqual([]);
  writeSync(writer, 'x');
  expect(rig.reap()).toMatchObject([{ obj: iocb, res: 0x41 }]);
});

test('a context that is destroyed cancels nothing', () => {
  const rig = new Rig();
  const { iocb } = waitingPoll(rig);
  rig.destroy();
  expect(cancel(rig, iocb)).toBe('EINVAL');
});
