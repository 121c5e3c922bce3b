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
    this.#unclaim(request);
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
    const { memory, vector } = request;
    if (memory !== -1) return this.#pool.claim(memory, request.size, isRead(request.op), this.#overlaps);
    return vector === undefined ? undefined : this.#claimVector(request, vector);
  }

  #claimVector(request: Request, vector: readonly Uint8Array[]): Error | undefined {
    for (const [i, piece] of vector.entries()) {
      const offset = this.#pool.offsetOf(piece);
      if (offset === -1) continue;
      const refusal = this.#pool.claim(offset, piece.byteLength, isRead(request.op), this.#overlaps);
      if (refusal === undefined) continue;
      this.#unclaimVector(request, vector.slice(0, i));
      return refusal;
    }
    return undefined;
  }

  #unclaim(request: Request): void {
    const { memory, vector } = request;
    if (memory !== -1) this.#pool.unclaim(memory, request.size, isRead(request.op));
    else if (vector !== undefined) this.#unclaimVector(request, vector);
  }

  #unclaimVector(request: Request, vector: readonly Uint8Array[]): void {
    for (const piece of vector) {
      const offset = this.#pool.offsetOf(piece);
      if (offset !== -1) this.#pool.unclaim(offset, piece.byteLength, isRead(request.op));
    }
  }

  /** Whether a range of the pool meets one that a living request uses, where one of the two is written to. */
  readonly #overlaps = (offset: number, length: number, exclusive: boolean): boolean => {
    const meets = (at: number, bytes: number): boolean => at !== -1 && at < offset + length && offset < at + bytes;
    for (let request = this.#first; request !== undefined; request = request.liveNext) {
      if (!exclusive && !isRead(request.op)) continue;
      if (meets(request.memory, request.size)) return true;
      if (request.vector?.some((piece) => meets(this.#pool.offsetOf(piece), piece.byteLength))) return true;
    }
    return false;
  };
}
