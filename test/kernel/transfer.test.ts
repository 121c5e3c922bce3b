import { execFileSync } from 'node:child_process';
import { constants, fstatSync, fsyncSync, ftruncateSync, readFileSync, readSync, writeSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { IOCB_CMD_FSYNC, IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../../src/layout/index.ts';
import { patience } from '../support/child.ts';
import { hasCommand } from '../support/compile.ts';
import { directSkip } from '../support/direct.ts';
import { type Iocb, long, PAGE_BYTES, Rig } from '../support/raw.ts';
import { fileSystemOf, openFile, pattern, temporaryFile } from '../support/raw-files.ts';

const { O_DIRECT, O_RDONLY, O_RDWR } = constants;
const INT64_MAX = 2n ** 63n - 1n;
const MIB = 1 << 20;

/** A rig with a buffer, and the request that moves all of it. */
function moving(opcode: number, fd: number, byteLength: number, fill = 0): { rig: Rig; buffer: Buffer; request: Iocb } {
  const rig = new Rig({ memory: byteLength + MIB });
  const buffer = rig.buffer(byteLength, fill);
  return { rig, buffer, request: { opcode, fd, buf: rig.address(buffer), nbytes: byteLength } };
}

test.each([IOCB_CMD_PREAD, IOCB_CMD_PWRITE])(
  'a transfer of no bytes is done, and changes no size (opcode %i)',
  (opcode) => {
    const { fd } = temporaryFile({ content: pattern(100) });
    const { rig, request } = moving(opcode, fd, 64);
    expect(rig.attempt({ ...request, nbytes: 0, offset: 1000 })).toEqual({ res: 0 });
    expect(fstatSync(fd).size).toBe(100);
  },
);

test.each([IOCB_CMD_PREAD, IOCB_CMD_PWRITE])('a transfer whose end is no offset is refused (opcode %i)', (opcode) => {
  const { fd } = temporaryFile();
  const { rig, request } = moving(opcode, fd, 16);
  expect(rig.attempt({ ...request, offset: INT64_MAX })).toEqual({ io_submit: 'EINVAL' });
  expect(rig.attempt({ ...request, offset: -1 })).toEqual({ io_submit: 'EINVAL' });
});

test('a write that ends at the last offset is too large for ext4', ({ skip }) => {
  const { fd, path } = temporaryFile();
  skip(fileSystemOf(path) !== 'ext4', 'the test directory is not on ext4');
  const { rig, request } = moving(IOCB_CMD_PWRITE, fd, 16);
  expect(rig.attempt({ ...request, offset: INT64_MAX - 16n })).toEqual({ res: 'EFBIG' });
});

test.each([false, true])(
  'a read at or past the end of a file, or of an empty one, has nothing (O_DIRECT: %s)',
  (direct) => {
    const { fd } = temporaryFile({ content: pattern(PAGE_BYTES), direct });
    const { rig, request } = moving(IOCB_CMD_PREAD, fd, PAGE_BYTES);
    expect(rig.attempt({ ...request, offset: PAGE_BYTES })).toEqual({ res: 0 });
    expect(rig.attempt({ ...request, offset: 100 * PAGE_BYTES })).toEqual({ res: 0 });
    expect(rig.attempt({ ...request, fd: temporaryFile({ direct: true }).fd })).toEqual({ res: 0 });
  },
);

test.each([false, true])('a read that passes the end of a file is short (O_DIRECT: %s)', (direct) => {
  const content = pattern(PAGE_BYTES + 100);
  const { fd } = temporaryFile({ content, direct });
  const { rig, request, buffer } = moving(IOCB_CMD_PREAD, fd, 2 * PAGE_BYTES);
  expect(rig.attempt(request)).toEqual({ res: content.length });
  expect(buffer.subarray(0, content.length).equals(content)).toBe(true);
});

test.each([false, true])('a hole reads as zeros, in full (O_DIRECT: %s)', (direct) => {
  const { fd } = temporaryFile({ size: MIB, direct });
  const { rig, request, buffer } = moving(IOCB_CMD_PREAD, fd, MIB, 0xee);
  expect(rig.attempt(request)).toEqual({ res: MIB });
  expect(buffer.equals(Buffer.alloc(MIB))).toBe(true);
});

test.each([false, true])('a write far past the end makes a sparse file of the right size (O_DIRECT: %s)', (direct) => {
  const { fd } = temporaryFile({ direct });
  const { rig, request } = moving(IOCB_CMD_PWRITE, fd, PAGE_BYTES, 0x61);
  const offset = 2 ** 33;
  expect(rig.attempt({ ...request, offset })).toEqual({ res: PAGE_BYTES });
  fsyncSync(fd);
  const { size, blocks } = fstatSync(fd);
  expect(size).toBe(offset + PAGE_BYTES);
  expect(blocks * 512).toBeLessThan(MIB);
});

test('the size of a file covers an extending direct write when its event is there', () => {
  const { fd } = temporaryFile({ direct: true });
  const { rig, request } = moving(IOCB_CMD_PWRITE, fd, 64 * 1024, 0x61);
  const iocbs = Array.from({ length: 32 }, (_, at) => {
    const offset = at * 64 * 1024;
    return rig.iocb({ ...request, offset, data: BigInt(offset) });
  });
  expect(rig.submit(...iocbs)).toBe(32);
  for (let left = 32; left > 0; left--) {
    const { data, res } = rig.reap()[0]!;
    expect(res).toBe(64 * 1024);
    expect(fstatSync(fd).size).toBeGreaterThanOrEqual(Number(data) + 64 * 1024);
  }
});

test('the position of a descriptor is not moved', () => {
  const content = pattern(PAGE_BYTES);
  const { fd } = temporaryFile({ content });
  const { rig, request } = moving(IOCB_CMD_PREAD, fd, 512);
  const ten = Buffer.alloc(10);
  readSync(fd, ten);
  expect(rig.attempt({ ...request, offset: 1024 })).toEqual({ res: 512 });
  expect(rig.attempt({ ...request, opcode: IOCB_CMD_PWRITE, offset: 2048 })).toEqual({ res: 512 });
  readSync(fd, ten);
  expect(ten).toEqual(content.subarray(10, 20));
});

test('one request moves 768 MiB, in and out', () => {
  const bytes = 768 * MIB;
  const { fd, path } = temporaryFile({ size: bytes, direct: true });
  const { rig, request, buffer } = moving(IOCB_CMD_PREAD, fd, bytes);
  buffer[bytes - 1] = 0xee;
  expect(rig.attempt(request)).toEqual({ res: bytes });
  expect(buffer[bytes - 1]).toBe(0);
  buffer[bytes - 1] = 0xaa;
  expect(rig.attempt({ ...request, opcode: IOCB_CMD_PWRITE })).toEqual({ res: bytes });
  const last = Buffer.alloc(1);
  readSync(openFile(path, O_RDONLY), last, 0, 1, bytes - 1);
  expect(last[0]).toBe(0xaa);
}, 120_000);

test('eight writes and eight reads of 1 MiB go through in one call each', () => {
  const content = pattern(8 * MIB);
  const { fd } = temporaryFile({ direct: true });
  const { rig, buffer } = moving(IOCB_CMD_PREAD, fd, 8 * MIB);
  const batch = (opcode: number): Iocb[] =>
    Array.from({ length: 8 }, (_, at) => {
      const offset = at * MIB;
      return { opcode, fd, buf: rig.address(buffer) + BigInt(offset), nbytes: MIB, offset };
    });
  content.copy(buffer);
  expect(rig.attemptAll(batch(IOCB_CMD_PWRITE))).toEqual(Array(8).fill(MIB));
  buffer.fill(0);
  expect(rig.attemptAll(batch(IOCB_CMD_PREAD))).toEqual(Array(8).fill(MIB));
  expect(buffer.equals(content)).toBe(true);
});

test('one page is read again and again, in full each time', () => {
  const times = long ? 1_000_000 : 20_000;
  const { fd } = temporaryFile({ content: pattern(PAGE_BYTES), direct: true });
  const { rig, request } = moving(IOCB_CMD_PREAD, fd, PAGE_BYTES);
  const iocbs = Array.from({ length: 50 }, () => rig.iocb(request));
  for (let done = 0; done < times; done += 50) {
    if (rig.submit(...iocbs) !== 50) throw new Error('io_submit took only some');
    for (const { res } of rig.reap(50)) if (res !== PAGE_BYTES) throw new Error(`a read of a page gave ${res}`);
  }
}, 600_000);

test('direct writes of the same pattern that overlap leave the pattern and nothing else', () => {
  const blocks = 64;
  const content = pattern(blocks * PAGE_BYTES);
  const { fd } = temporaryFile({ size: content.length, direct: true });
  const { rig, buffer } = moving(IOCB_CMD_PWRITE, fd, content.length);
  content.copy(buffer);
  const written = new Set<number>();
  for (let round = 0; round < 20; round++) {
    const batch = Array.from({ length: 32 }, (_, at) => {
      const first = (round * 37 + at * 29) % blocks;
      const count = Math.min(1 + ((round + at * 7) % 8), blocks - first);
      for (let block = first; block < first + count; block++) written.add(block);
      const offset = first * PAGE_BYTES;
      return {
        opcode: IOCB_CMD_PWRITE,
        fd,
        buf: rig.address(buffer) + BigInt(offset),
        nbytes: count * PAGE_BYTES,
        offset,
      };
    });
    expect(rig.attemptAll(batch)).toEqual(batch.map(({ nbytes }) => nbytes));
  }
  expect(written.size).toBe(blocks);
  buffer.fill(0);
  expect(rig.attempt({ opcode: IOCB_CMD_PREAD, fd, buf: rig.address(buffer), nbytes: content.length })).toEqual({
    res: content.length,
  });
  expect(buffer.equals(content)).toBe(true);
});

/** Sixteen reads of a page each, from the last page to the first. */
function backwards(rig: Rig, fd: number, buffer: Buffer): bigint[] {
  return Array.from({ length: 16 }, (_, at) => {
    const offset = (15 - at) * PAGE_BYTES;
    const buf = rig.address(buffer) + BigInt(offset);
    return rig.iocb({ opcode: IOCB_CMD_PREAD, fd, buf, nbytes: PAGE_BYTES, offset, data: BigInt(at) });
  });
}

test('cached buffered reads complete in the order of their submission', () => {
  const { fd, path } = temporaryFile({ content: pattern(16 * PAGE_BYTES) });
  readFileSync(path);
  const { rig, buffer } = moving(IOCB_CMD_PREAD, fd, 16 * PAGE_BYTES);
  expect(rig.submit(...backwards(rig, fd, buffer))).toBe(16);
  expect(rig.poll().map(({ data }) => Number(data))).toEqual(Array.from({ length: 16 }, (_, at) => at));
});

test('direct reads complete in any order, each once and with its own data', () => {
  const content = pattern(16 * PAGE_BYTES);
  const { fd } = temporaryFile({ content, direct: true });
  const { rig, buffer } = moving(IOCB_CMD_PREAD, fd, 16 * PAGE_BYTES);
  expect(rig.submit(...backwards(rig, fd, buffer))).toBe(16);
  const order = rig.reap(16).map(({ data }) => Number(data));
  expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, at) => at));
  expect(buffer.equals(content)).toBe(true);
});

