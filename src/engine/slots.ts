import type { Request } from './request.ts';

/** The places in the control memory, one a request in flight. Who holds one is checked on every take and release. */
export class Slots {
  readonly #free: Int32Array;
  #freeCount: number;
  readonly #requests: (Request | undefined)[];

  constructor(depth: number) {
    // Taken from the end: the first slots are used most, and stay in the cache.
    this.#free = Int32Array.from({ length: depth }, (_, i) => depth - 1 - i);
    this.#freeCount = depth;
    this.#requests = new Array<Request | undefined>(depth).fill(undefined);
  }

  get free(): number {
    return this.#freeCount;
  }

  get used(): number {
    return this.#free.length - this.#freeCount;
  }

  /** A free slot, now this request's. There must be one. */
  take(request: Request): number {
    if (this.#freeCount === 0) throw new Error('kaio: no slot is free');
    const slot = this.#free[--this.#freeCount]!;
    this.#requests[slot] = request;
    request.slot = slot;
    return slot;
  }

  /** Whose slot this is; undefined where it is free. */
  at(slot: number): Request | undefined {
    return this.#requests[slot];
  }

  release(request: Request): void {
    const { slot } = request;
    if (this.#requests[slot] !== request) throw new Error(`kaio: slot ${slot} was released twice`);
    this.#requests[slot] = undefined;
    request.slot = -1;
    this.#free[this.#freeCount++] = slot;
  }
}
