import { fsyncSync, writeSync } from 'node:fs';
import { binding } from '../../raw/binding.ts';
import { RIG_REQUESTS, type Rig, type Round } from './rig.ts';
import type { Scratch } from './scratch.ts';

/** Rounds of each kind, the first few of which only warm up; fewer where they take long. */
const ROUNDS = 32;
const WARM_UP = 4;
const DEPTH_TURNS = 7;
const LONGEST_MS = 400;
/** Between the places that are used. They are used backwards, so that readahead guesses nothing (mm/readahead.c: a lone random read). */
const STRIDE_BYTES = 65536;
/** Each place is used once without and once with RWF_NOWAIT. */
const REGION_BYTES = 2 * ROUNDS * STRIDE_BYTES;
/** What a scratch file takes, but for what is appended. */
export const SCRATCH_BYTES: number = 2 * REGION_BYTES;

/** What is tried, past the page cache but for the last two. `reserved` is space that fallocate has given and nobody has written to. */
export type OperationName = 'read' | 'overwrite' | 'reserved write' | 'append' | 'buffered read' | 'buffered write';

/**
 * How the kernel does it: `asynchronous`, beside the thread; `waits first`, the same, but the thread sleeps in io_submit before; `waits`,
 * it sleeps there until all is done; `immediate`, all is done when io_submit returns, by work and not by waiting.
 */
export type How = 'asynchronous' | 'waits first' | 'waits' | 'immediate';

/** What is known of one kind of request. */
export interface Operation {
  readonly name: OperationName;
  /** Undefined where it could not be measured: `error` says why. */
  readonly how: How | undefined;
  /** The code of the error, or words. */
  readonly error?: string;
  /** Requests that were measured; those not done when io_submit returned; those for which the thread slept, or was preempted, in it. */
  readonly rounds: number;
  readonly pending: number;
  readonly slept: number;
  readonly preempted: number;
  /** Medians: how long io_submit held the thread, and how long it was until the completion was seen. */
  readonly submitUs: number;
  readonly totalUs: number;
  /** With RWF_NOWAIT: how often it was done, refused since it would have waited (EAGAIN), and not known (EOPNOTSUPP). */
  readonly nowait: { readonly done: number; readonly refused: number; readonly unknown: number };
}

/** One kind of request: where it goes, by the number of the round. */
export interface Plan {
  readonly name: OperationName;
  readonly fd: number | undefined;
  /** Why there is no descriptor. */
  readonly missing?: string;
  readonly write: boolean;
  position(round: number): number;
}

const NONE = {
  rounds: 0,
  pending: 0,
  slept: 0,
  preempted: 0,
  submitUs: 0,
  totalUs: 0,
  nowait: { done: 0, refused: 0, unknown: 0 },
};

function unmeasured(name: OperationName, error: string): Operation {
  return { name, how: undefined, error, ...NONE };
}

/** A place of a region that begins at `start`, from its end backwards. */
function backwards(start: number): (round: number) => number {
  return (round) => start + REGION_BYTES - (round + 1) * STRIDE_BYTES;
}

/** Fills the scratch file's first region and reserves its second. Returns whether the file system can reserve. */
export async function prepareScratch({ direct, buffered }: Scratch, rig: Rig): Promise<boolean> {
  const bytes = Math.floor(rig.memory.length / STRIDE_BYTES) * STRIDE_BYTES;
  // Direct writes leave nothing in the page cache that a buffered read would find.
  for (let at = 0; at < REGION_BYTES; at += bytes) {
    writeSync(direct ?? buffered, rig.memory, 0, Math.min(bytes, REGION_BYTES - at), at);
  }
  const reserved = (await binding().fallocate(buffered, 0, REGION_BYTES, REGION_BYTES)) === 0;
  fsyncSync(buffered);
  return reserved;
}

