import { AsyncResource } from 'node:async_hooks';
import { debug } from '../debug.ts';
import { aioError, type CodedError, everyOne } from '../errors.ts';
import * as abi from '../layout/constants.ts';
import { bytesOf } from '../layout/view.ts';
import type { Binding } from '../raw/binding.ts';
import { Aborts, abortError, isAborted } from './aborts.ts';
import { Completer, type Ending } from './completer.ts';
import { isCopied } from './copy.ts';
import { type Core, IOVECS_PER_SLOT } from './core.ts';
import { closedError, deafError, errorOf } from './failure.ts';
import { Live } from './live.ts';
import { nextTick } from './loop.ts';
import { BLOCK_BYTES, EXTENDING_PART_BYTES, isRead, isWrite, PART_BYTES } from './policy.ts';
import { knownLength, Pool } from './pool.ts';
import type { Callback, Request, Shape } from './request.ts';
import { settle } from './settle.ts';
import { type EngineOptions, setUp } from './setup.ts';
import type { AioStats } from './stats.ts';
import { Submitter } from './submitter.ts';
import type { Target } from './target.ts';

/** Of each callback's AsyncResource: its end is told once the callback has run. */
const MANUAL = { requireManualDestroy: true } as const;

/** What a single request may ask for; none of it by default. */
export interface RequestOptions {
  /**
   * Settles the request when it aborts: it rejects with an AbortError at once. What is still queued is never submitted. What the kernel
   * has goes on and keeps its buffer until its event (`file.drain()` waits for that); a write may still land.
   */
  signal?: AbortSignal | undefined;
  /**
   * I/O priority as ioprio_set(2) encodes it: a class (1 realtime, 2 best effort, 3 idle) << 13, plus a level from 0 (first) to 7. By
   * default that of the thread. The realtime class needs privileges.
   */
  ioprio?: number | undefined;
  /** This write is durable when it completes (RWF_DSYNC, Linux 4.7; pwritev2(2)); reads and syncs ignore it. */
  dsync?: boolean | undefined;
  /**
   * Rather than wait or go off-thread, fail: with EAGAIN where it would wait, with ENOTSUP where this kind of file does not know
   * RWF_NOWAIT. The transfer may be short.
   */
  nowait?: boolean | undefined;
}

/** What kaio itself says of a request besides. */
export interface StepOptions extends RequestOptions {
  /** Whoever made it holds its memory. */
  held?: boolean | undefined;
}

/** What closes once nothing of it is in flight. */
export interface Closable {
  close(): Promise<void>;
}

/** One kernel context with its memory: takes requests, has them submitted, and settles them. */
export class Engine implements Ending {
  readonly pool: Pool;
  readonly #core: Core;
  readonly #submitter: Submitter;
  readonly #completer: Completer;
  readonly #live: Live;
  /** What the end of this context must close first. */
  readonly #files = new Set<Closable>();
  readonly #aborts = new Aborts<Request>((request) => this.#abort(request));
  #closing: Promise<void> | undefined;
  #ended: Promise<void> | undefined;
  #whenIdle: (() => void) | undefined;

  /** Throws what io_setup answers, with the remedy, or `ERR_AIO_NO_MEMORY`. */
  constructor(options: EngineOptions, binding: Binding) {
    this.pool = new Pool(options.memory, options.hugePages, binding);
    this.#core = setUp(options, this.pool, binding, (count, first) => this.#completer.wake(count, first));
    this.#live = new Live(this.pool, this.#core.requests);
    this.#submitter = new Submitter(this.#core);
    this.#completer = new Completer(this.#core, this.#submitter, this);
    this.#submitter.completion = this.#completer;
    debug(
      'context of %d requests, %d bytes of memory, reaped by %s',
      options.depth,
      options.memory,
      options.ring ? 'ring' : 'call',
    );
  }