/** How many of fifty requests, one after the other, were still pending when io_submit returned. */
function pendingOf50(rig: Rig, request: (round: number) => Iocb): number {
  let pending = 0;
  for (let round = 0; round < 50; round++) {
    if (rig.submit(rig.iocb(request(round))) !== 1) throw new Error('not taken');
    if (rig.unread === 0) pending++;
    rig.reap();
  }
  return pending;
}

test('direct reads and overwrites and fsync are pending when io_submit returns', () => {
  const { fd, path } = temporaryFile({ content: pattern(MIB), direct: true });
  const { rig, request } = moving(IOCB_CMD_PREAD, fd, 256 * 1024);
  // A fast device may complete one before io_submit returns, so that most are pending is all that can be said; and that some are where a
  // processor is emulated, which may be held up in the call for as long as the device takes.
  const fewest = patience === 1 ? 26 : 1;
  expect(pendingOf50(rig, () => request)).toBeGreaterThanOrEqual(fewest);
  expect(pendingOf50(rig, () => ({ ...request, opcode: IOCB_CMD_PWRITE }))).toBeGreaterThanOrEqual(fewest);
  const other = openFile(path, O_RDWR);
  const dirty = (round: number): Iocb => {
    writeSync(other, pattern(PAGE_BYTES, round), 0, PAGE_BYTES, 0);
    return { opcode: IOCB_CMD_FSYNC, fd: other };
  };
  expect(pendingOf50(rig, dirty)).toBeGreaterThanOrEqual(fewest);
});

