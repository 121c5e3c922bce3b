import type { AsyncResource } from 'node:async_hooks';
import type { Target } from './target.ts';

/** A run of requests of one file that a thread submits one after another. */
export interface Job {
  readonly target: Target;
  /** Requests of it whose events have not come. */
  open: number;
}

/** What a promise or a callback is given for a number of bytes; one shared function an operation, so that a request holds no closure. */
export type Shape = (bytes: number, buffer: unknown) => unknown;
/** What is called in place of settling a promise. */
export type Callback = (error: Error | null, bytes?: number, buffer?: unknown) => void;

function nothing(): void {}

/**
 * One request, or one part of a large one. Records are pooled and used again, so the hot path allocates nothing but the promise.
 *
 * A request of up to one part's size is queued itself. A larger one stays out of the queues as the `parent` of its parts and is
 * finished when the last of them is.
 */
export class Request {
  // What every request uses comes first and so lies together: of thousands that wait, few lines of the processor's cache are needed.
  op = 0;
  target!: Target;
  /** Where in the file, in bytes. */
  position = 0;
  /** Bytes that are still to transfer; for a poll, 0. */
  length = 0;
  /** Where the data is in the pool, or the mask of a poll; -1 where it must be copied. */
  pool = -1;
  /** Where in the pool the caller's one view is, which belongs to this request until it is finished; -1 for other memory. */
  memory = -1;
  /** What the promise gives back: the caller's memory, one view or several in order. It stays alive until then. */
  buffer: unknown = undefined;
  shape!: Shape;
  resolve: (value: unknown) => void = nothing;
  callback: Callback | undefined = undefined;
  /** Carries the caller's asynchronous context to the callback; a promise does that by itself. */
  resource: AsyncResource | undefined = undefined;
  /** The queue it stands in. */
  next: Request | undefined = undefined;
  slot = -1;
  /**
   * Nothing about it is out of the ordinary: one part, memory of the pool where the file can take it from, no options, and so far no odd
   * answer of the kernel. Then it has few fields to clear.
   */
  plain = false;
  /** It was made and is not finished. */
  live = false;
  settled = false;
  /** This attempt carries RWF_NOWAIT of ours. */
  trying = false;
  /** Its completion does not signal the eventfd: another one brings it along, or a Lookout finds it. */
  unheard = false;
  /** What carries this attempt to a thread; undefined where it goes inline. */
  job: Job | undefined = undefined;
  /** Bytes that were transferred before `position`, by an attempt that was cut short. */
  done = 0;
  parent: Request | undefined = undefined;
  signal: AbortSignal | undefined = undefined;
  rwFlags = 0;
  reqprio = 0;
  flags = 0;
  /** Fail with EAGAIN rather than wait: the caller said so. */
  nowait = false;
  /** Its memory was held since it was asked for (see hold), and may have been disposed since. */
  held = false;
  /** It must be submitted by a thread. */
  slow = false;
  /** Where in the copy region this attempt's data is; -1 where it is not copied. */
  window = -1;
  /** When it was first submitted (performance.now); 0 before that. */
  submittedMs = 0;

  /** The caller's memory where it must be copied. */
  view: Uint8Array | undefined = undefined;
  vector: readonly Uint8Array[] | undefined = undefined;
  /** Where in the caller's memory the data begins, in bytes from the start of the view or the vector. */
  skip = 0;
  /** The caller's memory, or that of one of its parts, went away before all was copied. */
  broken = false;
  /** Where in its parent this part begins, in bytes. */
  start = 0;
  /** Parts that are not finished. */
  openParts = 0;
  /** For a parent: where the contiguous transfer ends, and the negated errno that ended it. */
  limit = 0;
  failure = 0;
  /** The write barrier (see Target) that it belongs to. */
  epoch = 0;
  /** Barriers: how many earlier writes are still open. */
  waiting = 0;

  /** Nothing is left to do: nobody waits for it any more, or the request that it is a part of ended before this part begins. */
  get over(): boolean {
    const { parent } = this;
    return parent === undefined ? this.settled : parent.settled || this.start >= parent.limit;
  }

  /** Bytes of the whole request or part. */
  get size(): number {
    return this.done + this.length;
  }

  /** Drops what it holds of the caller's, and becomes as new. */
  clear(): void {
    this.buffer = undefined;
    this.resolve = nothing;
    this.callback = undefined;
    this.resource = undefined;
    this.memory = -1;
    this.trying = false;
    this.settled = false;
    this.submittedMs = 0;
    if (this.plain) this.plain = false;
    else this.#clearRest();
  }

  #clearRest(): void {
    this.view = undefined;
    this.vector = undefined;
    this.parent = undefined;
    this.signal = undefined;
    this.done = 0;
    this.skip = 0;
    this.start = 0;
    this.rwFlags = 0;
    this.reqprio = 0;
    this.flags = 0;
    this.nowait = false;
    this.held = false;
    this.slow = false;
    this.broken = false;
    this.window = -1;
    this.openParts = 0;
    this.failure = 0;
  }
}

/** A queue of requests, first in, first out, through their own `next`. */
export class Fifo {
  head: Request | undefined = undefined;
  #tail: Request | undefined = undefined;

  push(request: Request): void {
    request.next = undefined;
    if (this.#tail === undefined) this.head = request;
    else this.#tail.next = request;
    this.#tail = request;
  }

  /** Puts one back that was taken a moment ago. */
  unshift(request: Request): void {
    request.next = this.head;
    this.head = request;
    this.#tail ??= request;
  }

  shift(): Request | undefined {
    const request = this.head;
    if (request === undefined) return undefined;
    this.head = request.next;
    if (this.head === undefined) this.#tail = undefined;
    request.next = undefined;
    return request;
  }
}

/** All records there ever were, which are as many as were in use at once, and those that are free to use again. */
export class RequestPool {
  readonly all: Request[] = [];
  #free: Request | undefined;

  take(): Request {
    const request = this.#free;
    if (request === undefined) return this.#more();
    this.#free = request.next;
    request.next = undefined;
    return request;
  }

  #more(): Request {
    const request = new Request();
    this.all.push(request);
    return request;
  }

  give(request: Request): void {
    request.clear();
    request.next = this.#free;
    this.#free = request;
  }
}
