import { mkdirSync } from 'node:fs';
import { hasCommand } from './compile.ts';
import { fuseSkip, withFuse } from './fuse.ts';
import {
  attachLoop,
  type Later,
  loopSkip,
  MEBIBYTE,
  mount,
  mountSkip,
  run,
  sparseFile,
  temporaryFolder,
} from './mounts.ts';
import { undoing } from './undo.ts';

export type FileSystemKind = 'ext4' | 'xfs' | 'btrfs' | 'tmpfs' | 'overlay' | 'fuse';

export const fileSystemKinds: readonly FileSystemKind[] = ['ext4', 'xfs', 'btrfs', 'tmpfs', 'overlay', 'fuse'];

/** Room in each of them. mkfs.xfs refuses less than 300 MiB; the images are sparse. */
const CAPACITY_BYTES = 512 * MEBIBYTE;

/** Why a file system of this kind cannot be mounted on this machine, or false where it can. */
export function fileSystemSkip(kind: FileSystemKind): string | false {
  if (kind === 'fuse') return fuseSkip();
  if (kind === 'tmpfs' || kind === 'overlay') return mountSkip();
  return loopSkip() || (hasCommand(`mkfs.${kind}`) ? false : `mkfs.${kind} is not installed`);
}

/** Mounts a fresh file system of this kind, calls `use` with its folder, and removes all of it again. */
export async function withFileSystem<T>(kind: FileSystemKind, use: (dir: string) => Promise<T>): Promise<T> {
  if (kind === 'fuse') return withFuse(({ dir }) => use(dir));
  return undoing(async (later) => use(makeFileSystem(kind, later)));
}

function makeFileSystem(kind: Exclude<FileSystemKind, 'fuse'>, later: Later): string {
  const folder = temporaryFolder(later);
  const dir = `${folder}/mounted`;
  mkdirSync(dir);
  if (kind === 'tmpfs') {
    mount(later, 'tmpfs', 'kaio', dir, `size=${CAPACITY_BYTES}`);
  } else if (kind === 'overlay') {
    for (const name of ['lower', 'upper', 'work']) mkdirSync(`${folder}/${name}`);
    mount(later, 'overlay', 'kaio', dir, `lowerdir=${folder}/lower,upperdir=${folder}/upper,workdir=${folder}/work`);
  } else {
    const device = attachLoop(later, sparseFile(`${folder}/image`, CAPACITY_BYTES));
    run(`mkfs.${kind}`, '-q', device);
    mount(later, kind, device, dir);
  }
  return dir;
}