  /**
   * Reads or writes `length` bytes of a view from its byte `skip` on. `buffer` is what the answer gives back; it stays alive until then.
   * With a callback there is no promise.
   */
  transfer(
    op: number,
    target: Target,
    view: Uint8Array,
    skip: number,
    length: number,
    position: number,
    options: StepOptions | undefined,
    shape: Shape,
    buffer: unknown,
    callback: Callback | undefined,
  ): Promise<unknown> | undefined {
    const request = this.#core.requests.take();
    request.op = op;
    request.target = target;
    request.length = length;
    request.position = position;
    request.shape = shape;
    request.buffer = buffer;
    const at = this.pool.offsetOf(view);
    if (at !== -1) request.memory = at + skip;
    request.pool = this.#fits(target, request.memory) ? request.memory : -1;
    request.plain = request.pool !== -1 && options === undefined && length <= PART_BYTES && !target.append;
    if (request.pool === -1) {
      // One of a pool is its user's object.
      request.view = knownLength(view) === -1 ? view : bytesOf(view);
      request.skip = skip;
    }
    return this.#begin(request, options, callback);
  }

  /** Reads into or writes from several views, one after another; `length` is the sum of theirs. */
  transferVector(
    op: number,
    target: Target,
    views: readonly Uint8Array[],
    length: number,
    position: number,
    options: StepOptions | undefined,
    shape: Shape,
    buffer: unknown,
    callback: Callback | undefined,
  ): Promise<unknown> | undefined {
    const request = this.#core.requests.take();
    const small = views.length <= IOVECS_PER_SLOT && length <= PART_BYTES;
    const inPlace = small && views.every((view) => this.#fitsWhole(target, view));
    request.op = inPlace ? (isRead(op) ? abi.IOCB_CMD_PREADV : abi.IOCB_CMD_PWRITEV) : op;
    request.pool = inPlace ? 0 : -1;
    request.target = target;
    request.length = length;
    request.position = position;
    request.shape = shape;
    request.buffer = buffer;
    request.vector = views;
    return this.#begin(request, options, callback);
  }

  /** fsync, fdatasync or poll; `mask` is what to poll for, else 0. */
  command(
    op: number,
    target: Target,
    mask: number,
    options: RequestOptions | undefined,
    shape: Shape,
    callback: Callback | undefined,
  ): Promise<unknown> | undefined {
    const request = this.#core.requests.take();
    request.op = op;
    request.target = target;
    request.length = 0;
    request.position = 0;
    request.pool = mask;
    request.shape = shape;
    return this.#begin(request, options, callback);
  }

  /** Resolves when the writes that were requested of this file so far are finished, aborted ones included. */
  async written(target: Target): Promise<void> {
    if (target.openWrites > 0) await this.command(abi.IOCB_CMD_NOOP, target, 0, undefined, () => undefined, undefined);
  }

  stats(): AioStats {
    const { depth, counters, slots, inFlightBytes, latency } = this.#core;
    return {
      depth,
      queued: this.#live.count - Math.min(slots.used, this.#live.count),
      inFlight: slots.used,
      inFlightBytes,
      ...counters,
      freeBytes: this.pool.freeBytes,
      buffers: this.pool.buffers,
      latency,
    };
  }

  /** Whether requests in flight keep the event loop alive; at first they do. */
  keepAlive(yes: boolean): void {
    this.#submitter.keepAlive(yes);
  }

  /** A file of this context: closing the context closes it. */
  addFile(file: Closable): void {
    this.#files.add(file);
  }

  removeFile(file: Closable): void {
    this.#files.delete(file);
  }

  get closing(): boolean {
    return this.#closing !== undefined;
  }

  /** Throws `ERR_AIO_CONTEXT_CLOSED` from `close` on. */
  assertOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  /** Refuses new requests, waits for those that were made, and destroys the kernel's context. Safe to call again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#endPolls();
    try {
      await everyOne([...this.#files].map((file) => file.close()));
    } finally {
      // A descriptor that does not close keeps nothing else from being given back.
      if (!this.#idle) {
        await new Promise<void>((resolve) => {
          this.#whenIdle = resolve;
        });
      }
      debug('context closes, %d buffers were not disposed', this.pool.buffers);
      await this.#end();
    }
  }

  /** Nothing is left but polls, which are settled when the context closes. The kernel may refuse to cancel them; io_destroy ends them. */
  get #idle(): boolean {
    return this.#live.count === this.#core.polls;
  }