test('buffered reads and writes are done when io_submit returns', () => {
  const { fd } = temporaryFile({ content: pattern(MIB) });
  const { rig, request } = moving(IOCB_CMD_PREAD, fd, 256 * 1024);
  expect(pendingOf50(rig, () => request)).toBe(0);
  expect(pendingOf50(rig, () => ({ ...request, opcode: IOCB_CMD_PWRITE }))).toBe(0);
});

test('direct writes that extend a file of ext4 are done when io_submit returns', ({ skip }) => {
  const { fd, path } = temporaryFile({ direct: true });
  skip(fileSystemOf(path) !== 'ext4', 'the test directory is not on ext4');
  const { rig, request } = moving(IOCB_CMD_PWRITE, fd, 64 * 1024);
  expect(pendingOf50(rig, (round) => ({ ...request, offset: round * 64 * 1024 }))).toBe(0);
});

test('direct transfers of tmpfs are done when io_submit returns', ({ skip }) => {
  skip(!isTmpfs('/dev/shm'), '/dev/shm is no tmpfs');
  // Linux 6.6 and newer.
  skip(directSkip('/dev/shm') !== false, 'tmpfs has no direct I/O');
  const { path } = temporaryFile({ content: pattern(MIB), directory: '/dev/shm' });
  const fd = openFile(path, O_RDWR | O_DIRECT);
  const { rig, request } = moving(IOCB_CMD_PREAD, fd, 256 * 1024);
  expect(pendingOf50(rig, () => request)).toBe(0);
  expect(pendingOf50(rig, (round) => ({ ...request, opcode: IOCB_CMD_PWRITE, offset: round * 256 * 1024 }))).toBe(0);
});

