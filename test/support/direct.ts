import { closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs';
import { place } from './scratch.ts';

/** Why there is no direct I/O where tests make their folders, or false where there is. */
export function directSkip(): string | false {
  mkdirSync(place, { recursive: true });
  const path = `${place}/direct-${process.pid}`;
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT));
    return false;
  } catch {
    return `the file system of ${place} has no direct I/O`;
  } finally {
    rmSync(path, { force: true });
  }
}
