import { release } from 'node:os';
import { findBinding } from '../../raw/binding.ts';
import { type Allowed, tryCalls } from './calls.ts';
import { type Measured, measurePlace } from './measure.ts';
import { type Place, placeOf } from './place.ts';
import { readNumber, readText } from './proc.ts';
import { judge, type Verdict } from './verdict.ts';

/** Everything that a probe finds out. `--json` prints it as it is. */
export interface Facts extends Place {
  readonly kernel: string;
  readonly node: string;
  readonly aio: Allowed;
  /** Missing where it could not be asked: there is no native module. */
  readonly ioUring?: Allowed;
  /** Requests that the contexts of the whole machine may have (fs.aio-nr, fs.aio-max-nr). Missing where /proc/sys is hidden. */
  readonly quota?: { readonly used: number; readonly most: number; readonly left: number };
  /** `ulimit -v`, where there is such a limit. */
  readonly addressSpaceBytes?: number;
  /** Why there could be no context although the calls are allowed: quota, memory, descriptors. */
  readonly problem?: string;
  /** Missing where nothing could be tried. */
  readonly measured?: Measured;
  readonly verdict: Verdict;
}

/** What is true of a place. Throws for what the user should put right: the path, permissions. */
export async function probe(path: string): Promise<Facts> {
  const facts = { ...placeOf(path), kernel: release(), node: process.versions.node, ...(await machine()) };
  const tried = facts.aio.allowed ? await tryPlace(facts) : {};
  const all = { ...facts, ...tried };
  return { ...all, verdict: judge(all) };
}

async function machine(): Promise<Pick<Facts, 'aio' | 'ioUring' | 'quota' | 'addressSpaceBytes'>> {
  const limits = { ...quota(), ...addressSpace() };
  const found = findBinding();
  if ('supported' in found) return { aio: { allowed: false, reason: found.message }, ...limits };
  const [aio, ioUring] = await Promise.all([tryCalls('aio'), tryCalls('io_uring')]);
  return { aio, ioUring, ...limits };
}

function quota(): Pick<Facts, 'quota'> {
  const used = readNumber('/proc/sys/fs/aio-nr');
  const most = readNumber('/proc/sys/fs/aio-max-nr');
  return used === undefined || most === undefined ? {} : { quota: { used, most, left: Math.max(0, most - used) } };
}

function addressSpace(): Pick<Facts, 'addressSpaceBytes'> {
  const limit = /^Max address space +(\d+)/m.exec(readText('/proc/self/limits') ?? '')?.[1];
  return limit === undefined ? {} : { addressSpaceBytes: Number(limit) };
}

/** The kernel's limits are an answer, and no failure of the probe. */
const LIMITS = ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ERR_AIO_NO_MEMORY'];

async function tryPlace(place: Place): Promise<Pick<Facts, 'measured' | 'problem'>> {
  try {
    return { measured: await measurePlace(place) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!LIMITS.includes(code ?? '')) throw error;
    return { problem: message };
  }
}
