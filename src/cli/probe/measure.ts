import { closeSync, constants, openSync } from 'node:fs';
import { systemError } from '../../errors.ts';
import { binding } from '../../raw/binding.ts';
import { UsageError } from '../command.ts';
import { type Alignment, leastAlignment } from './alignment.ts';
import {
  measure,
  measureDepth,
  type Operation,
  type Plan,
  prepareScratch,
  readPlan,
  SCRATCH_BYTES,
  scratchPlans,
} from './operations.ts';
import type { Place } from './place.ts';
import { RIG_REQUESTS, Rig } from './rig.ts';
import { openDirect, Scratch } from './scratch.ts';

/** Bytes of a request, or the device's block where that is larger. */
const BLOCK_BYTES = 4096;
const LARGEST_BLOCK_BYTES = 65536;
/** Reasons for which there is no scratch file, and still something to measure. ENOENT is what procfs says of a file that is new. */
const NO_SCRATCH = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOENT'];

/** What the requests of this place have shown. */
export interface Measured {
  readonly direct: {
    readonly supported: boolean;
    /** What statx(2) says (STATX_DIOALIGN, Linux 6.1, not of all file systems), and the least that was taken. */
    readonly told?: Alignment;
    readonly taken?: Alignment;
  };
  readonly operations: readonly Operation[];
  /** Of direct reads: how many times faster 32 in flight are than one after the other. */
  readonly gainOfDepth?: number;
  /** Why writes could not be tried. */
  readonly readOnly?: string;
}

/**
 * Makes the requests. A file or device that PATH names is read and never written to; writes go to a scratch file beside it, where there
 * can be one. Throws what {@link Rig} throws, and UsageError where there is nothing at all to try.
 */
export async function measurePlace(place: Place): Promise<Measured> {
  const rig = new Rig(RIG_REQUESTS * LARGEST_BLOCK_BYTES);
  const opened: (() => void)[] = [];
  try {
    const own = place.kind === 'folder' ? undefined : openOwn(place.path, opened);
    return await measureAll(place, rig, own, await makeScratch(place, rig, opened));
  } finally {
    for (const close of opened) close();
    await rig.close();
  }
}

interface Own {
  readonly buffered: number;
  readonly direct: number | undefined;
}

function openOwn(path: string, opened: (() => void)[]): Own {
  const buffered = openSync(path, constants.O_RDONLY);
  opened.push(() => closeSync(buffered));
  const direct = openDirect(path, constants.O_RDONLY);
  if (direct !== undefined) opened.push(() => closeSync(direct));
  return { buffered, direct };
}

interface Prepared {
  readonly scratch: Scratch;
  /** The file system can reserve space. */
  readonly reserved: boolean;
}

/** A scratch file that is filled, or why there is none. */
async function makeScratch(place: Place, rig: Rig, opened: (() => void)[]): Promise<Prepared | string> {
  const { kind, folder } = place;
  if (folder === undefined) return 'a device is never written to';
  try {
    const scratch = await Scratch.make(folder);
    opened.push(() => scratch.close());
    return { scratch, reserved: await prepareScratch(scratch, rig) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!NO_SCRATCH.includes(code ?? '')) throw error;
    const why = `No scratch file of ${SCRATCH_BYTES / 2 ** 20} MiB can be made in '${folder}' (${message})`;
    if (kind === 'folder') throw new UsageError(`${why}. Name a file in it, to try reads`);
    return why;
  }
}

async function measureAll(place: Place, rig: Rig, own: Own | undefined, made: Prepared | string): Promise<Measured> {
  const prepared = typeof made === 'string' ? undefined : made;
  if (prepared === undefined && place.bytes === 0)
    throw new UsageError(`'${place.path}' has nothing to read, and ${made}`);
  const sample = prepared?.scratch.direct ?? own?.direct;
  const direct =
    sample === undefined
      ? { supported: false }
      : await directOf(sample, rig, prepared === undefined ? place.bytes : SCRATCH_BYTES);
  const bytes = Math.max(BLOCK_BYTES, direct.taken?.offset ?? 0);
  const operations: Operation[] = [];
  let gainOfDepth: number | undefined;
  for (const plan of plansOf(place, own, prepared, bytes)) {
    const operation = await measure(plan, rig, bytes);
    operations.push(operation);
    if (plan.name === 'read' && operation.how === 'asynchronous') {
      gainOfDepth = await measureDepth(plan, rig, bytes);
    }
  }
  return {
    direct,
    operations,
    ...(gainOfDepth === undefined ? {} : { gainOfDepth }),
    ...(typeof made === 'string' ? { readOnly: made } : {}),
  };
}

/** A file of which all is on the device is read itself: it may lie otherwise than a new one. */
function plansOf(place: Place, own: Own | undefined, prepared: Prepared | undefined, bytes: number): Plan[] {
  const { bytes: size, full } = place;
  if (prepared === undefined) {
    return [readPlan('read', own?.direct, bytes, size), readPlan('buffered read', own?.buffered, bytes, size)];
  }
  const plans = scratchPlans(prepared.scratch, prepared.reserved, bytes);
  if (own?.direct !== undefined && full && size >= bytes) plans[0] = readPlan('read', own.direct, bytes, size);
  return plans;
}

async function directOf(fd: number, rig: Rig, size: number): Promise<Measured['direct']> {
  const stat = await binding().statx(fd);
  if (typeof stat === 'number') throw systemError(stat, 'statx');
  const { dio_mem_align: memory, dio_offset_align: offset } = stat;
  const taken = await leastAlignment(rig, fd, size);
  return {
    supported: offset !== 0 && taken !== undefined,
    ...(memory && offset ? { told: { memory, offset } } : {}),
    ...(taken === undefined ? {} : { taken }),
  };
}
