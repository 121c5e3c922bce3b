import { constants } from 'node:os';
import { debug } from '../debug.ts';
import { IOCB_CMD_POLL, IOCB_CMD_PREAD } from '../layout/constants.ts';
import { channels, type SubmitMessage } from './channels.ts';
import type { Core } from './core.ts';
import { Jobs } from './jobs.ts';
import { Lookout } from './lookout.ts';
import { nextTick, queueMicrotask } from './loop.ts';
import { pack, take } from './packing.ts';
import * as policy from './policy.ts';
import { TOUCH_BYTES } from './pool.ts';
import type { Request } from './request.ts';
import { Room } from './room.ts';
import { Round } from './round.ts';
import type { Target } from './target.ts';

const { EAGAIN } = constants.errno;

/** What the submitter asks of the completer. */
export interface Completion {
  /** Settles what the kernel has completed: this many events are in the control memory. */
  complete(count: number): void;
  /** Ends the attempt in a slot with what io_submit said of it. */
  finishSlot(slot: number, res: number, res2: number): void;
  /** Ends a request that was aborted before it was submitted, or whose memory is gone. */
  drop(request: Request): void;
  fail(request: Request): void;
}

/**
 * Brings requests to the kernel: once a turn of the event loop, in slices, under a budget of time, each file in its turn. What would
 * make io_submit wait goes to threads.
 */
export class Submitter {
  readonly #core: Core;
  readonly #room: Room;
  /** What goes to the kernel from threads. */
  readonly jobs: Jobs;
  #completion!: Completion;
  /** Files with requests to try on the event loop. */
  readonly #ready: Round = new Round('ready');
  /** Requests that wait to be tried on the event loop. */
  #waiting = 0;
  /** Slots that are packed but for which the kernel had no room. */
  readonly #carried: number[] = [];
  #retrying: NodeJS.Timeout | undefined;
  /** Requests that were given up while they were made and are in no queue, linked through their own `next`. */
  givenUp: Request | undefined;
  /** Slots of polls that were settled while slices were packed, and are to be cancelled afterwards. */
  readonly #cancels: number[] = [];
  readonly #slice: Int32Array = new Int32Array(policy.PROMPT_SLICE_REQUESTS);
  /** Of the present slice: how much it may have, one in how many requests wakes the loop (0: none), and its bytes, weighted. */
  #most = 0;
  #mostBytes = 0;
  #heardEvery = 1;
  #filledBytes = 0;
  /** Slices that are yet to be watched for sleeps, because one was slow. */
  #suspicion = 0;
  /**
   * Slices that were alone with the kernel and had completed, and not just been refused, when io_submit returned, since one that left
   * something behind.
   */
  #prompt = 0;
  readonly #lookout: Lookout;
  #scheduled = false;
  #pumping = false;
  #immediate: NodeJS.Immediate | undefined;
  /** Submits that found completions in this turn of the event loop. */
  #rounds = 0;
  #referenced = false;