function isTmpfs(path: string): boolean {
  try {
    return fileSystemOf(path) === 'tmpfs';
  } catch {
    return false;
  }
}

test('under a limit on file size a write is short up to it, fails with EFBIG and SIGXFSZ at it, and of no bytes is done', async ({
  skip,
}) => {
  skip(!hasCommand('prlimit'), 'there is no prlimit');
  const { fd } = temporaryFile();
  const { rig, request } = moving(IOCB_CMD_PWRITE, fd, 1024);
  let signals = 0;
  const count = (): void => {
    signals++;
  };
  process.on('SIGXFSZ', count);
  const limit = (soft: string): Buffer => execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${soft}:`]);
  onTestFinished(() => {
    limit('unlimited');
    process.off('SIGXFSZ', count);
  });
  limit('10000');
  expect(rig.attempt({ ...request, offset: 10_000 - 511 })).toEqual({ res: 511 });
  expect(rig.attempt({ ...request, offset: 10_000 })).toEqual({ res: 'EFBIG' });
  expect(rig.attempt({ ...request, offset: 10_000, nbytes: 0 })).toEqual({ res: 0 });
  await expect.poll(() => signals, { timeout: 30_000 }).toBe(1);
  expect(fstatSync(fd).size).toBe(10_000);
});

/** The largest size that the file system gives a file, found by trying. */
function maximumSize(fd: number): number {
  let possible = 0;
  let impossible = 2 ** 53;
  while (impossible - possible > 1) {
    const size = possible + Math.floor((impossible - possible) / 2);
    try {
      ftruncateSync(fd, size);
      possible = size;
    } catch {
      impossible = size;
    }
  }
  ftruncateSync(fd, 0);
  return possible;
}

test("at the file system's largest file size a write is short, past it fails with EFBIG, and of no bytes is done", ({
  skip,
}) => {
  const { fd, path } = temporaryFile();
  skip(
    fileSystemOf(path) !== 'ext4',
    'the test directory is not on ext4, other file systems have no limit that a number reaches',
  );
  const size = maximumSize(fd);
  const { rig, request } = moving(IOCB_CMD_PWRITE, fd, 1024);
  expect(rig.attempt({ ...request, offset: size - 511 })).toEqual({ res: 511 });
  expect(rig.attempt({ ...request, offset: size })).toEqual({ res: 'EFBIG' });
  expect(rig.attempt({ ...request, offset: size, nbytes: 0 })).toEqual({ res: 0 });
});
