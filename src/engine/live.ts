import { isRead } from './policy.ts';
import { holdElsewhere, letGoElsewhere, type Pool, refusalElsewhere } from './pool.ts';
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
    if (memory !== -1) return this.#pool.claim(memory, request.size, isRead(request.op), held);
    if (vector !== undefined) return this.#claimVector(request, vector);
    // It could be another context's.
    return view === undefined ? undefined : holdElsewhere(view, held);
  }

  /** All of it is asked for before any is claimed: a vector may have the same memory twice. */
  #claimVector(request: Request, vector: readonly Uint8Array[]): Error | undefined {
    const exclusive = isRead(request.op);
    for (const piece of vector) {
      const refusal = this.#refusalOf(piece, exclusive, request.held);
      if (refusal !== undefined) return refusal;
    }
    for (const piece of vector) {
      const offset = this.#pool.offsetOf(piece);
      if (offset === -1) holdElsewhere(piece, true);
      else this.#pool.claimAnyway(offset, piece.byteLength, exclusive);
    }
    return undefined;
  }

  #refusalOf(piece: Uint8Array, exclusive: boolean, held: boolean): Error | undefined {
    const offset = this.#pool.offsetOf(piece);
    if (offset === -1) return refusalElsewhere(piece, held);
    return this.#pool.refusalOf(offset, piece.byteLength, exclusive, held);
  }

  #unclaim(request: Request): void {
    const { memory, vector, view } = request;
    if (memory !== -1) this.#pool.unclaim(memory, request.size, isRead(request.op));
    else if (vector !== undefined) this.#unclaimVector(request, vector);
    else if (view !== undefined) letGoElsewhere(view);
  }

  #unclaimVector(request: Request, vector: readonly Uint8Array[]): void {
    for (const piece of vector) {
      const offset = this.#pool.offsetOf(piece);
      if (offset === -1) letGoElsewhere(piece);
      else this.#pool.unclaim(offset, piece.byteLength, isRead(request.op));
    }
  }
}