  constructor(core: Core) {
    this.#core = core;
    this.#room = new Room(core, this.#onTurn);
    this.jobs = new Jobs(core, this.#room);
    this.#lookout = new Lookout(core, this.#onLook);
  }

  set completion(completion: Completion) {
    this.#completion = completion;
  }

  /** Whether something waits to be submitted. */
  get pending(): boolean {
    return !this.#ready.empty || !this.jobs.empty || this.#carried.length > 0;
  }

  /** Queues a request and sees to it that it is submitted at the end of this turn. */
  enqueue(request: Request): void {
    const { target } = request;
    this.schedule();
    this.#ready.add(target);
    // Last, so that a request that makes the stack overflow is not in the queue.
    target.ready.push(request);
    this.#waiting++;
  }

  /** Submits at the end of this turn: after the running callback and, where it comes from a microtask, after all of those. */
  schedule(): void {
    if (this.#scheduled || this.#pumping) return;
    // It throws where the stack is at its end: then the next call tries again.
    nextTick(this.#flush);
    this.#scheduled = true;
  }

  /** To be called when the event loop has turned: completions have come, or an immediate. */
  newTurn(): void {
    this.#core.spentMs = 0;
    this.#rounds = 0;
  }

  /** To be called after a wake. What is pending goes when the callbacks it brought and their microtasks are done. */
  afterWake(): void {
    // What waits already fills a slice: nothing that the callbacks ask for would make it a better one, and the device may be idle.
    if (this.#waiting >= policy.SLICE_REQUESTS) this.#pump();
    this.#lookout.watch();
    this.#scheduleAfterMicrotasks();
  }

  #scheduleAfterMicrotasks(): void {
    // A nextTick from here would run before the microtasks of what was just resolved; one from a microtask runs after all of them.
    if (this.pending && !this.#scheduled) queueMicrotask(this.#scheduleFromMicrotask);
    this.updateReference();
  }

  readonly #scheduleFromMicrotask = (): void => this.schedule();

  readonly #flush = (): void => {
    this.#scheduled = false;
    this.#pump();
  };

  readonly #onImmediate = (): void => {
    this.#immediate = undefined;
    this.#onTurn();
  };

  readonly #onTurn = (): void => {
    this.newTurn();
    this.#pump();
  };

  /** A refused request takes the way of the threads, ahead of what came later. */
  retry(request: Request): void {
    const { target } = request;
    if (request.slow) {
      this.jobs.addAgain(request);
    } else {
      target.ready.unshift(request);
      this.#waiting++;
      this.#ready.add(target);
    }
    // No pump from here: it would overwrite the completions that are being settled.
    if (!this.#pumping) this.#scheduleAfterMicrotasks();
  }

  /** Asks the kernel to cancel the poll in a slot, which is settled. Its event comes all the same. */
  cancel(slot: number): void {
    if (this.#pumping) {
      // It may be packed but not yet submitted, and would then never be cancelled; and the pointer to it would take another's place.
      this.#cancels.push(slot);
      return;
    }
    this.#core.packer.point(0, slot);
    this.#core.kernel.cancel(0);
  }

  #cancelLate(): void {
    for (const slot of this.#cancels.splice(0)) {
      const request = this.#core.slots.at(slot);
      if (request?.op === IOCB_CMD_POLL && request.settled) this.cancel(slot);
    }
  }

  keepAlive(yes: boolean): void {
    this.#lookout.keepAlive = yes;
    this.updateReference();
  }

  /** The watcher keeps the loop alive exactly while something is in flight. */
  updateReference(): void {
    const wanted = this.#lookout.keepAlive && this.#core.slots.used > 0;
    if (wanted === this.#referenced) return;
    if (wanted) this.#core.kernel.ref();
    else this.#core.kernel.unref();
    this.#referenced = wanted;
  }

  #pump(): void {
    const core = this.#core;
    if (this.#pumping || core.poison !== undefined) return;
    this.#pumping = true;
    let late = false;
    try {
      late = this.#submitAll();
    } finally {
      this.#pumping = false;
      this.updateReference();
    }
    if (this.#cancels.length > 0) this.#cancelLate();
    if (late) this.schedule();
  }

  /** Returns whether there is more to try now: what the drop of an aborted request let go, or what was given up, came after its turn. */
  #submitAll(): boolean {
    if (this.#core.latency !== undefined) this.#core.nowMs = performance.now();
    if (this.givenUp !== undefined) this.#dropGivenUp();
    this.#submitCarried();
    while (this.#mayGoOn()) {
      const count = this.#fill();
      if (count === 0) break;
      this.#submitFilled(count);
    }
    const waiting = this.#waiting;
    this.jobs.dispatch(this.#completion);
    this.#lookout.watch();
    return this.#waiting > waiting || this.givenUp !== undefined;
  }

  #dropGivenUp(): void {
    let request = this.givenUp;
    this.givenUp = undefined;
    while (request !== undefined) {
      const { next }: Request = request;
      request.next = undefined;
      this.#completion.drop(request);
      request = next;
    }
  }

  /** Within the budget of this turn; if it is used up, the pump goes on in the next. */
  #mayGoOn(): boolean {
    if (this.#ready.empty || this.#core.poison !== undefined) return false;
    if (this.#core.spentMs < policy.TURN_BUDGET_MS) return true;
    if (this.#immediate === undefined) {
      this.#core.counters.yielded++;
      this.#immediate = this.#core.loop.next(this.#onImmediate);
    }
    return false;
  }

  /** Submits a slice and settles what has completed by then: that needs no wake-up. */
  #submitFilled(count: number): void {
    const { counters, slots, depth } = this.#core;
    const alone = slots.used === count;
    const { refusedAgain } = counters;
    const looks = this.#rounds < policy.INLINE_ROUNDS;
    // What completes at once is done with; of the rest, as many as make the next slice.
    const most = this.#prompt > 0 ? depth : Math.min(depth, Math.max(count, policy.WAKE_REQUESTS));
    const reaped = this.#timedSlice(count, looks ? most : 0);
    if (reaped !== 0) {
      this.#rounds++;
      if (reaped > 0) counters.completedInline += reaped;
      this.#completion.complete(reaped);
    }
    if (!looks) return;
    if (this.#leftBehind(count)) this.#prompt = 0;
    else if (alone && counters.refusedAgain === refusedAgain) this.#prompt++;
  }

  /** Whether any of the slice that was just submitted is still with the kernel. */
  #leftBehind(count: number): boolean {
    const { slots } = this.#core;
    if (slots.used === 0) return false;
    for (let i = 0; i < count; i++) if (slots.at(this.#slice[i]!) !== undefined) return true;
    return false;
  }

  /** Submits a slice and accounts for the time. Returns how many events were reaped, at most `most`. */
  #timedSlice(count: number, most: number): number {
    const { counters, kernel } = this.#core;
    const suspicious = this.#suspicion > 0;
    const sleeps = suspicious ? kernel.sleeps() : 0;
    const before = counters.totalSubmitMs;
    const reaped = this.#submitSlice(count, most);
    const tookMs = counters.totalSubmitMs - before;
    this.#core.spentMs += tookMs;
    if (tookMs > counters.longestSubmitMs) counters.longestSubmitMs = tookMs;
    if (channels.submit.hasSubscribers) {
      const message: SubmitMessage = { count, durationMs: tookMs, ...this.#core.load };
      channels.submit.publish(message);
    }
    if (suspicious) {
      this.#suspicion--;
      if (tookMs > policy.GUARD_MS && kernel.sleeps() > sleeps) this.#guard(count, tookMs);
    } else if (tookMs > policy.GUARD_MS) {
      // It was slow; whether it waited or was only preempted, the next slices will tell.
      this.#suspicion = policy.SUSPICIOUS_SLICES;
    }
    return reaped;
  }

  /** A submit has put the thread to sleep for long: its files submit off-thread for a while. */
  #guard(count: number, tookMs: number): void {
    const untilMs = performance.now() + policy.GUARDED_MS;
    for (let i = 0; i < count; i++) {
      const request = this.#core.slots.at(this.#slice[i]!);
      if (request === undefined || request.target.submit !== 'auto') continue;
      // With RWF_NOWAIT only a full device queue makes it sleep, or somebody who traces it: off-thread is no better, unless it is long.
      if (request.trying && tookMs <= policy.GUARD_TRYING_MS) continue;
      const { target } = request;
      target.guardedUntilMs = untilMs;
      this.#core.counters.guarded++;
      debug('%s goes off-thread for a second: a submit waited', target.path ?? target.fd);
    }
  }

  /** Completions were found that had not woken the loop. */
  readonly #onLook = (count: number): void => {
    if (count > 0) this.#core.counters.completedByWake += count;
    this.newTurn();
    this.#completion.complete(count);
    this.afterWake();
  };

  // ---- One slice -----------------------------------------------------------------------------------------------------------

  /** Packs what may go now, each file in its turn. Returns how many requests there are. */
  #fill(): number {
    this.#shapeSlice();
    let count = 0;
    // When every file in the round has been asked in vain, the slice is done.
    let asked = 0;
    while (count < this.#most && this.#filledBytes < this.#mostBytes && asked <= this.#ready.size) {
      const target = this.#ready.next();
      if (target === undefined) break;
      const before = target.ready.head;
      count = this.#fillFrom(target, count);
      asked = target.ready.head === before ? asked + 1 : 0;
      if (target.ready.head !== undefined) this.#ready.add(target);
    }
    return count;
  }

  /** Decides on the next slice. */
  #shapeSlice(): void {
    const many = this.#waiting > policy.SLICE_REQUESTS;
    this.#filledBytes = 0;
    this.#heardEvery = many ? policy.HEARD_EVERY : 1;
    if (this.#prompt === 0) {
      this.#most = many ? policy.SLICE_REQUESTS : policy.SHORT_SLICE_REQUESTS;
      this.#mostBytes = policy.SLICE_BYTES;
      return;
    }
    this.#most = policy.PROMPT_SLICE_REQUESTS;
    this.#mostBytes = policy.PROMPT_SLICE_BYTES;
    const idle = this.#core.slots.used === 0;
    if (idle && this.#prompt >= policy.PROMPT_SLICES && this.#rounds < policy.INLINE_ROUNDS) this.#heardEvery = 0;
  }

  /** Packs requests of one file until its turn is over. Returns how many the slice has then. */
  #fillFrom(target: Target, from: number): number {
    const core = this.#core;
    let count = from;
    const end = Math.min(this.#filledBytes + policy.TURN_BYTES, this.#mostBytes);
    while (count < this.#most && this.#filledBytes < end) {
      const request = target.ready.head;
      if (request === undefined) break;
      if (!request.plain && request.over) {
        this.#shift(target);
        this.#completion.drop(request);
        continue;
      }
      const way = this.#wayOf(request);
      if (way !== policy.OFFLOAD && this.#room.isMissing(request)) break;
      this.#shift(target);
      if (way === policy.OFFLOAD) {
        this.jobs.add(request);
        continue;
      }
      if (request.broken) {
        this.#completion.fail(request);
        continue;
      }
      take(core, request, way === policy.TRY);
      this.#slice[count] = request.slot;
      const heard = this.#heardEvery !== 0 && count % this.#heardEvery === 0;
      pack(core, request, count++, !heard && policy.isTransfer(request.op));
      this.#filledBytes += this.#weight(request);
    }
    return count;
  }

  /** What policy says of the file, and off-thread too where the memory would make the submit wait. */
  #wayOf(request: Request): number {
    const way = policy.wayOf(request);
    const { op, pool, length, target, nowait } = request;
    if (length <= TOUCH_BYTES || op !== IOCB_CMD_PREAD || pool === -1 || target.submit !== 'auto' || nowait) return way;
    return this.#core.pool.faults(pool, length) ? policy.OFFLOAD : way;
  }

  #shift(target: Target): void {
    target.ready.shift();
    this.#waiting--;
  }

  /** What a request adds to its slice, in bytes of touched memory that a device moves. */
  #weight({ op, pool, window, length, target }: Request): number {
    // Storage in memory moves the bytes, and makes its pages, during the submit.
    if (target.storage === 'memory') return length * policy.UNTOUCHED_WEIGHT;
    const at = window === -1 ? pool : window;
    // What is written was filled by somebody, so its pages are there.
    if (at === -1 || !policy.isRead(op) || this.#core.pool.touch(at, length)) return length;
    return length * policy.UNTOUCHED_WEIGHT;
  }

  /** Submits a slice whatever the kernel says of single requests: a bad one fails alone. Returns how many events were reaped. */
  #submitSlice(count: number, most: number): number {
    const { kernel, counters, slots, report } = this.#core;
    let first = 0;
    while (first < count) {
      counters.submits++;
      kernel.submit(first, count - first, most);
      const taken = report[0]!;
      counters.totalSubmitMs += report[2]! / 1000;
      if (taken > 0) {
        if (taken === count - first) {
          counters.submittedInline += taken;
          return report[1]!;
        }
        first += taken;
        counters.submittedInline += taken;
        continue;
      }
      const slot = this.#slice[first]!;
      const request = slots.at(slot)!;
      if (taken === -EAGAIN && !request.trying) {
        this.#carry(first, count);
        break;
      }
      first++;
      // 0 taken and no error cannot be; it must not be repeated for ever either.
      this.#completion.finishSlot(slot, taken === 0 ? -EAGAIN : taken, 1);
    }
    return most === 0 ? 0 : kernel.reap();
  }

