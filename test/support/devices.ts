import { mkdirSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import { directSkip } from './direct.ts';
import { attachLoop, type Later, loopSkip, MEBIBYTE, mount, run, sparseFile, temporaryFolder } from './mounts.ts';
import { undoing } from './undo.ts';

/** Why there can be no faulty block devices here, or false where there can. */
export function deviceSkip(): string | false {
  return loopSkip();
}

/** The same for devices that are full. */
export function fullDeviceSkip(): string | false {
  return (
    deviceSkip() ||
    (directSkip('/dev/shm') && 'tmpfs has no direct I/O here, so that a loop device cannot tell when it is full')
  );
}

/**
 * A block device of 64 MiB with room for some 4 MiB only: a loop device over a sparse file on a tmpfs. Writes beyond give ENOSPC in
 * the event, as those to a thin-provisioned disk do.
 */
export function withFullDevice<T>(use: (device: string) => Promise<T>): Promise<T> {
  return undoing(async (later) => use(fullDevice(later)));
}

/** An ext4 on such a device: it believes it has room, and the disk below has none. Its journal leaves some 1 MiB. */
export function withFullDeviceFileSystem<T>(use: (dir: string) => Promise<T>): Promise<T> {
  return undoing(async (later) => {
    const device = fullDevice(later);
    const dir = `${temporaryFolder(later)}/mounted`;
    mkdirSync(dir);
    run('mkfs.ext4', '-q', '-O', '^has_journal', device);
    mount(later, 'ext4', device, dir);
    return use(dir);
  });
}

/** A block device of 4 MiB whose upper half has gone: reads there give EIO in the event. */
export function withTruncatedDevice<T>(use: (device: string) => Promise<T>): Promise<T> {
  return undoing(async (later) => {
    const file = sparseFile(`${temporaryFolder(later)}/image`, 4 * MEBIBYTE);
    const device = attachLoop(later, file, directSkip(dirname(file)) === false);
    truncateSync(file, 2 * MEBIBYTE);
    return use(device);
  });
}

function fullDevice(later: Later): string {
  const dir = `${temporaryFolder(later)}/small`;
  mkdirSync(dir);
  mount(later, 'tmpfs', 'kaio', dir, `size=${4 * MEBIBYTE}`);
  return attachLoop(later, sparseFile(`${dir}/image`, 64 * MEBIBYTE), true);
}
