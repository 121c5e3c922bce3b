import {
  lstat as lstatCallback,
  type PathLike,
  readlink as readlinkCallback,
  realpath as realpathCallback,
} from 'node:fs';
import { constants } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { systemError } from '../errors.ts';

const lstat = promisify(lstatCallback);
const readlink = promisify(readlinkCallback);
/** The one of the C library: the other takes ".." for the folder before it in the text. */
const realpath = promisify(realpathCallback.native);
const { ELOOP } = constants.errno;

/** As many as the kernel follows (path_resolution(7)). */
const MOST_LINKS = 40;

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
export async function endOfLinks(link: string): Promise<string> {
  let path = link;
  for (let links = 0; links <= MOST_LINKS; links++) {
    // The folder without links: of those, ".." would not lead back.
    path = join(await realpath(dirname(path)), basename(path));
    const target = await targetOf(path);
    if (target === undefined) return path;
    path = isAbsolute(target) ? target : `${dirname(path)}/${target}`;
  }
  throw systemError(-ELOOP, 'open', { path: link });
}

/** What a link says; undefined for what is no link, or not there. */
async function targetOf(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch {
    return undefined;
  }
}
