import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

/** The unit of a target's contents: each repeats its own number as 64-bit words, so that every read can be checked. */
export const PAGE_BYTES = 4096;

/** What trials read from. */
export interface Target {
  readonly name: 'disk' | 'ram';
  readonly path: string;
  readonly bytes: number;
  /** Takes away what was made for the run. */
  remove(): void;
}

/** A file of its own on the disk under `folder`. */
export function diskFile(folder: string, bytes: number): Target {
  const path = `${folder}/target.bin`;
  if (!existsSync(path) || statSync(path).size !== bytes) fill(path, bytes);
  return { name: 'disk', path, bytes, remove: () => rmSync(path, { force: true }) };
}

const CONTROL = '/sys/class/zram-control';

/**
 * A new compressed RAM disk, or why there is none. A page that repeats one word takes no memory in it and is read without
 * decompression: what is left is the cost of the path.
 */
export function ramDevice(bytes: number): Target | string {
  let id: string;
  try {
    id = readFileSync(`${CONTROL}/hot_add`, 'utf8').trim();
  } catch (error) {
    return `no zram device: ${(error as Error).message}`;
  }
  const path = `/dev/zram${id}`;
  const remove = (): void => {
    // Whoever had it open has ended by now, but the last close may still be on its way.
    execFileSync('sh', ['-c', `for i in 1 2 3 4 5; do echo ${id} > ${CONTROL}/hot_remove && exit; sleep 0.2; done`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  };
  try {
    writeFileSync(`/sys/block/zram${id}/disksize`, String(bytes));
    fill(path, bytes);
  } catch (error) {
    remove();
    return `no zram device: ${(error as Error).message}`;
  }
  return { name: 'ram', path, bytes, remove };
}

/** Writes the whole target once: blocks that were never written are read from nowhere. */
function fill(path: string, bytes: number): void {
  const chunk = new BigUint64Array((1024 * 1024) / 8);
  const pageWords = PAGE_BYTES / 8;
  const fd = openSync(path, path.startsWith('/dev/') ? 'r+' : 'w');
  let page = 0n;
  for (let at = 0; at < bytes; at += chunk.byteLength) {
    for (let word = 0; word < chunk.length; word += pageWords) chunk.fill(page++, word, word + pageWords);
    writeSync(fd, chunk, 0, chunk.byteLength, at);
  }
  fsyncSync(fd);
  closeSync(fd);
}
