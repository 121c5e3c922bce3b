import { isCopied, openWindow } from './copy.ts';
import type { Core } from './core.ts';
import { isWrite, MAX_IN_FLIGHT_BYTES, RESUME_BYTES, RESUME_MS, SLICE_REQUESTS } from './policy.ts';
import type { Request } from './request.ts';

/** Whether the kernel may be given one more request: a slot, bytes in flight, and room to copy. */
export class Room {
  readonly #core: Core;
  readonly #onResume: () => void;
  /** So many bytes were in flight that submitting waits for fewer. */
  #throttled = false;
  /** All slots were taken; free slots with which submitting then goes on. */
  #full = false;
  readonly #roomy: number;
  #resuming: NodeJS.Timeout | undefined;

  /** `onResume` is called where what waited for a slice of slots should go on with fewer. */
  constructor(core: Core, onResume: () => void) {
    this.#core = core;
    this.#onResume = onResume;
    this.#roomy = Math.max(1, Math.min(SLICE_REQUESTS, core.depth >> 2));
  }

  /**
   * Whether there is an append before this one, no slot, no room in flight or no room to copy for this request. If there is, the room to
   * copy is its own.
   */
  isMissing(request: Request): boolean {
    const core = this.#core;
    if (this.#isFull() || (request.target.appending && isWrite(request.op))) return true;
    const limit = this.#throttled ? RESUME_BYTES : MAX_IN_FLIGHT_BYTES;
    this.#throttled = core.inFlightBytes > 0 && core.inFlightBytes + request.length > limit;
    if (this.#throttled) return true;
    if (request.plain || !isCopied(request) || request.window !== -1 || request.length === 0) return false;
    const begun = performance.now();
    const open = openWindow(core, request);
    core.spentMs += performance.now() - begun;
    if (open) return false;
    core.counters.copyWaits++;
    return true;
  }

  /**
   * Whether there is no slot or, after that, not yet room for a slice worth submitting: a device that gets one request for each that it
   * completes may go on like that, and is told of, and tells of, every single one.
   */
  #isFull(): boolean {
    const { free } = this.#core.slots;
    this.#full = free < (this.#full ? this.#roomy : 1);
    // What has the other slots may never complete: a poll.
    if (this.#full && free > 0) this.#resuming ??= this.#core.loop.after(RESUME_MS, this.#resume).unref();
    return this.#full;
  }

  readonly #resume = (): void => {
    this.#resuming = undefined;
    if (!this.#full) return;
    this.#full = false;
    this.#onResume();
  };
}
