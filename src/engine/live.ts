import { isRead } from './policy.ts';
import { claimElsewhere, type Pool, unclaimElsewhere } from './pool.ts';
import type { Request, RequestPool } from './request.ts';

/** All requests that were made and are not finished, and the pool memory that belongs to them meanwhile. */
export class Live {
  readonly #pool: Pool;
  readonly #records: RequestPool;
  #count = 0;

  constructor(pool: Pool, records: RequestPool) {
    this.#pool = pool;
    this.#records = records;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes a request in, with its memory. Returns why it cannot be: then nothing was taken. */
  add(request: Request): Error | undefined {
    const refusal = this.#claim(request);
    if (refusal !== undefined) return refusal;
    request.live = true;
    this.#count++;
    return undefined;
  }

  /** Lets go of a request and its memory: the kernel is done with both. */
  remove(request: Request): void {
    request.live = false;
    this.#count--;
    this.#unclaim(request);
  }

  /** Visits every request; `visit` may remove the one it is given. */
  each(visit: (request: Request) => void): void {
    for (const request of this.#records.all) if (request.live) visit(request);
  }

  #claim(request: Request): Error | undefined {
    const { memory, vector, view, held } = request;
    if (memory !== -1) return this.#pool.claim(memory, request.size, isRead(request.op), held, this.#overlaps);
    if (vector !== undefined) return this.#claimVector(request, vector);
    // It could be another context's.
    return view === undefined ? undefined : claimElsewhere(view, held);
  }

  #claimVector(request: Request, vector: readonly Uint8Array[]): Error | undefined {
    for (const [i, piece] of vector.entries()) {
      const offset = this.#pool.offsetOf(piece);
      const refusal =
        offset === -1
          ? claimElsewhere(piece, request.held)
          : this.#pool.claim(offset, piece.byteLength, isRead(request.op), request.held, this.#overlaps);
      if (refusal === undefined) continue;
      this.#unclaimVector(request, vector.slice(0, i));
      return refusal;
    }
    return undefined;
  }

  #unclaim(request: Request): void {
    const { memory, vector, view } = request;
    if (memory !== -1) this.#pool.unclaim(memory, request.size, isRead(request.op));
    else if (vector !== undefined) this.#unclaimVector(request, vector);
    else if (view !== undefined) unclaimElsewhere(view);
  }

  #unclaimVector(request: Request, vector: readonly Uint8Array[]): void {
    for (const piece of vector) {
      const offset = this.#pool.offsetOf(piece);
      if (offset === -1) unclaimElsewhere(piece);
      else this.#pool.unclaim(offset, piece.byteLength, isRead(request.op));
    }
  }

  /** Whether a range of the pool meets one that a living request uses, where one of the two is written to. */
  readonly #overlaps = (offset: number, length: number, exclusive: boolean): boolean => {
    const meets = (at: number, bytes: number): boolean => at !== -1 && at < offset + length && offset < at + bytes;
    for (const request of this.#records.all) {
      if (!request.live || (!exclusive && !isRead(request.op))) continue;
      if (meets(request.memory, request.size)) return true;
      if (request.vector?.some((piece) => meets(this.#pool.offsetOf(piece), piece.byteLength))) return true;
    }
    return false;
  };
}
