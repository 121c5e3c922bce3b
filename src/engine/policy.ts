import { IOCB_CMD_PREAD, IOCB_CMD_PREADV, IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV } from '../layout/constants.ts';
import type { Request } from './request.ts';
import type { Memory, Target } from './target.ts';

/** The ways to the kernel. */
export const INLINE = 0;
/** On the event loop, but only if it need not wait (RWF_NOWAIT). */
export const TRY = 1;
export const OFFLOAD = 2;

/**
 * Largest transfer in one iocb. Half of it costs the event loop more for each byte, twice of it a block device refuses with RWF_NOWAIT.
 */
export const PART_BYTES: number = 512 * 1024;
/**
 * Where the parts of a request through the page cache meet: at a multiple of it, but for appends. Only sectors that are larger, which Linux
 * knows since 6.15, could be left with half of a write by a power cut.
 */
export const BLOCK_BYTES = 4096;
/**
 * The same for a write that extends its file: a thread submits it anyway, and in parts it is slower. 100 new files of 1 MiB on xfs were
 * written at 0.6 to 0.8 of the rate (`npm run bench -- stall`). Probably a write that begins behind the end of the file waits for those before.
 */
export const EXTENDING_PART_BYTES: number = 8 * 1024 * 1024;
/** Requests in one io_submit call. */
export const SLICE_REQUESTS = 32;
/** SLICE_REQUESTS where they have completed when it returns: then only what a call costs is left to save. */
export const PROMPT_SLICE_REQUESTS = 64;
/**
 * SLICE_REQUESTS where they take their time and no more than SLICE_REQUESTS wait: the kernel starts the device at the end of the call
 * (blk_start_plug in io_submit, fs/aio.c), and until then it would have little to do.
 */
export const SHORT_SLICE_REQUESTS = 8;
/**
 * While more than SLICE_REQUESTS wait, one in so many transfers wakes the loop, the first of each slice among them: a device that reports
 * every single one would have it do nothing else. The others are found with it, or by a look (see Lookout).
 */
export const HEARD_EVERY = 8;
/**
 * Completions of a wake that are settled at once. What their callers ask for next is submitted before the rest are settled, or the device
 * would wait for all of them.
 */
export const WAKE_REQUESTS = 8;
/** After so many slices that had completed when io_submit returned, requests that are alone with the kernel need not wake the loop. */
export const PROMPT_SLICES = 8;
/** Looks in turns of the loop, where nothing else in flight will wake it; after so many in vain, and where something will, after a pause. */
export const LOOKS_IN_VAIN = 64;
export const LOOK_PAUSE_MS = 1;
/** The pump stops when the submits of one turn of the event loop have taken this long. */
export const TURN_BUDGET_MS = 0.5;
/** A slice that took longer raises the suspicion that io_submit waits; one that also slept sends its files to the threads. */
export const GUARD_MS = 1;
export const GUARD_TRYING_MS = 20;
export const SUSPICIOUS_SLICES = 64;
export const GUARDED_MS = 1000;
/** Bytes in flight; a request that is larger goes alone. */
export const MAX_IN_FLIGHT_BYTES: number = 64 * 1024 * 1024;
/** Once full, the pump waits until there is room for a slice worth submitting. */
export const RESUME_BYTES: number = 56 * 1024 * 1024;
/**
 * Once all slots were taken, the pump waits for those of a slice, at most a quarter of all, but no longer than this; and so long for the
 * kernel where that had no room.
 */
export const RESUME_MS = 1;
/**
 * Bytes of one slice. Memory that was never touched counts more, since the kernel makes and clears its pages during the submit; so does
 * storage that is memory itself.
 */
export const SLICE_BYTES: number = 8 * 1024 * 1024;
export const UNTOUCHED_WEIGHT = 16;
/** SLICE_BYTES where requests have completed when io_submit returns: it may be what moves their bytes. */
export const PROMPT_SLICE_BYTES: number = 4 * 1024 * 1024;
/** Larger transfers from and to storage in memory go to threads: the submit is where they are done. */
export const MEMORY_INLINE_BYTES: number = 64 * 1024;
/** Bytes one file may submit before the next has its turn. */
export const TURN_BYTES: number = 128 * 1024;
/** Submits in one turn of the event loop that find completions at once; without a bound timers would never fire. */
export const INLINE_ROUNDS = 64;
export const MAX_THREADS = 4;
/** Jobs that threads have or that wait for one; one that waits spares the thread a turn of the event loop. */
export const MAX_JOBS = 32;
/** Requests a thread submits in one job. */
export const JOB_REQUESTS = 16;

export function isRead(op: number): boolean {
  return op === IOCB_CMD_PREAD || op === IOCB_CMD_PREADV;
}

export function isWrite(op: number): boolean {
  return op === IOCB_CMD_PWRITE || op === IOCB_CMD_PWRITEV;
}

export function isTransfer(op: number): boolean {
  return isRead(op) || isWrite(op);
}

export function isVectored(request: Request): boolean {
  return request.op === IOCB_CMD_PREADV || request.op === IOCB_CMD_PWRITEV;
}

/** What is remembered for the direction of this operation. */
export function memoryOf(target: Target, op: number): Memory {
  return isWrite(op) ? target.writes : target.reads;
}

/**
 * Which way a request goes, by what is known without trying. The kernel's own io_submit waits for extending writes, for cold metadata
 * and for buffered files; with RWF_NOWAIT it refuses instead, where the file system knows how.
 */
export function wayOf(request: Request): number {
  const { target, op } = request;
  // fsync is queued to the kernel's own workers and a poll never waits; neither takes the flag (EINVAL).
  if (!isTransfer(op)) return INLINE;
  if (request.slow) return OFFLOAD;
  if (request.nowait) return TRY;
  if (target.submit === 'inline') return INLINE;
  if (target.submit === 'offload' || (target.guardedUntilMs !== 0 && isGuarded(target))) return OFFLOAD;
  if (target.storage === 'memory' && request.length > MEMORY_INLINE_BYTES) return OFFLOAD;
  if (isWrite(op)) {
    if (target.append) return OFFLOAD;
    if (target.storage === 'memory') return INLINE;
    if (!target.direct || request.position + request.length > target.size) return OFFLOAD;
  }
  const memory = memoryOf(target, op);
  if (memory.flagOff) return withoutFlag(target);
  if (memory.skip > 0) {
    memory.skip--;
    return OFFLOAD;
  }
  return TRY;
}

function isGuarded(target: Target): boolean {
  if (performance.now() < target.guardedUntilMs) return true;
  target.guardedUntilMs = 0;
  return false;
}

/** Where the flag is unknown, only storage that answers in time is submitted to on the event loop, under the budget and the guard. */
function withoutFlag(target: Target): number {
  return target.storage === 'remote' || (target.storage === 'local' && !target.direct) ? OFFLOAD : INLINE;
}
