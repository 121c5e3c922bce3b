import { constants } from 'node:os';
import { debug } from '../debug.ts';
import { type CompleteMessage, channels } from './channels.ts';
import { closeWindow } from './copy.ts';
import type { Core } from './core.ts';
import { nextTick } from './loop.ts';
import { isVectored, isWrite, memoryOf } from './policy.ts';
import type { Request } from './request.ts';
import { rethrow } from './settle.ts';
import type { Submitter } from './submitter.ts';

const { EAGAIN, EFAULT, EOPNOTSUPP } = constants.errno;
/** No file system and no page cache cuts a transfer within so many bytes. */
const SECTOR_BYTES = 512;

/** What the completer tells the engine. */
export interface Ending {
  /** A request is finished and leaves the books; its record may be used again afterwards. */
  finished(request: Request, bytes: number, errno: number): void;
  /** An event came that belongs to no request. */
  corrupted(): void;
  /** The events cannot be read: what io_getevents answers instead, a negated errno. */
  deaf(errno: number): void;
}

/** Takes what the kernel has completed and settles the requests. */
export class Completer {
  readonly #core: Core;
  readonly #submitter: Submitter;
  readonly #ending: Ending;
  /** When the present completions were taken, where latencies are measured. */
  #nowMs = 0;
  #completing = false;

  constructor(core: Core, submitter: Submitter, ending: Ending) {
    this.#core = core;
    this.#submitter = submitter;
    this.#ending = ending;
  }

  /** The eventfd has woken the loop; this many events are in the control memory. `first`: they are the first of this turn. */
  readonly wake = (count: number, first: boolean): void => {
    const { counters } = this.#core;
    if (count > 0) counters.completedByWake += count;
    if (first) {
      counters.wakes++;
      this.#submitter.newTurn();
    }
    this.complete(count);
    this.#submitter.afterWake();
  };

  /** Settles this many events. What is thrown on the way loses none of the others, and is thrown on its own. */
  complete(count: number): void {
    if (this.#completing) {
      this.#completeWithin(count);
      return;
    }
    this.#completing = true;
    this.#completeNow(count);
    this.#completing = false;
  }

