import { constants } from 'node:os';
import { binding } from '../raw/binding.ts';

/** <unistd.h>, lseek(2): the next byte from an offset on that is data, or in a hole. */
const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const { ENXIO } = constants.errno;

/** A range of a file that holds data, in bytes. */
export interface Extent {
  readonly begin: number;
  readonly end: number;
}

/** Where a file holds data; what lies between reads as zeros. Space that is reserved and was never written counts as a hole. */
export async function extentsOf(fd: number, size: number): Promise<Extent[]> {
  const { lseek } = binding();
  const extents: Extent[] = [];
  for (let at = 0; at < size; ) {
    const begin = await lseek(fd, at, SEEK_DATA);
    if (begin === -ENXIO) break;
    // Not every file system knows; then all of it is data.
    if (begin < 0) return [{ begin: 0, end: size }];
    const end = await lseek(fd, begin, SEEK_HOLE);
    extents.push({ begin, end: end < 0 ? size : Math.min(end, size) });
    at = end < 0 ? size : end;
  }
  return extents;
}

/** Bytes of a block device, of which stat(2) says 0. */
export function deviceBytes(fd: number): Promise<number> {
  return binding().lseek(fd, 0, SEEK_END);
}
