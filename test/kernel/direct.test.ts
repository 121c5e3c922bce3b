import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  read,
  readFileSync,
  readSync,
  rmSync,
  write,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../../src/layout/index.ts';
import { binding } from '../../src/raw/binding.ts';
import { type Iocb, long, PAGE_BYTES, Rig } from '../support/raw.ts';
import { fileSystemOf, openFile, pattern, scratch, temporaryFile } from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

const { O_CREAT, O_DIRECT, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } = constants;
const MIB = 1 << 20;

// Transfers of fs run on other threads, so that they race what the test submits meanwhile.
const readElsewhere = promisify(read);
const writeElsewhere = promisify(write);

test.for([
  { what: 'a length of 100', fields: { nbytes: 100 } },
  { what: 'an offset of 1', fields: { offset: 1 } },
  { what: 'an offset of 100', fields: { offset: 100 } },
])('$what fails with EINVAL in the event', ({ fields }, { skip }) => {
  const { fd, path } = temporaryFile({ content: pattern(2 * PAGE_BYTES), direct: true });
  skip(!['ext4', 'xfs'].includes(fileSystemOf(path)), 'the test directory is neither on ext4 nor on xfs');
  const rig = new Rig();
  const request = { fd, buf: rig.address(rig.buffer(PAGE_BYTES)), nbytes: PAGE_BYTES, ...fields };
  expect(rig.attempt({ opcode: IOCB_CMD_PREAD, ...request })).toEqual({ res: 'EINVAL' });
  expect(rig.attempt({ opcode: IOCB_CMD_PWRITE, ...request })).toEqual({ res: 'EINVAL' });
});

test('memory aligned as statx says is enough', async ({ skip }) => {
  const content = pattern(2 * PAGE_BYTES);
  const { fd } = temporaryFile({ content, direct: true });
  const stat = await binding().statx(fd);
  const align = typeof stat === 'number' ? undefined : stat.dio_mem_align;
  skip(!align, 'the kernel or the file system does not tell its alignment');
  const rig = new Rig();
  const buffer = rig.buffer(2 * PAGE_BYTES).subarray(align, align! + PAGE_BYTES);
  const request = { fd, buf: rig.address(buffer), nbytes: PAGE_BYTES, offset: PAGE_BYTES };
  expect(rig.attempt({ opcode: IOCB_CMD_PREAD, ...request })).toEqual({ res: PAGE_BYTES });
  expect(buffer.equals(content.subarray(PAGE_BYTES))).toBe(true);
  expect(rig.attempt({ opcode: IOCB_CMD_PWRITE, ...request })).toEqual({ res: PAGE_BYTES });
});

test.each([1, 4])('memory %i bytes off is for the device to judge: in full and right, or EINVAL', (shift) => {
  const content = pattern(PAGE_BYTES);
  const { fd } = temporaryFile({ content, direct: true });
  const rig = new Rig();
  const buffer = rig.buffer(2 * PAGE_BYTES).subarray(shift, shift + PAGE_BYTES);
  const outcome = rig.attempt({ opcode: IOCB_CMD_PREAD, fd, buf: rig.address(buffer), nbytes: PAGE_BYTES });
  expect([{ res: PAGE_BYTES }, { res: 'EINVAL' }]).toContainEqual(outcome);
  if ('res' in outcome && outcome.res === PAGE_BYTES) expect(buffer.equals(content)).toBe(true);
});

test('a buffered reader beside direct writes sees the old or the new, and after the event only the new', async () => {
  const { fd, path } = temporaryFile({ content: Buffer.alloc(PAGE_BYTES, 0), direct: true });
  const buffered = openFile(path, O_RDONLY);
  const rig = new Rig();
  const data = rig.buffer(PAGE_BYTES);
  const after = Buffer.alloc(PAGE_BYTES);
  for (let round = 1; round <= 200; round++) {
    const reads = Array.from({ length: 3 }, () => readElsewhere(buffered, Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, 0));
    data.fill(round);
    expect(rig.attempt({ opcode: IOCB_CMD_PWRITE, fd, buf: rig.address(data), nbytes: PAGE_BYTES })).toEqual({
      res: PAGE_BYTES,
    });
    readSync(buffered, after, 0, PAGE_BYTES, 0);
    expect(after.equals(data)).toBe(true);
    for (const { buffer } of await Promise.all(reads)) {
      expect(buffer.every((byte) => byte === round - 1 || byte === round)).toBe(true);
    }
  }
});

