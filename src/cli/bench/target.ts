import { randomFillSync } from 'node:crypto';
import { closeSync, fsync, openSync, rmSync, type Stats, statSync, write } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { UsageError } from '../command.ts';
import type { BenchOptions } from './options.ts';

/** What is read and written. */
export interface BenchTarget {
  readonly path: string;
  readonly bytes: number;
  /** Takes away a file that was made for this, as the exit of the process does; a file that was there stays. */
  remove(): void;
}

const CHUNK_BYTES = 2 ** 20;

/**
 * Finds or makes the target. What exists is never written to unless that was said: throws `UsageError` where a write would meet a
 * device or a file that is there. In a folder, and where nothing is there, a file is made and filled, and removed at the end.
 */
export async function prepareTarget(options: BenchOptions): Promise<BenchTarget> {
  const { path, mode, overwrite, sizeBytes } = options;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return makeFile(path, sizeBytes);
  if (found.isDirectory()) return makeFile(join(path, `kaio-bench-${process.pid}.tmp`), sizeBytes);
  if (!found.isFile() && !found.isBlockDevice())
    throw new UsageError(`'${path}' is neither a file, a folder nor a block device`);
  if (mode !== 'read' && mode !== 'randread' && !overwrite) {
    const what = found.isFile() ? 'an existing file' : 'a device';
    throw new UsageError(`'${path}' is ${what}, and --rw ${mode} would destroy what is on it; --overwrite does that`);
  }
  const bytes = Math.min(await bytesOf(path, found), sizeBytes);
  if (bytes < options.blockBytes) throw new UsageError(`'${path}' is smaller than one block (--bs)`);
  return { path, bytes, remove: () => {} };
}

/** A device says 0 in stat(2); its end is where seeking ends, which is found by reading. */
async function bytesOf(path: string, found: Stats): Promise<number> {
  if (found.isFile()) return found.size;
  const file = await open(path, 'r');
  try {
    const readable = async (position: number): Promise<boolean> => {
      const { bytesRead } = await file.read(Buffer.alloc(512), 0, 512, position);
      return bytesRead === 512;
    };
    // Doubling, then halving: some sixty reads for a device of any size.
    let sectors = 1;
    while (await readable((sectors - 1) * 512)) sectors *= 2;
    let least = sectors / 2;
    for (let step = sectors / 4; step >= 1; step /= 2) {
      if (await readable((least + step - 1) * 512)) least += step;
    }
    return Math.floor(least) * 512;
  } finally {
    await file.close();
  }
}

async function makeFile(path: string, bytes: number): Promise<BenchTarget> {
  // Exclusively: if somebody makes it at the same moment, it is theirs. At once: a signal is told of in a later turn, when exit removes it.
  const fd = openSync(path, 'wx', 0o600);
  const remove = removedAtExit(path);
  try {
    await fill(fd, bytes);
  } catch (error) {
    remove();
    throw error;
  } finally {
    closeSync(fd);
  }
  return { path, bytes, remove };
}

/** Removes a file when the process exits, unless the function that comes back has done it before. */
function removedAtExit(path: string): () => void {
  const remove = (): void => {
    process.off('exit', remove);
    rmSync(path, { force: true });
  };
  process.on('exit', remove);
  return remove;
}

/** Random data: nothing on the way can make it smaller. */
async function fill(fd: number, bytes: number): Promise<void> {
  const chunk = randomFillSync(Buffer.allocUnsafe(Math.min(bytes, CHUNK_BYTES)));
  for (let at = 0; at < bytes; ) {
    at += (await promisify(write)(fd, chunk, 0, Math.min(chunk.length, bytes - at), at)).bytesWritten;
  }
  await promisify(fsync)(fd);
}
