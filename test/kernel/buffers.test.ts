import { fstatSync } from 'node:fs';
import { expect, test } from 'vitest';
import { IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../../src/layout/index.ts';
import { type Iocb, KERNEL_ADDRESS, ownAddressSpace, PAGE_BYTES, Rig } from '../support/raw.ts';
import { fileSystemOf, pattern, scratch, temporaryFile } from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

const opcodes = [IOCB_CMD_PREAD, IOCB_CMD_PWRITE];
const content = pattern(PAGE_BYTES);

test.for(opcodes)('a buffer of the kernel is refused, even of no bytes (opcode %i)', (opcode, { skip }) => {
  skip(ownAddressSpace !== undefined, ownAddressSpace);
  const { fd } = temporaryFile({ content });
  const rig = new Rig();
  const request: Iocb = { opcode, fd, buf: KERNEL_ADDRESS, nbytes: 512 };
  expect(rig.attempt(request)).toEqual({ io_submit: 'EFAULT' });
  expect(rig.attempt({ ...request, nbytes: 0 })).toEqual({ io_submit: 'EFAULT' });
});

test.each(opcodes)('a null buffer is taken and a fault, and is fine for no bytes (opcode %i)', (opcode) => {
  const { fd } = temporaryFile({ content });
  const rig = new Rig();
  expect(rig.attempt({ opcode, fd, buf: 0n, nbytes: 512 })).toEqual({ res: 'EFAULT' });
  expect(rig.attempt({ opcode, fd, buf: 0n, nbytes: 0 })).toEqual({ res: 0 });
});

test('a buffered transfer whose buffer runs into unmapped memory is short, or a write of it a fault', ({ skip }) => {
  const { fd, path } = temporaryFile({ content });
  skip(fileSystemOf(path) === 'btrfs', 'a write of btrfs fails as a whole');
  const rig = new Rig();
  const buf = rig.end - 96n;
  expect(rig.attempt({ opcode: IOCB_CMD_PREAD, fd, buf, nbytes: 512 })).toEqual({ res: 96 });
  expect(Buffer.from(rig.arena.buffer, rig.arena.byteLength - 96).equals(content.subarray(0, 96))).toBe(true);
  const written = rig.attempt({ opcode: IOCB_CMD_PWRITE, fd, buf, nbytes: 512, offset: PAGE_BYTES });
  // Linux 5.10 fails such a write as a whole.
  expect([{ res: 96 }, { res: 'EFAULT' }]).toContainEqual(written);
  expect(fstatSync(fd).size).toBe(PAGE_BYTES + ('res' in written && written.res === 96 ? 96 : 0));
});

test.each(opcodes)('a direct transfer whose buffer runs into unmapped memory is a fault (opcode %i)', (opcode) => {
  const { fd } = temporaryFile({ content: pattern(2 * PAGE_BYTES), direct: true });
  const rig = new Rig();
  const buf = rig.end - BigInt(PAGE_BYTES);
  expect(rig.attempt({ opcode, fd, buf, nbytes: 2 * PAGE_BYTES })).toEqual({ res: 'EFAULT' });
  expect(rig.attempt({ opcode, fd, buf, nbytes: PAGE_BYTES })).toEqual({ res: PAGE_BYTES });
});

test('a buffer that is the mapping of the same page of the file is no deadlock', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  const path = `${scratch()}/file`;
  expect(observe('mapping', 'same-page', path)).toEqual({
    buffered_read: 4096,
    buffered_write: 4096,
    direct_read: 4096,
    direct_write: 4096,
  });
});