  /** Ends the kernel's context, once, and with it what it still has: only then is the memory of that safe again. */
  #end(): Promise<void> {
    this.#core.poison ??= closedError();
    this.#ended ??= new Promise<void>((resolve) => this.#core.kernel.destroy(resolve)).then(() => {
      this.#core.leaveAll();
      this.#live.each((request) => {
        this.#live.remove(request);
        request.target.release();
      });
      this.#whenIdle?.();
    });
    return this.#ended;
  }

  /** A poll may wait for ever; closing the context does not. */
  #endPolls(): void {
    this.#live.each((request) => {
      if (request.op !== abi.IOCB_CMD_POLL || request.settled) return;
      this.#core.counters.aborted++;
      if (request.slot !== -1) this.#submitter.cancel(request.slot);
      this.#settle(request, closedError(), 0);
    });
    this.#submitter.schedule();
  }

  #settle(request: Request, error: Error | null, bytes: number): void {
    if (request.signal !== undefined) this.#aborts.remove(request.signal, request);
    settle(request, error, bytes);
  }

  // ---- A request begins ----------------------------------------------------------------------------------------------------

  /** Whether the file takes data from this place of the pool as it is; otherwise it is copied. */
  #fits(target: Target, offset: number): boolean {
    return offset !== -1 && (!target.direct || offset % target.memoryAlign === 0);
  }

  /** A piece of a vector must end where the device can stop, too. */
  #fitsWhole(target: Target, view: Uint8Array): boolean {
    return (
      this.#fits(target, this.pool.offsetOf(view)) && (!target.direct || view.byteLength % target.lengthAlign === 0)
    );
  }

  #begin(
    request: Request,
    options: StepOptions | undefined,
    callback: Callback | undefined,
  ): Promise<unknown> | undefined {
    // First, since it throws where the stack is at its end: nothing is on the books then. What is given up later leaves them in that submit.
    this.#submitter.schedule();
    this.#core.counters.requested++;
    let promise: Promise<unknown> | undefined;
    if (callback === undefined) {
      promise = new Promise(capture);
      request.resolve = captured;
      // Or the last answer, with its buffer and the memory that it is in, would outlive the context.
      captured = noop;
    } else {
      request.callback = callback;
      request.resource = new AsyncResource('AIOREQUEST', MANUAL);
    }
    const writes = isWrite(request.op);
    const refusal = this.#refusalOf(request, options) ?? this.#live.add(request);
    if (refusal !== undefined) {
      this.#refuse(request, refusal);
      return promise;
    }
    // It is on the books. Nothing is called from there to the queue: what comes to the end of the stack in between would stay on them.
    const { target } = request;
    target.open++;
    if (writes) target.openWrites++;
    try {
      // A plain read waits for nothing but its turn.
      if (request.plain && !writes) this.#submitter.enqueue(request);
      else this.#queue(request, writes);
    } catch (error) {
      // Nor is here. What is queued of it is dropped in its turn.
      request.settled = true;
      request.plain = false;
      if (request.openParts === 0) {
        request.next = this.#submitter.givenUp;
        this.#submitter.givenUp = request;
      }
      throw error;
    }
    return promise;
  }

  /** Takes the options over. Returns the error that speaks against the request. */
  #refusalOf(request: Request, options: StepOptions | undefined): Error | undefined {
    // What a file has begun may end: its own close waits for that, and the context's for the file's.
    if (this.#closing !== undefined && request.target.open === 0) return closedError();
    return options === undefined ? this.#core.poison : this.#takeOver(request, options);
  }

  #takeOver(request: Request, options: StepOptions): Error | undefined {
    const { signal } = options;
    if (signal !== undefined && isAborted(signal)) return abortError(signal);
    request.signal = signal;
    if (options.dsync === true && isWrite(request.op)) request.rwFlags |= abi.RWF_DSYNC;
    request.nowait = options.nowait === true;
    request.held = options.held === true;
    if (options.ioprio !== undefined) {
      request.reqprio = options.ioprio;
      request.flags |= abi.IOCB_FLAG_IOPRIO;
    }
    return this.#core.poison ?? this.#listen(request);
  }

  /** Lets its signal settle a request. Returns why it cannot. */
  #listen(request: Request): Error | undefined {
    if (request.signal === undefined) return undefined;
    try {
      this.#aborts.add(request.signal, request);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  #refuse(request: Request, error: Error): void {
    this.#core.counters.failed++;
    if (request.signal !== undefined) this.#aborts.remove(request.signal, request);
    // Never before the call has returned: a callback is always asynchronous.
    nextTick(() => {
      this.#settle(request, error, 0);
      this.#core.requests.give(request);
    });
  }

  /** Queues a request, or lets it wait for those before. */
  #queue(request: Request, writes: boolean): void {
    const { target, op } = request;
    request.epoch = target.epoch;
    if (writes) {
      if (target.stray.some((other) => meet(other, request))) target.held.push(request);
      else this.#enqueue(request);
    } else if (op === abi.IOCB_CMD_FSYNC || op === abi.IOCB_CMD_FDSYNC || op === abi.IOCB_CMD_NOOP) {
      target.epoch++;
      request.waiting = target.openWrites;
      if (request.waiting > 0) target.barriers.push(request);
      else this.#enqueue(request);
    } else {
      this.#enqueue(request);
    }
  }

  /** Queues a request, in parts where it is large. */
  #enqueue(request: Request): void {
    const most = request.plain ? PART_BYTES : this.#partBytes(request);
    if (request.length <= most) {
      this.#submitter.enqueue(request);
      return;
    }
    const { length, target } = request;
    // Parts meet between blocks of the file: a loss of power must not leave a sector of which half was written.
    const lead = target.direct ? 0 : request.position % BLOCK_BYTES;
    request.limit = length;
    for (let start = 0, end = most - lead; start < length; start = end, end += most) {
      this.#submitter.enqueue(this.#part(request, start, Math.min(end, length) - start));
      request.openParts++;
    }
  }

  /** Largest part of a request. One that appends goes whole where it can, or others could come in between. */
  #partBytes(request: Request): number {
    if (isCopied(request)) return request.target.append ? this.pool.copyBytes : this.pool.pieceBytes;
    if (!isWrite(request.op) || request.length <= PART_BYTES) return PART_BYTES;
    if (request.target.append) return Number.POSITIVE_INFINITY;
    return request.position + request.length > request.target.size ? EXTENDING_PART_BYTES : PART_BYTES;
  }

  #part(request: Request, start: number, length: number): Request {
    const part = this.#core.requests.take();
    part.op = request.op;
    part.target = request.target;
    part.parent = request;
    part.start = start;
    part.length = length;
    part.position = request.position + start;
    part.pool = request.pool === -1 ? -1 : request.pool + start;
    part.view = request.view;
    part.vector = request.vector;
    part.skip = request.skip + start;
    part.rwFlags = request.rwFlags;
    part.reqprio = request.reqprio;
    part.flags = request.flags;
    part.nowait = request.nowait;
    return part;
  }

  // ---- A request ends ------------------------------------------------------------------------------------------------------

  /** Called by the completer: the kernel is done with every part of it. */
  finished(request: Request, bytes: number, errno: number): void {
    const { target } = request;
    this.#live.remove(request);
    if (isWrite(request.op)) this.#writeFinished(request, bytes);
    if (!request.settled) this.#conclude(request, bytes, errno);
    // One that was given up still waits for it.
    else if (request.signal !== undefined) this.#aborts.remove(request.signal, request);
    this.#core.requests.give(request);
    target.release();
    if (this.#whenIdle !== undefined && this.#idle) this.#whenIdle();
  }

  #conclude(request: Request, bytes: number, errno: number): void {
    const { counters } = this.#core;
    if (errno !== 0) {
      counters.failed++;
      this.#settle(request, errorOf(request, errno), 0);
      return;
    }
    counters.completed++;
    if (isRead(request.op)) counters.bytesRead += bytes;
    else if (isWrite(request.op)) counters.bytesWritten += bytes;
    this.#settle(request, null, bytes);
  }

  #writeFinished(request: Request, bytes: number): void {
    const { target } = request;
    target.openWrites--;
    const end = request.position - request.done + bytes;
    if (bytes > 0 && !target.append && end > target.size) target.size = end;
    if (target.barriers.length > 0) this.#releaseBarriers(target, request.epoch);
    const at = target.stray.indexOf(request);
    if (at === -1) return;
    target.stray.splice(at, 1);
    for (const held of target.held.splice(0)) {
      if (target.stray.some((other) => meet(other, held))) target.held.push(held);
      else this.#enqueue(held);
    }
  }

  /** A sync may go when the writes of its epoch and of those before are done. */
  #releaseBarriers(target: Target, epoch: number): void {
    const { barriers } = target;
    for (let i = 0; i < barriers.length; ) {
      const barrier = barriers[i]!;
      if (epoch > barrier.epoch || --barrier.waiting > 0) {
        i++;
        continue;
      }
      barriers.splice(i, 1);
      // No kernel carries this command out; here it stands for waiting alone.
      if (barrier.op === abi.IOCB_CMD_NOOP) this.#completer.drop(barrier);
      else this.#submitter.enqueue(barrier);
    }
  }

  #abort(request: Request): void {
    if (request.settled) return;
    this.#core.counters.aborted++;
    const queued = !this.#takeBack(request);
    if (queued) {
      // What is queued is dropped when its turn comes. What the kernel has may still land: later writes there wait for its event.
      if (isWrite(request.op) && (request.openParts > 0 || request.slot !== -1)) request.target.stray.push(request);
      if (request.op === abi.IOCB_CMD_POLL && request.slot !== -1) this.#submitter.cancel(request.slot);
    }
    // A callback may run ticks, in which what is queued is dropped: its record is not to be looked at any more.
    this.#settle(request, abortError(request.signal!), 0);
    if (queued) this.#submitter.schedule();
    else this.#completer.drop(request);
  }

  /** Takes back what waits for others. False where it waits for nothing. */
  #takeBack(request: Request): boolean {
    for (const waiting of [request.target.barriers, request.target.held]) {
      const at = waiting.indexOf(request);
      if (at === -1) continue;
      waiting.splice(at, 1);
      return true;
    }
    return false;
  }

  /** Called by the completer: memory and kernel no longer agree. */
  corrupted(): void {
    this.#fail(
      aioError(
        'ERR_AIO_CORRUPTED',
        'An event came from the kernel that belongs to no request of this context. Nothing it has done or will do can be trusted: ' +
          'the context is dead and its pending requests may or may not have happened. Please report this',
      ),
    );
  }

  /** Called by the completer: events cannot be read any more. */
  deaf(errno: number): void {
    this.#fail(deafError(errno));
  }

  /** Everything is rejected and nothing more is submitted. */
  #fail(error: CodedError): void {
    if (this.#core.poison !== undefined) return;
    this.#core.poison = error;
    this.#live.each((request) => {
      if (!request.settled) this.#settle(request, error, 0);
    });
    void this.#end();
    // Last, since a program may have put its own in the place of emitWarning, which may throw.
    process.emitWarning(error);
  }
}

const noop = (): void => {};
let captured: (value: unknown) => void = noop;

/** The executor of every promise: one function for all, so that a request has no closure of its own. A rejection goes through resolve. */
function capture(resolve: (value: unknown) => void): void {
  captured = resolve;
}

/** Whether two writes touch the same bytes. */
function meet(a: Request, b: Request): boolean {
  const from = a.position - a.done;
  return from < b.position + b.size && b.position - b.done < from + a.size + a.done;
}
