import { closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs';
import { place } from './scratch.ts';

/** Why there is no direct I/O in a folder, by default where tests make theirs; or false where there is. */
export function directSkip(folder: string = place): string | false {
  mkdirSync(folder, { recursive: true });
  const path = `${folder}/direct-${process.pid}`;
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT));
    return false;
  } catch {
    return `the file system of ${folder} has no direct I/O`;
  } finally {
    rmSync(path, { force: true });
  }
}
