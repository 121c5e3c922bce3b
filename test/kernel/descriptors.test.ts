import { execFileSync } from 'node:child_process';
import { constants, readFileSync, watch } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../../src/layout/index.ts';
import { hasCommand } from '../support/compile.ts';
import { type Iocb, order, PAGE_BYTES, Rig, temporaryEventfd } from '../support/raw.ts';
import {
  closeNow,
  connectedSockets,
  descriptorsOf,
  openFile,
  pattern,
  scratch,
  temporaryFile,
} from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

const { O_RDONLY, O_RDWR, O_WRONLY } = constants;
/** <fcntl.h>: only a reference to the file. Node does not name it. */
const O_PATH = 0o10000000;

/** Reads or writes 64 bytes of zeros with a descriptor. */
function attempt(opcode: number, fd: number, offset = 0): ReturnType<Rig['attempt']> {
  const rig = new Rig();
  return rig.attempt(request(rig, opcode, fd, offset));
}

function request(rig: Rig, opcode: number, fd: number, offset = 0): Iocb {
  return { opcode, fd, buf: rig.address(rig.buffer(64)), nbytes: 64, offset };
}

test('a descriptor of -1 is refused', () => {
  expect(attempt(IOCB_CMD_PREAD, -1)).toEqual({ io_submit: 'EBADF' });
});

test('a closed descriptor is refused', () => {
  const { fd } = temporaryFile({ size: 64 });
  closeNow(fd);
  expect(attempt(IOCB_CMD_PREAD, fd)).toEqual({ io_submit: 'EBADF' });
});

test('a descriptor opened with O_PATH is refused', () => {
  const { path } = temporaryFile({ size: 64 });
  expect(attempt(IOCB_CMD_PREAD, openFile(path, O_PATH))).toEqual({ io_submit: 'EBADF' });
});

test('a write with a descriptor for reading is refused, a read is not', () => {
  const { fd } = temporaryFile({ size: 64, flags: O_RDONLY });
  expect(attempt(IOCB_CMD_PWRITE, fd)).toEqual({ io_submit: 'EBADF' });
  expect(attempt(IOCB_CMD_PREAD, fd)).toEqual({ res: 64 });
});

test('a read with a descriptor for writing is refused, a write is not', () => {
  const { fd } = temporaryFile({ size: 64, flags: O_WRONLY });
  expect(attempt(IOCB_CMD_PREAD, fd)).toEqual({ io_submit: 'EBADF' });
  expect(attempt(IOCB_CMD_PWRITE, fd)).toEqual({ res: 64 });
});

test('a read of a directory is refused', () => {
  expect(attempt(IOCB_CMD_PREAD, openFile(scratch(), O_RDONLY))).toEqual({ io_submit: 'EINVAL' });
});

test('a read of an epoll descriptor is refused', () => {
  const [epoll] = descriptorsOf('anon_inode:[eventpoll]');
  expect(attempt(IOCB_CMD_PREAD, epoll!)).toEqual({ io_submit: 'EINVAL' });
});

test('a read of an inotify descriptor is refused', () => {
  const watcher = watch(scratch());
  onTestFinished(() => watcher.close());
  const [inotify] = descriptorsOf('anon_inode:inotify');
  expect(attempt(IOCB_CMD_PREAD, inotify!)).toEqual({ io_submit: 'EINVAL' });
});

test('a read of a file of /proc that has no read_iter is refused', () => {
  expect(attempt(IOCB_CMD_PREAD, openFile('/proc/self/stat', O_RDONLY))).toEqual({ io_submit: 'EINVAL' });
});

test('a write to an eventfd is refused, a read takes its count', () => {
  const rig = new Rig();
  const fd = temporaryEventfd(5);
  expect(rig.attempt(request(rig, IOCB_CMD_PWRITE, fd))).toEqual({ io_submit: 'EINVAL' });
  const count = rig.buffer(8);
  const read: Iocb = { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(count), nbytes: 8 };
  expect(rig.attempt(read)).toEqual({ res: 8 });
  expect(count[`readBigUInt64${order}`]()).toBe(5n);
  expect(rig.attempt(read)).toEqual({ res: 'EAGAIN' });
});

