import { expect, test } from 'vitest';
import { IOCB_CMD_PREADV, IOCB_CMD_PWRITEV } from '../../src/layout/index.ts';
import { type Iocb, KERNEL_ADDRESS, order, ownAddressSpace, PAGE_BYTES, Rig } from '../support/raw.ts';
import { pattern, temporaryFile } from '../support/raw-files.ts';

interface Iovec {
  iov_base: bigint;
  iov_len: number;
}

const opcodes = [IOCB_CMD_PREADV, IOCB_CMD_PWRITEV];

/** The address of an array of `struct iovec`. */
function iovecs(rig: Rig, entries: readonly Iovec[]): bigint {
  const bytes = rig.buffer(entries.length * 16);
  entries.forEach(({ iov_base, iov_len }, at) => {
    bytes[`writeBigUInt64${order}`](iov_base, at * 16);
    bytes[`writeBigUInt64${order}`](BigInt(iov_len), at * 16 + 8);
  });
  return rig.address(bytes);
}

function request(opcode: number, fd: number, buf: bigint, nbytes: number): Iocb {
  return { opcode, fd, buf, nbytes };
}

test('ten buffers of 512 bytes are written and read in their order, at the offset', () => {
  const content = pattern(5120);
  const { fd } = temporaryFile();
  const rig = new Rig();
  const memory = rig.buffer(20 * 512);
  // Every second half KiB, from the last to the first: neither the order nor the places can come out right by chance.
  const scattered = Array.from({ length: 10 }, (_, at) => memory.subarray((19 - 2 * at) * 512).subarray(0, 512));
  const buf = iovecs(
    rig,
    scattered.map((part) => ({ iov_base: rig.address(part), iov_len: 512 })),
  );
  scattered.forEach((part, at) => {
    content.copy(part, 0, at * 512);
  });
  expect(rig.attempt({ ...request(IOCB_CMD_PWRITEV, fd, buf, 10), offset: 1000 })).toEqual({ res: 5120 });
  memory.fill(0);
  expect(rig.attempt({ ...request(IOCB_CMD_PREADV, fd, buf, 10), offset: 1000 })).toEqual({ res: 5120 });
  expect(Buffer.concat(scattered).equals(content)).toBe(true);
  expect(memory.subarray(0, 512).equals(Buffer.alloc(512))).toBe(true);
});

test.each(opcodes)('no buffers are no bytes (opcode %i)', (opcode) => {
  const { fd } = temporaryFile({ size: PAGE_BYTES });
  expect(new Rig().attempt(request(opcode, fd, 0n, 0))).toEqual({ res: 0 });
});

test.each(opcodes)('1024 buffers are the most (opcode %i)', (opcode) => {
  const { fd } = temporaryFile({ size: 1025 });
  const rig = new Rig();
  const part = { iov_base: rig.address(rig.buffer(1)), iov_len: 1 };
  const buf = iovecs(rig, Array<Iovec>(1025).fill(part));
  expect(rig.attempt(request(opcode, fd, buf, 1024))).toEqual({ res: 1024 });
  expect(rig.attempt(request(opcode, fd, buf, 1025))).toEqual({ io_submit: 'EINVAL' });
});

test.each(opcodes)('buffers are counted in 32 bits, however many aio_nbytes says (opcode %i)', (opcode) => {
  const { fd } = temporaryFile({ size: 1 });
  const rig = new Rig();
  const buf = iovecs(rig, [{ iov_base: rig.address(rig.buffer(1)), iov_len: 1 }]);
  expect(rig.attempt(request(opcode, fd, buf, 2 ** 32))).toEqual({ res: 0 });
  expect(rig.attempt(request(opcode, fd, buf, 2 ** 32 + 1))).toEqual({ res: 1 });
  expect(rig.attempt(request(opcode, fd, buf, 2 ** 32 + 1025))).toEqual({ io_submit: 'EINVAL' });
});

test.each(opcodes)('a null array of one buffer is a fault (opcode %i)', (opcode) => {
  const { fd } = temporaryFile({ size: PAGE_BYTES });
  expect(new Rig().attempt(request(opcode, fd, 0n, 1))).toEqual({ io_submit: 'EFAULT' });
});

test.for([0, 1, 2])('a buffer of the kernel at index %i refuses the request', (index, { skip }) => {
  skip(ownAddressSpace !== undefined, ownAddressSpace);
  const { fd } = temporaryFile({ size: PAGE_BYTES });
  const rig = new Rig();
  const parts = Array.from({ length: 3 }, () => ({ iov_base: rig.address(rig.buffer(16)), iov_len: 16 }));
  parts[index]!.iov_base = KERNEL_ADDRESS;
  const buf = iovecs(rig, parts);
  for (const opcode of opcodes) expect(rig.attempt(request(opcode, fd, buf, 3))).toEqual({ io_submit: 'EFAULT' });
});

test('a length with the sign bit set refuses the request', () => {
  const { fd } = temporaryFile({ size: PAGE_BYTES });
  const rig = new Rig();
  const bytes = rig.buffer(16);
  bytes[`writeBigUInt64${order}`](rig.address(rig.buffer(16)), 0);
  bytes[`writeBigInt64${order}`](-1n, 8);
  for (const opcode of opcodes) {
    expect(rig.attempt(request(opcode, fd, rig.address(bytes), 1))).toEqual({ io_submit: 'EINVAL' });
  }
});

test('a direct transfer whose second buffer is not aligned to the device fails with EINVAL', () => {
  const { fd } = temporaryFile({ content: pattern(2 * PAGE_BYTES), direct: true });
  const rig = new Rig();
  const first = { iov_base: rig.address(rig.buffer(PAGE_BYTES)), iov_len: PAGE_BYTES };
  const second = rig.address(rig.buffer(2 * PAGE_BYTES));
  const aligned = iovecs(rig, [first, { iov_base: second, iov_len: PAGE_BYTES }]);
  const shifted = iovecs(rig, [first, { iov_base: second + 1n, iov_len: PAGE_BYTES }]);
  expect(rig.attempt(request(IOCB_CMD_PREADV, fd, aligned, 2))).toEqual({ res: 2 * PAGE_BYTES });
  expect(rig.attempt(request(IOCB_CMD_PREADV, fd, shifted, 2))).toEqual({ res: 'EINVAL' });
});
