import { isRead } from './policy.ts';
import type { Pool } from './pool.ts';
import type { Request } from './request.ts';

/** All requests that were made and are not finished, and the pool memory that belongs to them meanwhile. */
export class Live {
  readonly #pool: Pool;
  #first: Request | undefined;
  #count = 0;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes a request in, with its memory. Returns why it cannot be: then nothing was taken. */
  add(request: Request): Error | undefined {
    const refusal = this.#claim(request);
    if (refusal !== undefined) return refusal;
    request.livePrevious = undefined;
    request.liveNext = this.#first;
    if (this.#first !== undefined) this.#first.livePrevious = request;
    this.#first = request;
    this.#count++;
    return undefined;
  }

  /** Lets go of a request and its memory: the kernel is done with both. */
  remove(request: Request): void {
    const { livePrevious, liveNext } = request;
    if (livePrevious === undefined) this.#first = liveNext;
    else livePrevious.liveNext = liveNext;
    if (liveNext !== undefined) liveNext.livePrevious = livePrevious;
    request.livePrevious = undefined;
    request.liveNext = undefined;
    this.#count--;
    this.#unclaim(request, Number.POSITIVE_INFINITY);
  }

  /** Visits every request; `visit` may remove the one it is given. */
  each(visit: (request: Request) => void): void {
    for (let request = this.#first; request !== undefined; ) {
      const next = request.liveNext;
      visit(request);
      request = next;
    }
  }

  #claim(request: Request): Error | undefined {
    const exclusive = isRead(request.op);
    const { view, vector } = request;
    if (view !== undefined) {
      if (!this.#pool.has(view)) return undefined;
      return this.#pool.claim(view.byteOffset + request.skip, request.size, exclusive, this.#overlaps);
    }
    if (vector === undefined) return undefined;
    for (const [i, piece] of vector.entries()) {
      if (!this.#pool.has(piece)) continue;
      const refusal = this.#pool.claim(piece.byteOffset, piece.byteLength, exclusive, this.#overlaps);
      if (refusal === undefined) continue;
      this.#unclaim(request, i);
      return refusal;
    }
    return undefined;
  }

  /** Gives back what `#claim` took: of a vector the first `count` pieces. */
  #unclaim(request: Request, count: number): void {
    const exclusive = isRead(request.op);
    const { view, vector } = request;
    if (view !== undefined) {
      // A transfer that went on from where it was cut short has moved its beginning.
      if (this.#pool.has(view))
        this.#pool.unclaim(view.byteOffset + request.skip - request.done, request.size, exclusive);
      return;
    }
    for (const piece of vector?.slice(0, count) ?? []) {
      if (this.#pool.has(piece)) this.#pool.unclaim(piece.byteOffset, piece.byteLength, exclusive);
    }
  }

  /** Whether a range of the pool meets one that a living request uses, where one of the two is written to. */
  readonly #overlaps = (offset: number, length: number, exclusive: boolean): boolean => {
    for (let request = this.#first; request !== undefined; request = request.liveNext) {
      if (!exclusive && !isRead(request.op)) continue;
      const { view } = request;
      const begin = view === undefined ? 0 : request.skip - request.done;
      for (const piece of request.vector ?? (view === undefined ? [] : [view])) {
        if (!this.#pool.has(piece)) continue;
        const at = piece.byteOffset + begin;
        const end = view === undefined ? at + piece.byteLength : at + request.size;
        if (at < offset + length && offset < end) return true;
      }
    }
    return false;
  };
}