test('direct transfers and a mapping of the same page see what the other did', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  expect(observe('mapping', 'dirty-page', join(scratch(), 'file'))).toEqual({
    direct_read: 4096,
    read_sees_stores: 1,
    direct_write: 4096,
    mapping_sees_write: 1,
    buffered_read_sees_write: 1,
  });
});

/** Leaves blocks on the disk that are not zero and belong to no file: what a reader must never see. */
function soil(directory: string): void {
  const path = join(directory, 'soil');
  const fd = openSync(path, O_WRONLY | O_CREAT);
  writeFileSync(fd, Buffer.alloc(8 * MIB, 0xaa));
  fsyncSync(fd);
  closeSync(fd);
  rmSync(path);
}

/** What buffered and direct readers of [offset, offset + 64 KiB) see of a write there: each byte that they were given. */
async function readersOf(fds: readonly number[], rig: Rig, offset: number, write: () => void): Promise<Buffer[]> {
  const reads = fds.map((fd) => {
    const memory = rig.buffer(64 * 1024, 0xee);
    return readElsewhere(fd, memory, 0, memory.length, offset).then(({ bytesRead, buffer }) => {
      const seen = Buffer.from(buffer.subarray(0, bytesRead));
      rig.arena.free(memory);
      return seen;
    });
  });
  write();
  return Promise.all(reads);
}

test.each([
  ['appends', (round: number) => round * 64 * 1024],
  ['sparse writes', (round: number) => (63 - round) * 64 * 1024],
])('readers beside direct %s of zeros see only zeros', async (_, offsetOf) => {
  const { fd, path } = temporaryFile({ direct: true });
  soil(join(path, '..'));
  const readers = [openFile(path, O_RDONLY), openFile(path, O_RDONLY), openFile(path, O_RDONLY | O_DIRECT)];
  const rig = new Rig();
  const zeros = rig.address(rig.buffer(64 * 1024));
  for (let round = 0; round < 64; round++) {
    const offset = offsetOf(round);
    const seen = await readersOf(readers, rig, offset, () => {
      expect(rig.attempt({ opcode: IOCB_CMD_PWRITE, fd, buf: zeros, nbytes: 64 * 1024, offset })).toEqual({
        res: 64 * 1024,
      });
    });
    for (const bytes of seen) expect(bytes.every((byte) => byte === 0)).toBe(true);
  }
});

test('a direct reader beside direct appends sees what is appended, or zeros, or nothing', async () => {
  const { fd, path } = temporaryFile({ direct: true });
  soil(join(path, '..'));
  const readers = [1, 2, 3].map(() => openFile(path, O_RDONLY | O_DIRECT));
  const rig = new Rig();
  const data = rig.address(rig.buffer(64 * 1024, 0x61));
  for (let round = 0; round < 64; round++) {
    const offset = round * 64 * 1024;
    const seen = await readersOf(readers, rig, offset, () => {
      expect(rig.attempt({ opcode: IOCB_CMD_PWRITE, fd, buf: data, nbytes: 64 * 1024, offset })).toEqual({
        res: 64 * 1024,
      });
    });
    for (const bytes of seen) expect(bytes.every((byte) => byte === 0x61 || byte === 0)).toBe(true);
  }
});