/** Everything that can be tried on a scratch file, in the order in which nothing spoils what follows; direct I/O comes first. */
export function scratchPlans({ direct: fd, buffered }: Scratch, reserved: boolean, bytes: number): Plan[] {
  const end = (reserved ? 2 : 1) * REGION_BYTES;
  return [
    { name: 'read', fd, write: false, position: backwards(0) },
    { name: 'overwrite', fd, write: true, position: backwards(0) },
    reserved
      ? { name: 'reserved write', fd, write: true, position: backwards(REGION_BYTES) }
      : { name: 'reserved write', fd: undefined, missing: 'no fallocate', write: true, position: backwards(0) },
    { name: 'append', fd, write: true, position: (round) => end + round * bytes },
    { name: 'buffered read', fd: buffered, write: false, position: backwards(0) },
    { name: 'buffered write', fd: buffered, write: true, position: backwards(0) },
  ];
}

/** Reads of a file or device that is never written to, from its end backwards. */
export function readPlan(name: 'read' | 'buffered read', fd: number | undefined, bytes: number, size: number): Plan {
  const places = Math.max(1, Math.floor(size / bytes));
  const stride = Math.max(1, Math.floor(places / (2 * ROUNDS)));
  return { name, fd, write: false, position: (round) => (places - 1 - ((round * stride) % places)) * bytes };
}

/** How many times more is done in a second with `RIG_REQUESTS` in flight than one after the other: a median of turns of both. */
export async function measureDepth(plan: Plan, rig: Rig, bytes: number): Promise<number> {
  const { fd, write, position } = plan;
  const transfers = Array.from({ length: RIG_REQUESTS }, (_, i) => ({ fd: fd!, write, position: position(i), bytes }));
  const gains: number[] = [];
  for (let i = 0; i < DEPTH_TURNS; i++) {
    let aloneUs = 0;
    for (const transfer of transfers) aloneUs += (await rig.one(transfer)).totalUs;
    gains.push(aloneUs / (await rig.all(transfers)));
  }
  return median(gains);
}

/** How one kind of request fares, without RWF_NOWAIT and with it. */
export async function measure(plan: Plan, rig: Rig, bytes: number): Promise<Operation> {
  const { name, fd, write, position, missing = 'no O_DIRECT' } = plan;
  if (fd === undefined) return unmeasured(name, missing);
  const rounds: Round[] = [];
  const outcomes: Round['result'][] = [];
  const until = performance.now() + LONGEST_MS;
  for (let i = 0; i < ROUNDS && (i <= WARM_UP || performance.now() < until); i++) {
    const round = await rig.one({ fd, write, position: position(2 * i), bytes });
    if (typeof round.result === 'string') return unmeasured(name, round.result);
    if (round.result === 0) return unmeasured(name, 'nothing is transferred');
    rounds.push(round);
    outcomes.push((await rig.one({ fd, write, position: position(2 * i + 1), bytes, nowait: true })).result);
  }
  const measured = rounds.slice(WARM_UP);
  const count = (code: string): number => outcomes.filter((outcome) => outcome === code).length;
  return {
    name,
    ...classify(measured),
    nowait: {
      done: outcomes.filter((outcome) => typeof outcome === 'number').length,
      refused: count('EAGAIN'),
      unknown: count('ENOTSUP'),
    },
  };
}

function classify(rounds: readonly Round[]): Omit<Operation, 'name' | 'nowait' | 'error'> {
  const many = (condition: (round: Round) => boolean): number => rounds.filter(condition).length;
  const pending = many((round) => round.pending);
  const slept = many((round) => round.slept);
  // A thread of the kernel that takes over this processor is done before io_submit returns, and still not part of it.
  const beside = many((round) => round.pending || (round.preempted && !round.slept));
  return {
    how: howOf(slept * 2 >= rounds.length, beside * 2 >= rounds.length),
    rounds: rounds.length,
    pending,
    slept,
    preempted: many((round) => round.preempted),
    submitUs: median(rounds.map((round) => round.submitUs)),
    totalUs: median(rounds.map((round) => round.totalUs)),
  };
}

function howOf(slept: boolean, beside: boolean): How {
  if (slept) return beside ? 'waits first' : 'waits';
  return beside ? 'asynchronous' : 'immediate';
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