  /** The kernel has no room: these wait, packed, for a completion. */
  #carry(first: number, count: number): void {
    this.#core.counters.noRoom++;
    for (let i = first; i < count; i++) this.#carried.push(this.#slice[i]!);
    // Nothing of ours may be in flight to wake us, or only what may never complete, a poll: then a later turn tries again.
    const { slots, loop } = this.#core;
    if (slots.used <= this.#carried.length) this.#immediate ??= loop.next(this.#onImmediate);
    else this.#retrying ??= loop.after(policy.RESUME_MS, this.#onRetry).unref();
  }

  readonly #onRetry = (): void => {
    this.#retrying = undefined;
    if (this.#carried.length > 0) this.#onTurn();
  };

  #submitCarried(): void {
    while (this.#carried.length > 0) {
      const before = this.#carried.length;
      const count = this.#pointToCarried();
      this.#submitSlice(count, 0);
      if (this.#carried.length >= before) break;
    }
  }

  /** Puts the first of the carried slots into the pointer array; what was aborted meanwhile is not submitted at all. */
  #pointToCarried(): number {
    const core = this.#core;
    let count = 0;
    for (const slot of this.#carried.splice(0, policy.SLICE_REQUESTS)) {
      const request = core.slots.at(slot)!;
      if (request.over) {
        core.leave(request);
        this.#completion.drop(request);
        continue;
      }
      this.#slice[count] = slot;
      core.packer.point(count++, slot);
    }
    return count;
  }
}