test('an append that races fallocate leaves a file of both', async () => {
  const rig = new Rig();
  const data = rig.buffer(PAGE_BYTES, 0x61);
  for (let round = 0; round < 100; round++) {
    const { fd } = temporaryFile({ direct: true });
    const reserved = binding().fallocate(fd, 0, 0, PAGE_BYTES);
    const append: Iocb = {
      opcode: IOCB_CMD_PWRITE,
      fd,
      buf: rig.address(data),
      nbytes: PAGE_BYTES,
      offset: PAGE_BYTES,
    };
    expect(rig.attempt(append)).toEqual({ res: PAGE_BYTES });
    expect(await reserved).toBe(0);
    expect(fstatSync(fd).size).toBe(2 * PAGE_BYTES);
  }
});

test('O_DIRECT that is switched on and off in flight fails nothing', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  const { path } = temporaryFile({ content: pattern(MIB) });
  expect(observe('toggle', path)).toEqual({ reads: 2000, full: 2000, toggled: 1 });
});

test('a direct write that races buffered writes is in full, or fails with EIO', { timeout: 300_000 }, async () => {
  const { fd, path } = temporaryFile({ content: pattern(MIB), direct: true });
  const buffered = openFile(path, O_RDWR);
  const rig = new Rig();
  const buf = rig.address(rig.buffer(64 * 1024, 0x61));
  const end = performance.now() + (long ? 200_000 : 1500);
  for (let round = 0; performance.now() < end; round++) {
    const offset = (round % 16) * 64 * 1024;
    const writes = [0, 1, 2].map((at) => writeElsewhere(buffered, pattern(1000, round), 0, 1000, offset + at * 20_000));
    const outcome = rig.attempt({ opcode: IOCB_CMD_PWRITE, fd, buf, nbytes: 64 * 1024, offset });
    expect([{ res: 64 * 1024 }, { res: 'EIO' }]).toContainEqual(outcome);
    await Promise.all(writes);
  }
});

/** Copies with up to eight reads or writes in flight at once, each block written when it has been read. */
function copy(rig: Rig, source: number, target: number, size: number, blockBytes: number): void {
  const blocks = Math.ceil(size / blockBytes);
  const buffers = Array.from({ length: Math.min(8, blocks) }, () => rig.buffer(blockBytes));
  for (let first = 0; first < blocks; first += buffers.length) {
    const batch = buffers.slice(0, blocks - first).map((buffer, at) => {
      const offset = (first + at) * blockBytes;
      return { buf: rig.address(buffer), nbytes: Math.min(blockBytes, size - offset), offset };
    });
    const lengths = batch.map(({ nbytes }) => nbytes);
    expect(rig.attemptAll(batch.map((block) => ({ ...block, fd: source, opcode: IOCB_CMD_PREAD })))).toEqual(lengths);
    expect(rig.attemptAll(batch.map((block) => ({ ...block, fd: target, opcode: IOCB_CMD_PWRITE })))).toEqual(lengths);
  }
  for (const buffer of buffers) rig.arena.free(buffer);
}

test.each([
  ['buffered', 0, 0],
  ['buffered to O_SYNC', 0, O_SYNC],
  ['direct', O_DIRECT, O_DIRECT],
  ['direct to O_SYNC', O_DIRECT, O_DIRECT | O_SYNC],
])('a copy in blocks of 1 to 512 KiB is the same file (%s)', (_, sourceFlags, targetFlags) => {
  const content = pattern(2 * MIB);
  const { path } = temporaryFile({ content });
  const source = openFile(path, O_RDONLY | sourceFlags);
  const rig = new Rig({ memory: 8 * MIB });
  for (let kib = 1; kib <= 512; kib *= 2) {
    // Small blocks through O_SYNC are a flush of the disk each: part of the file says as much.
    const size = kib < 16 && targetFlags & O_SYNC ? 64 * 1024 : content.length;
    const copied = `${path}.copy`;
    copy(rig, source, openFile(copied, O_RDWR | O_CREAT | O_TRUNC | targetFlags), size, kib * 1024);
    expect(readFileSync(copied).equals(content.subarray(0, size))).toBe(true);
  }
});
