import { expect, test } from 'vitest';
import { IOCB_CMD_NOOP, IOCB_CMD_PREAD } from '../../src/layout/index.ts';
import { io_submit, readRing } from '../../src/raw/index.ts';
import {
  ALL_ONES,
  answer,
  endOfMappings,
  type Iocb,
  KERNEL_ADDRESS,
  order,
  PAGE_BYTES,
  Rig,
  writeIocb,
} from '../support/raw.ts';
import { closeNow, pattern, temporaryFile } from '../support/raw-files.ts';

const content = pattern(PAGE_BYTES);

/** A rig, a file of one page, and a read of its first 512 bytes that works. */
function reading(nr = 64): { rig: Rig; fd: number; read: Iocb; buffer: Buffer } {
  const rig = new Rig({ nr });
  const { fd } = temporaryFile({ content });
  const buffer = rig.buffer(512);
  return { rig, fd, buffer, read: { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(buffer), nbytes: 512 } };
}

test('an event carries the 64 bits of aio_data, the address of the iocb, and no second result', () => {
  const { rig, read } = reading();
  const data = 0xfedc_ba98_7654_3210n;
  const iocb = rig.iocb({ ...read, data });
  expect(rig.submit(iocb)).toBe(1);
  expect(rig.reap()).toEqual([{ data, obj: iocb, res: 512, res2: 0n }]);
});

test('the kernel reads opcode, descriptor, buffer, length and offset from where the header says', () => {
  const { rig, read, buffer } = reading();
  expect(rig.attempt({ ...read, nbytes: 100, offset: 1000 })).toEqual({ res: 100 });
  expect(buffer.subarray(0, 100)).toEqual(content.subarray(1000, 1100));
  expect(buffer.subarray(100).every((byte) => byte === 0)).toBe(true);
});

test.each([
  ['zero', () => 0n],
  ['all ones', () => ALL_ONES],
  ['an ordinary mapping', (rig: Rig) => rig.arena.address],
])('a context that is %s is refused even for no requests', (_, of) => {
  const { rig, read } = reading();
  const pointers = rig.pointers([rig.iocb(read)]);
  expect(answer(() => io_submit(of(rig), 1, pointers))).toBe('EINVAL');
  expect(answer(() => io_submit(of(rig), 0, pointers))).toBe('EINVAL');
});

test('fewer than no requests are refused', () => {
  const { rig, read } = reading();
  const pointers = rig.pointers([rig.iocb(read)]);
  expect(answer(() => io_submit(rig.ctx, -1, pointers))).toBe('EINVAL');
});

test('no requests are submitted from no array', () => {
  const { rig } = reading();
  expect(io_submit(rig.ctx, 0, 0n)).toBe(0);
});

test.each([
  ['null', 0n],
  ['all ones', ALL_ONES],
])('an array that is %s is a fault', (_, address) => {
  const { rig } = reading();
  expect(answer(() => io_submit(rig.ctx, 1, address))).toBe('EFAULT');
});

test.each([
  ['null', () => 0n],
  ['of the kernel', () => KERNEL_ADDRESS],
  ['half in unmapped memory', (rig: Rig) => rig.end - 32n],
])('an iocb that is %s is a fault', (_, of) => {
  const { rig } = reading();
  expect(answer(() => rig.submit(of(rig)))).toBe('EFAULT');
});

test.each([1, 2, 4])('an iocb %i bytes off its alignment is taken', (shift) => {
  const { rig, read } = reading();
  const room = rig.buffer(128).subarray(shift, shift + 64);
  writeIocb(room, read);
  expect(rig.submit(rig.address(room))).toBe(1);
  expect(rig.reap()[0]).toMatchObject({ obj: rig.address(room), res: 512 });
});

test('a length with the sign bit set is refused', () => {
  const { rig, read } = reading();
  expect(rig.attempt({ ...read, nbytes: -1 })).toEqual({ io_submit: 'EINVAL' });
});

test.each([4, IOCB_CMD_NOOP, 9, 100, 65535])('opcode %i is refused, after the descriptor was looked at', (opcode) => {
  const { rig, read } = reading();
  expect(rig.attempt({ ...read, opcode })).toEqual({ io_submit: 'EINVAL' });
  expect(rig.attempt({ ...read, opcode, fd: -1 })).toEqual({ io_submit: 'EBADF' });
});

test('unknown bits of aio_flags are ignored', () => {
  const { rig, read } = reading();
  for (let bit = 2; bit < 32; bit++) {
    expect(rig.attempt({ ...read, flags: (1 << bit) >>> 0 })).toEqual({ res: 512 });
  }
});

test('a reserved word that is not zero is refused', () => {
  const { rig, read } = reading();
  const room = rig.buffer(64);
  writeIocb(room, read);
  room[`writeBigUInt64${order}`](1n, 48);
  expect(answer(() => rig.submit(rig.address(room)))).toBe('EINVAL');
});

test('an iocb that is submitted twice in one call has two events', () => {
  const { rig, read } = reading();
  const iocb = rig.iocb(read);
  expect(rig.submit(iocb, iocb)).toBe(2);
  expect(rig.reap(2).map(({ obj, res }) => ({ obj, res }))).toEqual([
    { obj: iocb, res: 512 },
    { obj: iocb, res: 512 },
  ]);
});

