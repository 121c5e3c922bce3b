import type { Histogram } from 'node:perf_hooks';

/** What a context has done and is doing; counters run from its creation. Durations are in milliseconds. */
export interface AioStats {
  /** Requests that may be in flight at once. */
  depth: number;
  /** Requests that wait for a slot, for their turn or for a thread; an estimate while large requests go in parts. */
  queued: number;
  /** Parts that the kernel or a submitting thread has; a large request goes in parts of up to 512 KiB, or 8 MiB where it extends its file. */
  inFlight: number;
  inFlightBytes: number;
  /** Requests that were made, and how they ended: in full or short, with an error, or by their signal or the context's end. */
  requested: number;
  completed: number;
  failed: number;
  aborted: number;
  /** Bytes of completed requests. */
  bytesRead: number;
  bytesWritten: number;
  /** io_submit calls on the event loop, and the parts they carried. */
  submits: number;
  submittedInline: number;
  /** Jobs of the submitting threads, and the parts they carried. */
  jobs: number;
  submittedOffThread: number;
  /** Refusals of RWF_NOWAIT: the file would have made the submit wait (EAGAIN), or does not know the flag (EOPNOTSUPP). */
  refusedAgain: number;
  refusedUnsupported: number;
  /** Times the kernel had no room for a request that had a slot. */
  noRoom: number;
  /** Times a slow submit sent its file to the threads for a second. */
  guarded: number;
  /** Times the pump stopped for its time budget and went on in the next turn of the loop. */
  yielded: number;
  /** The longest slice of io_submit calls on the event loop, and the sum of all. */
  longestSubmitMs: number;
  totalSubmitMs: number;
  /**
   * Turns of the loop in which the eventfd brought completions, and how many it brought or a later look found; completions found right
   * after a submit are counted apart.
   */
  wakes: number;
  completedByWake: number;
  completedInline: number;
  /** Bytes of the data pool that are free, and how many buffers are handed out. */
  freeBytes: number;
  buffers: number;
  /** Bytes copied because a buffer lay outside the pool, was not aligned, or was one of many. */
  copiedBytes: number;
  /** Times a request had to wait for room to copy. */
  copyWaits: number;
  /**
   * How long requests took in nanoseconds, from the submit to the event's arrival, as a histogram of `node:perf_hooks`; undefined unless
   * the context was made with `latency: true`.
   */
  latency: Histogram | undefined;
}

/** The counters that the engine moves; the rest of {@link AioStats} is looked up when somebody asks. */
export class Counters {
  requested = 0;
  completed = 0;
  failed = 0;
  aborted = 0;
  bytesRead = 0;
  bytesWritten = 0;
  submits = 0;
  submittedInline = 0;
  jobs = 0;
  submittedOffThread = 0;
  refusedAgain = 0;
  refusedUnsupported = 0;
  noRoom = 0;
  guarded = 0;
  yielded = 0;
  longestSubmitMs = 0;
  totalSubmitMs = 0;
  wakes = 0;
  completedByWake = 0;
  completedInline = 0;
  copiedBytes = 0;
  copyWaits = 0;
}
