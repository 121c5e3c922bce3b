import type { Pool, PoolBuffer } from '../engine/pool.ts';
import type { AioFile } from './file.ts';
import type { Streams } from './streams.ts';

/** What a reader of a stream does with its memory when it is done: nothing, or give it back to the pool. */
export type Chunk = Buffer & Disposable;

/** One request, from when it is made until its bytes are taken. */
interface Piece {
  readonly memory: Chunk;
  /** First byte of the file that is wanted, how far into `memory` that comes to lie, and how many bytes are wanted. */
  readonly begin: number;
  readonly skip: number;
  readonly wanted: number;
  arrived: boolean;
  error: Error | null;
  /** Wanted bytes that came, and how many of them were taken. */
  bytes: number;
  taken: number;
  /** Nobody wants it any more. */
  stale: boolean;
}

export interface ReadAheadOptions {
  /** First byte, and the byte behind the last; Infinity for the end of the file. */
  begin: number;
  end: number;
  /** Bytes of a request, a multiple of the file's alignment. */
  requestBytes: number;
  /** Requests in flight or waiting to be taken. */
  inFlight: number;
  /** The memory of each request is handed out; otherwise it is used again and again, and copied from. */
  handsOut: boolean;
}

/**
 * Reads a range of a file in order with several requests under way. It begins with one and doubles them while it goes on, so that a short
 * file costs no more than it must. Requests are aligned whatever the range is. Memory is of the context's pool, and ordinary memory where
 * the pool is exhausted: a stream never fails for that.
 */
export class ReadAhead {
  readonly #file: AioFile;
  readonly #pool: Pool;
  readonly #inTurn: boolean;
  readonly #options: ReadAheadOptions;
  /** In the order of the file; the first is what is taken next. */
  #pieces: Piece[] = [];
  #spare: Chunk[] = [];
  #next: number;
  #end: number;
  #window = 1;
  #inFlight = 0;
  #waiting: ((error: Error | null) => void) | undefined;
  #whenClosed: (() => void) | undefined;

  constructor(file: AioFile, streams: Streams, options: ReadAheadOptions) {
    this.#file = file;
    this.#pool = streams.pool;
    this.#inTurn = streams.readsInTurn;
    this.#options = options;
    this.#next = options.begin;
    // Behind that no request of this size has a position that a number can say.
    this.#end = Math.min(options.end, Number.MAX_SAFE_INTEGER - options.requestBytes);
  }

  /** Calls back, perhaps at once: with what made reading fail, or when there are bytes to take, none at the end. One call at a time. */
  whenReady(callback: (error: Error | null) => void): void {
    this.#fill();
    const head = this.#pieces[0];
    if (head !== undefined && !head.arrived) this.#waiting = callback;
    else this.#report(head, callback);
  }

  /** Bytes that can be taken now. */
  get available(): number {
    const head = this.#pieces[0];
    return head?.arrived === true ? head.bytes - head.taken : 0;
  }

  /** Where in the file the next byte to take is. */
  get position(): number {
    const head = this.#pieces[0];
    return head === undefined ? this.#next : head.begin + head.taken;
  }

  /** Takes bytes that are available, as many as `into` has room for. Returns how many. */
  copy(into: Uint8Array): number {
    const head = this.#pieces[0]!;
    const from = head.skip + head.taken;
    const bytes = Math.min(this.available, into.byteLength);
    into.set(head.memory.subarray(from, from + bytes));
    head.taken += bytes;
    if (head.taken === head.bytes) this.#recycle(this.#shift());
    return bytes;
  }

  /** Takes all bytes that are available, with the memory that they are in: whoever gets it disposes it. */
  hand(): Chunk {
    const { memory, skip, bytes } = this.#shift();
    if (skip === 0 && bytes === memory.byteLength) return memory;
    const part = memory.subarray(skip, skip + bytes);
    return Object.defineProperty(part, Symbol.dispose, { value: () => memory[Symbol.dispose]() }) as Chunk;
  }

  /** Reads no more, and calls back when nothing is in flight. */
  close(callback: () => void): void {
    this.#waiting = undefined;
    this.#end = this.#next;
    this.#whenClosed = callback;
    this.#forget();
    for (const memory of this.#spare.splice(0)) memory[Symbol.dispose]();
    if (this.#inFlight === 0) callback();
  }

  #report(head: Piece | undefined, callback: (error: Error | null) => void): void {
    if (head?.arrived === true && head.error === null && head.bytes === 0) {
      // The end of the file: what was asked for beyond it brings nothing.
      this.#next = head.begin;
      this.#end = head.begin;
      this.#forget();
    }
    callback(head?.error ?? null);
  }

  #fill(): void {
    while (this.#pieces.length < this.#window && this.#next < this.#end) this.#issue();
  }

  #issue(): void {
    const unit = this.#file.alignment.offset;
    const begin = this.#next;
    const skip = begin % unit;
    const wanted = Math.min(this.#options.requestBytes - skip, this.#end - begin);
    const length = Math.ceil((skip + wanted) / unit) * unit;
    const memory = this.#spare.pop() ?? allocate(this.#pool, this.#options.requestBytes);
    const piece: Piece = {
      memory,
      begin,
      skip,
      wanted,
      arrived: false,
      error: null,
      bytes: 0,
      taken: 0,
      stale: false,
    };
    this.#pieces.push(piece);
    this.#next = begin + wanted;
    this.#inFlight++;
    this.#file.read(memory, 0, length, this.#inTurn ? null : begin - skip, (error, bytes) =>
      this.#arrive(piece, error, bytes),
    );
  }

  #arrive(piece: Piece, error: Error | null, bytes: number): void {
    this.#inFlight--;
    piece.arrived = true;
    piece.error = error;
    if (error === null) piece.bytes = Math.min(Math.max(bytes - piece.skip, 0), piece.wanted);
    if (piece.stale) this.#recycle(piece);
    if (piece === this.#pieces[0] && this.#waiting !== undefined) {
      const callback = this.#waiting;
      this.#waiting = undefined;
      this.#report(piece, callback);
    }
    if (this.#inFlight === 0) this.#whenClosed?.();
  }

  /** The first piece is used up. After a short one nobody knows what those behind it have read: the file may have grown meanwhile. */
  #shift(): Piece {
    const piece = this.#pieces.shift()!;
    if (piece.bytes < piece.wanted) {
      this.#next = piece.begin + piece.bytes;
      this.#window = 1;
      this.#forget();
    } else if (!this.#inTurn) {
      this.#window = Math.min(this.#window * 2, this.#options.inFlight);
    }
    return piece;
  }

  #forget(): void {
    for (const piece of this.#pieces.splice(0)) {
      piece.stale = true;
      if (piece.arrived) this.#recycle(piece);
    }
  }

  #recycle({ memory }: Piece): void {
    if (this.#options.handsOut || this.#whenClosed !== undefined) memory[Symbol.dispose]();
    else this.#spare.push(memory);
  }
}

/** Memory for a request, not cleared: of the pool, or ordinary memory, which the engine copies from, where the pool is exhausted. */
export function allocate(pool: Pool, byteLength: number): Chunk {
  const buffer: PoolBuffer | undefined = pool.tryAllocate(byteLength);
  if (buffer !== undefined) return buffer;
  return Object.defineProperty(Buffer.allocUnsafeSlow(byteLength), Symbol.dispose, { value: noop }) as Chunk;
}

function noop(): void {}
