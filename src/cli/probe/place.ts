import { closeSync, openSync, readFileSync, type Stats, statfsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from '../command.ts';
import { type Device, deviceOf } from './device.ts';

/** What PATH is, and what lies below it. */
export interface Place {
  readonly path: string;
  readonly kind: 'folder' | 'file' | 'block device';
  /** Of a file: its length, and whether all of it is on the device (no holes). */
  readonly bytes: number;
  readonly full: boolean;
  /** Where a scratch file shows how writes fare; not for a device. */
  readonly folder: string | undefined;
  readonly fileSystem: FileSystem | undefined;
  readonly device: Device | undefined;
}

/** A line of /proc/self/mountinfo (proc(5)), and what statfs(2) says. */
export interface FileSystem {
  /** As the kernel names it: `ext4`, `fuse.sshfs`. */
  readonly type: string;
  readonly mountPoint: string;
  readonly source: string;
  readonly options: string;
  /** f_type of statfs(2). */
  readonly magic: string;
}

interface Mount extends Omit<FileSystem, 'magic'> {
  readonly id: number;
  readonly major: number;
  readonly minor: number;
}

/** Looks at PATH. Throws the system error of stat(2) or open(2), and UsageError for what can be no place for data. */
export function placeOf(path: string): Place {
  const stats = statSync(path);
  if (stats.isBlockDevice()) return blockPlace(path, stats);
  if (!stats.isFile() && !stats.isDirectory()) {
    throw new UsageError(`'${path}' is neither a file, a folder nor a block device`);
  }
  const mount = mountOf(path);
  const magic = `0x${statfsSync(path).type.toString(16)}`;
  return {
    path,
    kind: stats.isFile() ? 'file' : 'folder',
    bytes: stats.isFile() ? stats.size : 0,
    full: stats.blocks * 512 >= stats.size,
    folder: stats.isFile() ? dirname(resolve(path)) : path,
    fileSystem: mount && {
      type: mount.type,
      mountPoint: mount.mountPoint,
      source: mount.source,
      options: mount.options,
      magic,
    },
    device: mount && deviceBelow(mount),
  };
}

function blockPlace(path: string, stats: Stats): Place {
  const device = deviceOf(...numbersOf(stats.rdev));
  const sectors = Number(readFileSync(`/sys/dev/block/${numbersOf(stats.rdev).join(':')}/size`, 'utf8'));
  return {
    path,
    kind: 'block device',
    bytes: sectors * 512,
    full: true,
    folder: undefined,
    fileSystem: undefined,
    device,
  };
}

/** Major and minor of a dev_t as glibc and musl pack it (<sys/sysmacros.h>). */
function numbersOf(dev: number): [number, number] {
  const number = BigInt(dev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n);
  return [Number(major), Number((number & 0xffn) | ((number >> 12n) & 0xffffff00n))];
}

/** The mount that a path lies in: the kernel says which, of those that share a mount point too. */
function mountOf(path: string): Mount | undefined {
  const fd = openSync(path, 'r');
  try {
    const id = Number(/^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]);
    return parseMounts(readFileSync('/proc/self/mountinfo', 'utf8')).find((mount) => mount.id === id);
  } catch {
    // Without /proc nobody can tell.
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** The lines of /proc/self/mountinfo; its names have spaces and the like in octal. */
export function parseMounts(text: string): Mount[] {
  const plain = (name: string): string =>
    name.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return [...text.matchAll(/^(\d+) \d+ (\d+):(\d+) \S+ (\S+) (\S+) .*?- (\S+) (\S+) (\S+)$/gm)].map(
    ([, id, major, minor, mountPoint, own, type, source, options]) => ({
      id: Number(id),
      major: Number(major),
      minor: Number(minor),
      mountPoint: plain(mountPoint!),
      type: type!,
      source: plain(source!),
      options: [...new Set([...own!.split(','), ...plain(options!).split(',')])].join(','),
    }),
  );
}

/** btrfs numbers its subvolumes and not its device; overlay has none, but the folder that takes the writes may have. */
function deviceBelow({ major, minor, type, source, options }: Mount): Device | undefined {
  if (major !== 0) return deviceOf(major, minor);
  const upper = type === 'overlay' ? /(?:^|,)upperdir=([^,]+)/.exec(options)?.[1] : undefined;
  try {
    if (upper !== undefined) {
      const mount = mountOf(upper);
      return mount && deviceBelow(mount);
    }
    const stats = statSync(source);
    return stats.isBlockDevice() ? deviceOf(...numbersOf(stats.rdev)) : undefined;
  } catch {
    // Not a path, or, in a container, none that is there.
    return undefined;
  }
}
