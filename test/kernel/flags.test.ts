import { execFileSync } from 'node:child_process';
import { constants, fstatSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  IOCB_CMD_PREAD,
  IOCB_CMD_PWRITE,
  RWF_APPEND,
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOWAIT,
  RWF_SYNC,
} from '../../src/layout/index.ts';
import { hasCommand } from '../support/compile.ts';
import { type Iocb, PAGE_BYTES, Rig } from '../support/raw.ts';
import { fileSystemOf, openFile, pattern, temporaryFile } from '../support/raw-files.ts';

const { O_DIRECT, O_RDWR, O_SYNC } = constants;
/** <linux/fs.h>: flags that kaio has no use for. */
const RWF_ATOMIC = 0x40;
const RWF_DONTCACHE = 0x80;

const content = pattern(PAGE_BYTES);

function transfer(rig: Rig, fd: number, opcode: number, rw_flags: number): Iocb {
  return { opcode, fd, buf: rig.address(rig.buffer(PAGE_BYTES, 0x61)), nbytes: PAGE_BYTES, rw_flags };
}

/** Puts a file on the disk and takes it out of the page cache. */
function evict(path: string): void {
  execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { stdio: 'ignore' });
}

test.each([9, 10, 15, 30, 31])('bit %i of aio_rw_flags is refused, being unknown', (bit) => {
  const flag = (1 << bit) >>> 0;
  const { fd } = temporaryFile({ content });
  const rig = new Rig();
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PREAD, flag))).toEqual({ io_submit: 'ENOTSUP' });
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PWRITE, flag))).toEqual({ io_submit: 'ENOTSUP' });
});

test('RWF_NOWAIT lets a buffered read of cached pages through and refuses one of others with EAGAIN', ({ skip }) => {
  const { fd, path } = temporaryFile({ content });
  skip(fileSystemOf(path) === 'tmpfs', 'the test directory is on tmpfs, whose pages are always there');
  skip(!hasCommand('dd'), 'there is no dd');
  const rig = new Rig();
  const read = transfer(rig, fd, IOCB_CMD_PREAD, RWF_NOWAIT);
  // The advice to drop pages is only that: some may be in use just then.
  const uncached = Array.from({ length: 10 }, () => {
    evict(path);
    return rig.attempt(read);
  });
  expect(uncached).toContainEqual({ res: 'EAGAIN' });
  readFileSync(path);
  expect(rig.attempt(read)).toEqual({ res: PAGE_BYTES });
});

test('ext4 refuses a buffered write with RWF_NOWAIT in its event', ({ skip }) => {
  const { fd, path } = temporaryFile({ content });
  skip(fileSystemOf(path) !== 'ext4', 'the test directory is not on ext4');
  const rig = new Rig();
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PWRITE, RWF_NOWAIT))).toEqual({ res: 'ENOTSUP' });
});

test('direct reads and overwrites with RWF_NOWAIT go through', ({ skip }) => {
  skip(!hasCommand('dd'), 'there is no dd');
  const { fd, path } = temporaryFile({ content, direct: true });
  // Linux 5.10 refuses where pages are cached, which it would have to write back first.
  evict(path);
  const rig = new Rig();
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PREAD, RWF_NOWAIT))).toEqual({ res: PAGE_BYTES });
  // A fresh inode wants one write without the flag first: it may have to start a transaction for its times.
  const write = transfer(rig, fd, IOCB_CMD_PWRITE, 0);
  expect(rig.attempt(write)).toEqual({ res: PAGE_BYTES });
  // Some kernels refuse whenever the file's times must change, once a timer tick or oftener: a write right after another changes none.
  // Others refuse just that, the first having locked the file.
  const overwrite = transfer(rig, fd, IOCB_CMD_PWRITE, RWF_NOWAIT);
  const alone = Array.from({ length: 20 }, () => rig.attemptAll([overwrite])[0]);
  const after = Array.from({ length: 20 }, () => rig.attemptAll([write, overwrite])[1]);
  expect([...alone, ...after]).toContain(PAGE_BYTES);
});

test('tmpfs refuses a buffered write with RWF_NOWAIT at once', ({ skip }) => {
  skip(fileSystemOf('/dev/shm') !== 'tmpfs', '/dev/shm is no tmpfs');
  const { fd } = temporaryFile({ content, directory: '/dev/shm' });
  const rig = new Rig();
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PWRITE, RWF_NOWAIT))).toEqual({ io_submit: 'ENOTSUP' });
});

test.each([false, true])('RWF_HIPRI changes nothing (O_DIRECT: %s)', (direct) => {
  const { fd } = temporaryFile({ content, direct });
  const rig = new Rig();
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PREAD, RWF_HIPRI))).toEqual({ res: PAGE_BYTES });
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PWRITE, RWF_HIPRI))).toEqual({ res: PAGE_BYTES });
});

test('RWF_DONTCACHE is fine on ext4 and refused on tmpfs', ({ skip }) => {
  const { fd, path } = temporaryFile({ content });
  skip(fileSystemOf(path) !== 'ext4', 'the test directory is not on ext4');
  const rig = new Rig();
  const first = rig.attempt(transfer(rig, fd, IOCB_CMD_PREAD, RWF_DONTCACHE));
  skip('io_submit' in first, 'the kernel has no RWF_DONTCACHE (Linux 6.14)');
  expect(first).toEqual({ res: PAGE_BYTES });
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PWRITE, RWF_DONTCACHE))).toEqual({ res: PAGE_BYTES });
  const shm = temporaryFile({ content, directory: '/dev/shm' });
  expect(rig.attempt(transfer(rig, shm.fd, IOCB_CMD_PREAD, RWF_DONTCACHE))).toEqual({ io_submit: 'ENOTSUP' });
});

test('RWF_ATOMIC is refused for a read, and for a buffered write', () => {
  const { fd } = temporaryFile({ content });
  const rig = new Rig();
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PREAD, RWF_ATOMIC))).toEqual({ io_submit: 'ENOTSUP' });
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PWRITE, RWF_ATOMIC))).toEqual({ io_submit: 'ENOTSUP' });
});

test.each([RWF_SYNC, RWF_DSYNC])('a write with RWF_SYNC or RWF_DSYNC is in full (flag %i)', (flag) => {
  const rig = new Rig();
  for (const direct of [false, true]) {
    const { fd, path } = temporaryFile({ direct });
    expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PWRITE, flag))).toEqual({ res: PAGE_BYTES });
    expect(readFileSync(path).equals(Buffer.alloc(PAGE_BYTES, 0x61))).toBe(true);
  }
});

test('a write with a descriptor of O_SYNC is in full', () => {
  const { path } = temporaryFile();
  const rig = new Rig();
  for (const flags of [O_RDWR | O_SYNC, O_RDWR | O_SYNC | O_DIRECT]) {
    expect(rig.attempt(transfer(rig, openFile(path, flags), IOCB_CMD_PWRITE, 0))).toEqual({ res: PAGE_BYTES });
  }
});

test('a write with RWF_APPEND goes to the end of the file, whatever its offset', () => {
  const { fd, path } = temporaryFile({ content });
  const rig = new Rig();
  expect(rig.attempt(transfer(rig, fd, IOCB_CMD_PWRITE, RWF_APPEND))).toEqual({ res: PAGE_BYTES });
  expect(fstatSync(fd).size).toBe(2 * PAGE_BYTES);
  expect(readFileSync(path).equals(Buffer.concat([content, Buffer.alloc(PAGE_BYTES, 0x61)]))).toBe(true);
});
