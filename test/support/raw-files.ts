/** Files and descriptors that end with the test that made them. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { place } from './scratch.ts';

const { O_CREAT, O_DIRECT, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

/** <linux/magic.h>: what statfs(2) calls the file systems whose behaviour the tests tell apart. */
const MAGIC: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  16914836: 'tmpfs',
  2035054128: 'overlay',
};

export function fileSystemOf(path: string): string {
  const type = Number(statfsSync(path).type);
  return MAGIC[type] ?? `0x${type.toString(16)}`;
}

/** A directory where tests make theirs (or in `parent`), removed when the test ends. */
export function scratch(parent: string = place): string {
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(join(parent, 'kaio-kernel-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A descriptor that is closed when the test ends, unless the test closes it with `closeNow`. */
export function closeAtEnd(fd: number): number {
  open.add(fd);
  onTestFinished(() => closeNow(fd));
  return fd;
}

const open = new Set<number>();

export function closeNow(fd: number): void {
  if (open.delete(fd)) closeSync(fd);
}

export function openFile(path: string, flags: number = O_RDWR | O_CREAT): number {
  return closeAtEnd(openSync(path, flags, 0o600));
}

export interface FileOptions {
  /** Bytes written beforehand, and on the disk: none by default. */
  content?: Buffer;
  /** The size to set without writing. */
  size?: number;
  /** O_DIRECT. */
  direct?: boolean;
  /** Other flags than O_RDWR. */
  flags?: number;
  directory?: string;
}

/** A new file of its own directory: its descriptor and its path. */
export function temporaryFile({ content, size, direct, flags, directory }: FileOptions = {}): {
  fd: number;
  path: string;
} {
  const path = join(scratch(directory), 'file');
  const fd = openSync(path, O_WRONLY | O_CREAT, 0o600);
  try {
    for (let done = 0; content !== undefined && done < content.length; ) done += writeSync(fd, content, done);
    if (size !== undefined) ftruncateSync(fd, size);
    // Allocation must be settled, or the first direct write to a delayed extent is not the asynchronous overwrite the tests mean.
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return { fd: openFile(path, (flags ?? O_RDWR) | (direct ? O_DIRECT : 0)), path };
}

/** A pipe with both ends, by way of a FIFO: Node has no pipe(2). */
export function temporaryPipe(flags = 0): { reader: number; writer: number } {
  const path = join(scratch(), 'fifo');
  execFileSync('mkfifo', [path]);
  // Opening for both ends never waits for the other side, so this one holds the FIFO open while the real ends are opened.
  const both = openSync(path, O_RDWR | O_NONBLOCK);
  const reader = openFile(path, O_RDONLY | flags);
  const writer = openFile(path, O_WRONLY | flags);
  closeSync(both);
  return { reader, writer };
}

/** The open descriptors whose /proc/self/fd entry begins so, for example `anon_inode:inotify`. */
export function descriptorsOf(kind: string): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(kind);
      } catch {
        // The descriptor with which the directory itself was read.
        return false;
      }
    });
}

/** Two sockets that are connected to each other, and their descriptors, which Node keeps to itself. */
export async function connectedSockets(): Promise<[number, number]> {
  const path = join(scratch(), 'socket');
  const before = new Set(descriptorsOf('socket:'));
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const listening = new Set([...before, ...descriptorsOf('socket:')]);
  const client = connect(path);
  const sockets = [client, (await accepted).pause()];
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return descriptorsOf('socket:').filter((fd) => !listening.has(fd)) as [number, number];
}

/** A pattern that no shifted, torn or stale block can pass for: each 8 bytes hold their own place and a seed. */
export function pattern(byteLength: number, seed = 1): Buffer {
  const words = new BigUint64Array(Math.ceil(byteLength / 8));
  for (let at = 0; at < words.length; at++) words[at] = (BigInt(seed) << 40n) | BigInt(at);
  return Buffer.from(words.buffer).subarray(0, byteLength);
}
