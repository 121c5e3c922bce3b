import {
  lstat as lstatCallback,
  type PathLike,
  readlink as readlinkCallback,
  realpath as realpathCallback,
} from 'node:fs';
import { constants } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemError } from '../errors.ts';

const lstat = promisify(lstatCallback);
type GiveBytes = (error: Error | null, bytes: Buffer) => void;
const readlink = promisify((path: Buffer, done: GiveBytes) => readlinkCallback(path, 'buffer', done));
/** The one of the C library: the other takes ".." for the folder before it in the text. */
const realpath = promisify((path: Buffer, done: GiveBytes) => realpathCallback.native(path, 'buffer', done));
const { ELOOP } = constants.errno;

/** As many as the kernel follows (path_resolution(7)). */
const MOST_LINKS = 40;

// Names are bytes, which need not be UTF-8. For node:path, which takes text, each byte is a character.

/** The bytes of a path, which are nobody else's to change. */
export function pathBytes(path: PathLike): Buffer {
  return path instanceof URL ? Buffer.from(fileURLToPath(path)) : Buffer.from(path as string);
}

/** The folder of a path. */
export function folderOf(path: Buffer): Buffer {
  return onText(path, dirname);
}

/** The path without links; the last of it must be there. */
export async function withoutLinks(path: Buffer): Promise<Buffer> {
  return await realpath(path);
}

function onText(path: Buffer, change: (path: string) => string): Buffer {
  return Buffer.from(change(path.toString('latin1')), 'latin1');
}

/** Whether there is something of this name, be it a link that leads nowhere. */
export async function isTaken(path: PathLike): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Where a file comes to be that open(2) makes by the name of a symbolic link to nothing yet: links are followed, each from its own folder.
 * Rejects with ENOENT where that folder is missing, and with ELOOP.
 */
export async function endOfLinks(link: PathLike): Promise<Buffer> {
  let path = pathBytes(link);
  for (let links = 0; links <= MOST_LINKS; links++) {
    // The folder without links: of those, ".." would not lead back.
    const folder = (await withoutLinks(folderOf(path))).toString('latin1');
    path = onText(path, (text) => join(folder, basename(text)));
    const target = await targetOf(path);
    if (target === undefined) return path;
    path = onText(target, (text) => (isAbsolute(text) ? text : `${folder}/${text}`));
  }
  throw systemError(-ELOOP, 'open', { path: pathBytes(link).toString() });
}

/** What a link says; undefined for what is no link, or not there. */
async function targetOf(path: Buffer): Promise<Buffer | undefined> {
  try {
    return await readlink(path);
  } catch {
    return undefined;
  }
}