  /** A callback runs ticks, or lets the loop turn: what is being settled outside of it lies where these completions are put. */
  #completeWithin(count: number): void {
    const { completions } = this.#core;
    const outside = completions.slice();
    try {
      this.#completeNow(count);
    } finally {
      completions.set(outside);
    }
  }

  #completeNow(count: number): void {
    const core = this.#core;
    if (core.poison !== undefined) return;
    if (count < 0) {
      this.#ending.deaf(count);
      return;
    }
    // Before anybody hears of it: whoever does may run ticks, and what they submit puts its events in the place of these.
    const decoded = core.packer.decode(count);
    if (channels.complete.hasSubscribers) {
      const message: CompleteMessage = { count, ...core.load };
      channels.complete.publish(message);
    }
    // One look at the clock for all of them.
    if (core.latency !== undefined) this.#nowMs = performance.now();
    if (!this.#finishAll(decoded) || decoded !== count) this.#ending.corrupted();
  }

  /** Ends the attempts that the first completions in the control memory are of. False where one is of no request: it is the last then. */
  #finishAll(decoded: number): boolean {
    const { slots, completions, completionWords } = this.#core;
    for (let i = 0; i < decoded; ) {
      try {
        while (i < decoded) {
          const at = i++ * completionWords;
          const slot = completions[at]!;
          if (slots.at(slot) === undefined) return false;
          this.finishSlot(slot, completions[at + 1]!, completions[at + 2]!);
        }
      } catch (error) {
        // The others have been taken from the ring, and nobody else would settle them.
        nextTick(rethrow, error);
      }
    }
    return true;
  }

  /** The attempt in this slot is over: with `res` of its event, or (res2 = 1) with what io_submit refused it for. */
  finishSlot(slot: number, res: number, res2: number): void {
    const core = this.#core;
    const request = core.slots.at(slot)!;
    const { length, trying } = request;
    core.leave(request);
    if (request.job !== undefined) this.#submitter.jobs.step(request);
    if (request.plain && res === length) {
      if (trying) memoryOf(request.target, request.op).accepted();
      this.#finish(request, res, 0);
      return;
    }
    request.plain = false;
    const again = trying ? this.#learn(request, res) : res2 === 1 && res === -EAGAIN;
    if (again && !(request.parent ?? request).settled) {
      this.#again(request, trying);
      return;
    }
    const bytes = Math.max(res, 0);
    if (trying && bytes > 0 && bytes < length && this.#wasCutShort(request, bytes)) {
      this.#goOn(request, bytes);
      return;
    }
    this.#finishPart(request, bytes, Math.min(res, 0));
  }

  /** Remembers how the kernel took RWF_NOWAIT. True where the request must be submitted without it. */
  #learn(request: Request, res: number): boolean {
    const { counters } = this.#core;
    const memory = memoryOf(request.target, request.op);
    if (res === -EAGAIN) {
      counters.refusedAgain++;
      memory.refused();
      debug('%s: would have waited; %d attempts are skipped', request.target.path ?? request.target.fd, memory.skip);
      return !request.nowait;
    }
    if (res === -EOPNOTSUPP) {
      counters.refusedUnsupported++;
      memory.flagOff = true;
      debug('%s: does not know RWF_NOWAIT', request.target.path ?? request.target.fd);
      return !request.nowait;
    }
    memory.accepted();
    return false;
  }

  /** Submits a refused attempt anew: off-thread, unless the file just does not know the flag. */
  #again(request: Request, trying: boolean): void {
    const flagOff = trying && memoryOf(request.target, request.op).flagOff;
    // Its room goes to whoever is next: if it kept it while it stands in a queue, those before it could wait for ever.
    if (request.window !== -1) closeWindow(this.#core, request, 0, false);
    request.trying = false;
    request.slow = !flagOff;
    if (!trying) this.#core.counters.noRoom++;
    this.#submitter.retry(request);
  }

  /**
   * A short transfer under RWF_NOWAIT may be just what was there without waiting; at the end of the file it is all there is. Where that
   * is, only the kernel knows: others may have extended the file. But it cuts between blocks, so any other end is the file's.
   */
  #wasCutShort({ op, nowait, position, target }: Request, bytes: number): boolean {
    if (nowait) return false;
    const end = position + bytes;
    return isWrite(op) || end < target.size || end % Math.max(target.lengthAlign, SECTOR_BYTES) === 0;
  }

  #goOn(request: Request, bytes: number): void {
    request.trying = false;
    // At what we know as the end there is most often nothing more, which costs no wait to see.
    request.slow = isVectored(request) || isWrite(request.op) || request.position + bytes < request.target.size;
    if (isVectored(request)) {
      // Cutting into its iovecs is not worth it: the whole goes again, and does the same once more.
      this.#submitter.retry(request);
      return;
    }
    const root = request.parent ?? request;
    if (request.window !== -1 && !closeWindow(this.#core, request, bytes, !root.settled)) root.broken = true;
    request.done += bytes;
    request.position += bytes;
    request.length -= bytes;
    request.skip += bytes;
    if (request.pool !== -1) request.pool += bytes;
    this.#submitter.retry(request);
  }

  /** A request that cannot be submitted: its memory is gone. */
  fail(request: Request): void {
    (request.parent ?? request).broken = true;
    this.#finishPart(request, 0, 0);
  }

  /** A request that was aborted in the queue. */
  drop(request: Request): void {
    this.#finishPart(request, 0, 0);
  }

  #finishPart(part: Request, bytes: number, errno: number): void {
    const root = part.parent ?? part;
    if (part.window !== -1 && !closeWindow(this.#core, part, bytes, !root.settled)) root.broken = true;
    const total = part.done + bytes;
    if (part === root) {
      this.#finish(root, total, errno);
      return;
    }
    const end = part.start + total;
    if (end < part.start + part.size && end < root.limit) {
      root.limit = end;
      root.failure = errno;
    }
    if (root.submittedMs === 0 || part.submittedMs < root.submittedMs) root.submittedMs = part.submittedMs;
    this.#core.requests.give(part);
    if (--root.openParts === 0) this.#finish(root, root.limit, root.failure);
  }

  /** The request is over. As with a single system call, a transfer that got somewhere is short and not an error. */
  #finish(request: Request, bytes: number, errno: number): void {
    const { latency } = this.#core;
    if (latency !== undefined && request.submittedMs !== 0) {
      latency.record(Math.max(1, Math.round((this.#nowMs - request.submittedMs) * 1e6)));
    }
    const failure = bytes > 0 && errno !== -EFAULT ? 0 : errno;
    this.#ending.finished(request, bytes, request.broken ? -EFAULT : failure);
  }
}