test('the kernel is done with an iocb when io_submit returns', () => {
  const { rig, read } = reading();
  const { fd } = temporaryFile({ content: pattern(1 << 20), direct: true });
  const buffer = rig.buffer(256 << 10);
  const iocb = rig.iocb({ ...read, fd, buf: rig.address(buffer), nbytes: buffer.length, data: 7n });
  expect(rig.submit(iocb)).toBe(1);
  // The whole table is overwritten while the read may be in flight.
  for (let made = 0; made < 2048; made++) rig.iocb({ opcode: 0xffff, fd: -1, data: 8n });
  expect(rig.reap()[0]).toEqual({ data: 7n, obj: iocb, res: buffer.length, res2: 0n });
  expect(buffer.equals(pattern(1 << 20).subarray(0, buffer.length))).toBe(true);
});

test('a bad request ends the call before it: what went before is taken, what comes after is not', () => {
  const { rig, read } = reading();
  const good = [1n, 2n, 3n].map((data) => rig.iocb({ ...read, data }));
  const bad = rig.iocb({ ...read, fd: -1 });
  expect(rig.submit(good[0]!, good[1]!, bad, good[2]!)).toBe(2);
  expect(rig.reap(2).map(({ data }) => data)).toEqual([1n, 2n]);
  expect(answer(() => rig.submit(bad, good[2]!))).toBe('EBADF');
  expect(rig.poll()).toEqual([]);
});

test('requests beyond the free slots are not taken, the next call fails with EAGAIN, and reading events frees the slots', () => {
  const { rig, read } = reading(100);
  const room = readRing(rig.ctx).nr;
  const iocbs = Array.from({ length: 1200 }, () => rig.iocb(read));
  const taken = rig.submit(...iocbs);
  expect(taken).toBeGreaterThanOrEqual(100);
  expect(taken).toBeLessThan(room);
  expect(answer(() => rig.submit(iocbs[0]!))).toBe('EAGAIN');
  expect(rig.reap(taken).every(({ res }) => res === 512)).toBe(true);
  expect(rig.submit(...iocbs)).toBe(taken);
});

test.each([false, true])('a descriptor that is closed after the submit does not matter (O_DIRECT: %s)', (direct) => {
  const rig = new Rig();
  const data = pattern(1 << 18);
  const { fd } = temporaryFile({ content: data, direct });
  const buffer = rig.buffer(data.length);
  const iocb = rig.iocb({ opcode: IOCB_CMD_PREAD, fd, buf: rig.address(buffer), nbytes: data.length });
  expect(rig.submit(iocb)).toBe(1);
  closeNow(fd);
  expect(rig.reap()[0]!.res).toBe(data.length);
  expect(buffer.equals(data)).toBe(true);
});

test('arguments of the wrong type throw before any request is taken', () => {
  const { rig, read } = reading();
  const pointers = rig.pointers([rig.iocb(read)]);
  const wrong = [
    () => io_submit(Number(rig.ctx) as unknown as bigint, 1, pointers),
    () => io_submit(rig.ctx, 1n as unknown as number, pointers),
    () => io_submit(rig.ctx, 0.5, pointers),
    () => io_submit(rig.ctx, 1, Number(pointers) as unknown as bigint),
    () => io_submit(rig.ctx, 1, -1n),
    () => io_submit(rig.ctx, 1, 2n ** 64n),
  ];
  for (const call of wrong) expect(call).toThrow(TypeError);
  expect(rig.poll()).toEqual([]);
  expect(io_submit(rig.ctx, 1, pointers)).toBe(1);
});

test('a read of 2^62 bytes is a read to the end of the file, or at the end of the address space a fault', () => {
  const { rig, read } = reading();
  const buffer = rig.buffer(PAGE_BYTES);
  const result = rig.attempt({ ...read, buf: rig.address(buffer), nbytes: 2n ** 62n });
  // The length is cut to MAX_RW_COUNT, and the buffer's end must then be an address of the process (import_single_range, lib/iov_iter.c).
  // On arm64, memory often lies within 2 GiB of the last of them.
  const mayFault = rig.address(buffer) + 2n ** 31n > endOfMappings();
  expect(mayFault ? [{ res: PAGE_BYTES }, { io_submit: 'EFAULT' }] : [{ res: PAGE_BYTES }]).toContainEqual(result);
  if ('res' in result) expect(buffer.equals(content)).toBe(true);
});

test('forty requests go through a context for two, a slot at a time', () => {
  const { rig, read } = reading(2);
  let submitted = 0;
  let completed = 0;
  while (completed < 40) {
    const taken = submitted < 40 ? answer(() => rig.submit(rig.iocb({ ...read, data: BigInt(submitted) }))) : 'EAGAIN';
    if (taken === 1) submitted++;
    else expect(taken).toBe('EAGAIN');
    if (taken !== 1) completed += rig.reap(submitted - completed).filter(({ res }) => res === 512).length;
  }
  expect(submitted).toBe(40);
});

test('fifty waves of a hundred requests leave all slots free', () => {
  const { rig, read } = reading(100);
  for (let wave = 0; wave < 50; wave++) {
    expect(rig.submit(...Array.from({ length: 100 }, () => rig.iocb(read)))).toBe(100);
    expect(rig.reap(100).every(({ res }) => res === 512)).toBe(true);
  }
  expect(rig.unread).toBe(0);
});
