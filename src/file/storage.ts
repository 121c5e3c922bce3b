import { constants, fstatSync, statfs as statfsCallback } from 'node:fs';
import { promisify } from 'node:util';
import type { Storage } from '../engine/target.ts';
import { systemError } from '../errors.ts';
import { binding, type Statx } from '../raw/binding.ts';

const statfs = promisify(statfsCallback);

/** File systems in memory, whose I/O never waits for a device; <linux/magic.h>. */
const MEMORY = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */, 0x958458f6 /* hugetlbfs */]);
/** File systems on local devices; whatever is not listed may take as long as it likes. */
const LOCAL = new Set([
  0xef53 /* ext2, ext3, ext4 */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */, 0xf2f52010 /* f2fs */,
  0x794c7630 /* overlay */, 0x2fc12fc1 /* zfs */, 0xca451a4e /* bcachefs */, 0x4d44 /* vfat */, 0x2011bab0 /* exfat */,
  0x52654973 /* reiserfs */, 0x3153464a /* jfs */, 0xe0f5e1e2 /* erofs */, 0x73717368 /* squashfs */,
  0x62656572 /* sysfs */, 0x62646576 /* bdevfs */,
]);

/** null, zero, full, random and urandom, of the devices with the major number 1 (Documentation/admin-guide/devices.txt). */
const ENDLESS = new Set([3, 5, 7, 8, 9].map((minor) => (1 << 8) | minor));

/** What an open descriptor is, as far as the engine and its user need to know. */
export interface Nature {
  /** Device and inode: the same for all descriptors of one file. */
  inode: string;
  /** `endless`: a character device that always has an answer; `stream`: what may wait for others for ever, a pipe, a terminal, an eventfd. */
  kind: 'file' | 'block' | 'endless' | 'stream' | 'directory';
  size: number;
  storage: Storage;
  /** The kernel does direct I/O on it now. */
  direct: boolean;
  append: boolean;
  /** It was not opened for writing only. */
  readable: boolean;
  /** Reads and writes return EAGAIN rather than wait (O_NONBLOCK). */
  nonblocking: boolean;
  alignment: { memory: number; offset: number };
}

/** Finds out about a descriptor. Rejects with the system error of the call that failed. */
export async function natureOf(fd: number): Promise<Nature> {
  const flags = binding().statusFlags(fd);
  if (flags < 0) throw systemError(flags, 'fcntl');
  const stat = await binding().statx(fd);
  if (typeof stat === 'number') throw systemError(stat, 'statx');
  const kind = kindOf(fd, stat.mode);
  const storage = kind === 'block' || kind === 'endless' ? 'local' : await storageOf(fd);
  const direct = (flags & constants.O_DIRECT) !== 0 && stat.dio_offset_align !== 0;
  return {
    inode: `${stat.dev_major}:${stat.dev_minor}:${stat.ino}`,
    kind,
    size: kind === 'file' ? stat.size : Number.POSITIVE_INFINITY,
    storage,
    direct,
    append: (flags & constants.O_APPEND) !== 0,
    readable: (flags & (constants.O_WRONLY | constants.O_RDWR)) !== constants.O_WRONLY,
    nonblocking: (flags & constants.O_NONBLOCK) !== 0,
    alignment: direct ? alignmentOf(stat, storage) : { memory: 1, offset: 1 },
  };
}

/** Kernels before 6.1 and some file systems do not say what they need; 4096 suits every device. */
function alignmentOf(stat: Statx, storage: Storage): { memory: number; offset: number } {
  if (storage === 'memory') return { memory: 1, offset: 1 };
  return { memory: stat.dio_mem_align || 4096, offset: stat.dio_offset_align || 4096 };
}

function kindOf(fd: number, mode: number): Nature['kind'] {
  switch (mode & constants.S_IFMT) {
    case constants.S_IFREG:
      return 'file';
    case constants.S_IFBLK:
      return 'block';
    case constants.S_IFDIR:
      return 'directory';
    case constants.S_IFCHR:
      return ENDLESS.has(fstatSync(fd).rdev) ? 'endless' : 'stream';
    default:
      return 'stream';
  }
}

async function storageOf(fd: number): Promise<Storage> {
  try {
    const { type } = await statfs(`/proc/self/fd/${fd}`);
    if (MEMORY.has(type)) return 'memory';
    return LOCAL.has(type) ? 'local' : 'remote';
  } catch {
    // Without /proc nobody can tell; then nothing is tried on the event loop that could wait.
    return 'remote';
  }
}
