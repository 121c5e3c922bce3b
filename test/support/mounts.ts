import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';

/** Registers a step to undo; see `undoing`. */
export type Later = (undo: () => void) => void;

export const MEBIBYTE: number = 1024 * 1024;

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe' }).trim();
}

/** A fresh folder, removed afterwards with what is in it. */
export function temporaryFolder(later: Later): string {
  const folder = mkdtempSync(`${tmpdir()}/kaio-`);
  later(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A file that is all hole: it takes up no room until it is written. */
export function sparseFile(path: string, bytes: number): string {
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return path;
}

/**
 * Attaches a file to a free loop device and returns the device's path. With `direct` the device passes on the errors of the file: by way
 * of the page cache older kernels answer EIO where the disk is full, and zeros where it ends.
 */
export function attachLoop(later: Later, file: string, direct = false): string {
  const device = run('losetup', '--find', '--show', ...(direct ? ['--direct-io=on'] : []), file);
  later(() => run('losetup', '--detach', device));
  return device;
}

/** Mounts `source` at an existing folder. */
export function mount(later: Later, type: string, source: string, folder: string, options?: string): void {
  run('mount', '-t', type, ...(options === undefined ? [] : ['-o', options]), source, folder);
  later(() => unmount(folder));
}

/** Unmounts a folder. What still uses it (a test that failed with a file open) cannot keep it from going away. */
export function unmount(folder: string): void {
  try {
    run('umount', folder);
  } catch {
    run('umount', '--lazy', folder);
  }
}

/** Why this process may not mount file systems, or false where it may. */
export function mountSkip(): string | false {
  if (process.platform !== 'linux') return 'mounting needs Linux';
  if (process.getuid?.() !== 0) return 'mounting a file system needs root';
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const CAP_SYS_ADMIN = 1n << 21n;
  return (BigInt(`0x${effective}`) & CAP_SYS_ADMIN) === 0n ? 'mounting a file system needs CAP_SYS_ADMIN' : false;
}

/** Why there can be no loop devices here, or false where there can. */
export function loopSkip(): string | false {
  return mountSkip() || (existsSync('/dev/loop-control') ? false : 'there are no loop devices');
}

/** The magic number that statfs(2) gives for the file system of a path, as in <linux/magic.h>. */
export function fileSystemMagic(path: string): number {
  return statfsSync(path).type;
}
