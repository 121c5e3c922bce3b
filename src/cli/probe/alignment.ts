import type { Rig } from './rig.ts';

/** What direct I/O wants the address of its memory, and offset and length, to be multiples of. */
export interface Alignment {
  readonly memory: number;
  readonly offset: number;
}

/** The largest block that a file system or a device has. */
const LARGEST = 65536;
const PAGES_BYTES = 8192;

/**
 * The least alignments with which a direct read is taken. Some file systems take any, and go through the page cache where the device could
 * not (btrfs, tmpfs). Undefined where no read is.
 *
 * @param size Bytes that the file has, at least one block of any device.
 */
export async function leastAlignment(rig: Rig, fd: number, size: number): Promise<Alignment | undefined> {
  const reads = async (position: number, length: number, skew: number): Promise<boolean> =>
    typeof (await rig.one({ fd, write: false, position, bytes: length, skew })).result === 'number';
  const least = async (works: (step: number) => Promise<boolean>): Promise<number | undefined> => {
    for (let step = 1; step <= LARGEST; step *= 2) if (await works(step)) return step;
    return undefined;
  };
  const offset = await least((step) => reads(2 * step <= size ? step : 0, step, 0));
  // More than a page, so that a device that takes whole blocks finds one in two pieces.
  const memory = offset && (await least((step) => reads(0, Math.max(offset, PAGES_BYTES), step)));
  return memory === undefined || offset === undefined ? undefined : { memory, offset };
}