test('/dev/null takes everything and has nothing', () => {
  const fd = openFile('/dev/null', O_RDWR);
  expect(attempt(IOCB_CMD_PWRITE, fd)).toEqual({ res: 64 });
  expect(attempt(IOCB_CMD_PREAD, fd)).toEqual({ res: 0 });
});

test('/dev/zero reads as zeros', () => {
  const rig = new Rig();
  const buffer = rig.buffer(PAGE_BYTES, 0xee);
  const fd = openFile('/dev/zero', O_RDONLY);
  expect(rig.attempt({ opcode: IOCB_CMD_PREAD, fd, buf: rig.address(buffer), nbytes: PAGE_BYTES })).toEqual({
    res: PAGE_BYTES,
  });
  expect(buffer.equals(Buffer.alloc(PAGE_BYTES))).toBe(true);
});

test('a file of sysfs can be read', () => {
  const path = '/sys/devices/system/cpu/online';
  const rig = new Rig();
  const buffer = rig.buffer(64);
  const text = readFileSync(path, 'utf8');
  const fd = openFile(path, O_RDONLY);
  expect(rig.attempt({ opcode: IOCB_CMD_PREAD, fd, buf: rig.address(buffer), nbytes: 64 })).toEqual({
    res: text.length,
  });
  expect(buffer.toString('latin1', 0, text.length)).toBe(text);
});

test('a socket can be written and read', async () => {
  const [one, other] = await connectedSockets();
  const rig = new Rig();
  const sent = rig.buffer(64, 0x61);
  const received = rig.buffer(128);
  expect(rig.attempt({ opcode: IOCB_CMD_PWRITE, fd: one, buf: rig.address(sent), nbytes: 64 })).toEqual({ res: 64 });
  expect(rig.attempt({ opcode: IOCB_CMD_PREAD, fd: other, buf: rig.address(received), nbytes: 128 })).toEqual({
    res: 64,
  });
  expect(received.subarray(0, 64).equals(sent)).toBe(true);
});

test('a memfd can be written and read', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  expect(observe('descriptors', 'memfd')).toEqual({ write: 4096, read: 4096, same: 1, past_end: 0 });
});

/** A loop device over a file; detached with the test. */
function loopDevice(content: Buffer): string {
  const { path } = temporaryFile({ content });
  const device = execFileSync('losetup', ['--find', '--show', path], { encoding: 'utf8' }).trim();
  onTestFinished(() => {
    execFileSync('losetup', ['--detach', device]);
  });
  return device;
}

test('a block device can be read and written, ends where it ends, and reads nothing past it', ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root can make a loop device');
  skip(!hasCommand('losetup'), 'there is no losetup');
  const content = pattern(1 << 20);
  const fd = openFile(loopDevice(content), O_RDWR);
  const rig = new Rig();
  const buffer = rig.buffer(2 * PAGE_BYTES);
  const read: Iocb = { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(buffer), nbytes: buffer.length };
  expect(rig.attempt(read)).toEqual({ res: buffer.length });
  expect(buffer.equals(content.subarray(0, buffer.length))).toBe(true);
  expect(rig.attempt({ ...read, opcode: IOCB_CMD_PWRITE, offset: PAGE_BYTES })).toEqual({ res: buffer.length });
  expect(rig.attempt({ ...read, offset: content.length - PAGE_BYTES })).toEqual({ res: PAGE_BYTES });
  expect(rig.attempt({ ...read, offset: content.length })).toEqual({ res: 0 });
  expect(rig.attempt({ ...read, offset: content.length * 4 })).toEqual({ res: 0 });
  expect(rig.attempt({ ...read, opcode: IOCB_CMD_PWRITE, offset: content.length })).toEqual({ res: 'ENOSPC' });
});
