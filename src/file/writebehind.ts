import { constants } from 'node:os';
import { clearTimeout, setImmediate, setTimeout } from '../engine/loop.ts';
import { knownLength } from '../engine/pool.ts';
import { streamDestroyed, systemError } from '../errors.ts';
import type { AioFile } from './file.ts';
import { allocate, type Chunk } from './readahead.ts';
import { PAGE_BYTES, type Streams } from './streams.ts';

const { EIO } = constants.errno;
/** So long a piece of a block waits for the rest of it while nothing comes. Written at once, each would cost a read and two writes. */
const QUIET_MS = 100;

/** What is written with one request. */
interface Piece {
  readonly memory: Chunk;
  /** The memory was handed over to be disposed; otherwise it is used again. */
  readonly given: boolean;
  /** Where in the file its first byte belongs. */
  readonly begin: number;
  /** Bytes it can take, and bytes it has. */
  readonly room: number;
  bytes: number;
  /** Its requests that are under way. */
  open: number;
}

export interface WriteBehindOptions {
  begin: number;
  /** Bytes of a request, a multiple of the file's alignment. */
  requestBytes: number;
  inFlight: number;
  /** Chunks of the pool are given away: they are written as they are, and disposed. */
  takesOver: boolean;
}

type Done = (error?: Error | null) => void;

/**
 * Writes data in order with several requests under way. It gathers what it is given in memory of the context's pool (in ordinary memory
 * where that is exhausted) and takes no more than that has room for. Requests are aligned but at the ends of what is written.
 */
export class WriteBehind {
  readonly #file: AioFile;
  readonly #streams: Streams;
  readonly #options: WriteBehindOptions;
  readonly #onError: (error: Error) => void;
  readonly #unit: number;
  readonly #mostMemory: number;
  #spare: Chunk[] = [];
  #allocated = 0;
  /** What is being gathered, and what waits for its turn. */
  #current: Piece | undefined;
  readonly #ready: Piece[] = [];
  #position: number;
  #inFlight = 0;
  /** What `write` was given, and how many chunks of it and bytes of the next are taken. */
  #chunks: readonly Uint8Array[] = [];
  #takenChunks = 0;
  #takenBytes = 0;
  #done: Done | undefined;
  #whenIdle: (() => void) | undefined;
  #error: Error | undefined;
  #stopped = false;
  #quiet: NodeJS.Timeout | undefined;
  #settling = false;
  /** Bytes that are in the file, and the end of the last of them; 0 where there are none. */
  bytesWritten = 0;
  end = 0;

  constructor(file: AioFile, streams: Streams, options: WriteBehindOptions, onError: (error: Error) => void) {
    this.#file = file;
    this.#streams = streams;
    this.#options = options;
    this.#onError = onError;
    // Whole pages where the page cache is bypassed: what is less goes through it, and the two must not meet in one page.
    this.#unit = file.alignment.offset === 1 ? 1 : Math.max(file.alignment.offset, PAGE_BYTES);
    // One is filled while another is written, even where only one may be in flight.
    this.#mostMemory = Math.max(options.inFlight, 2);
    this.#position = options.begin;
  }

  /** Where in the file the next byte that it is given belongs. */
  get position(): number {
    return this.#position + (this.#current?.bytes ?? 0);
  }

  /** Calls back when all chunks are taken, which are not yet written, or with the error of an earlier write. One call at a time. */
  write(chunks: readonly Uint8Array[], done: Done): void {
    if (this.#error !== undefined) {
      done(this.#error);
      return;
    }
    this.#chunks = chunks;
    this.#takenChunks = 0;
    this.#takenBytes = 0;
    this.#done = done;
    this.#pour();
  }

  /** Writes what is left and calls back when nothing is in flight any more. */
  finish(done: Done): void {
    this.#endQuiet();
    if (this.#error === undefined) this.#submitCurrent();
    this.#onceIdle(() => done(this.#error));
  }

  /** Writes no more, drops what is not in flight, and calls back when nothing is. */
  stop(done: () => void): void {
    this.#stopped = true;
    this.#endQuiet();
    this.#drop();
    // What waits for room is not taken any more.
    const taking = this.#done;
    this.#done = undefined;
    taking?.(streamDestroyed('write'));
    this.#onceIdle(() => {
      for (const memory of this.#spare.splice(0)) memory[Symbol.dispose]();
      done();
    });
  }

  #onceIdle(idle: () => void): void {
    if (this.#inFlight === 0) idle();
    else this.#whenIdle = idle;
  }

  // ---- Gathering -----------------------------------------------------------------------------------------------------------

  /** Takes as much as there is room for. */
  #pour(): void {
    if (this.#done === undefined) return;
    for (; this.#takenChunks < this.#chunks.length; this.#takenChunks++, this.#takenBytes = 0) {
      const chunk = this.#chunks[this.#takenChunks]!;
      if (!(this.#takesWhole(chunk) ? this.#takeOver(chunk as Chunk) : this.#gather(chunk))) return;
    }
    const done = this.#done;
    this.#done = undefined;
    this.#chunks = [];
    this.#settle();
    done();
  }

  /** Whether a chunk can be written where it lies. */
  #takesWhole(chunk: Uint8Array): boolean {
    if (!this.#options.takesOver || this.#takenBytes > 0 || knownLength(chunk) <= 0) return false;
    return this.position % this.#unit === 0 && chunk.byteLength % this.#unit === 0;
  }

  #takeOver(chunk: Chunk): boolean {
    if (this.#inFlight + this.#ready.length >= this.#options.inFlight) return false;
    this.#submitCurrent();
    this.#submit(this.#piece(chunk, chunk.byteLength, chunk.byteLength, true));
    return true;
  }

  /** Copies a chunk as far as there is room. Returns whether all of it is taken. */
  #gather(chunk: Uint8Array): boolean {
    while (this.#takenBytes < chunk.byteLength) {
      this.#current ??= this.#newPiece();
      const piece = this.#current;
      if (piece === undefined) return false;
      const bytes = Math.min(chunk.byteLength - this.#takenBytes, piece.room - piece.bytes);
      piece.memory.set(chunk.subarray(this.#takenBytes, this.#takenBytes + bytes), piece.bytes);
      piece.bytes += bytes;
      this.#takenBytes += bytes;
      if (piece.bytes === piece.room) this.#submitCurrent();
    }
    if (this.#options.takesOver) dispose(chunk);
    return true;
  }

  #newPiece(): Piece | undefined {
    let memory = this.#spare.pop();
    if (memory === undefined) {
      if (this.#allocated === this.#mostMemory) return undefined;
      this.#allocated++;
      memory = allocate(this.#streams.pool, this.#options.requestBytes);
    }
    // From an odd position only to the next block: from there on it is aligned.
    const odd = this.#position % this.#unit;
    return this.#piece(memory, 0, odd === 0 ? this.#options.requestBytes : this.#unit - odd, false);
  }

  #piece(memory: Chunk, bytes: number, room: number, given: boolean): Piece {
    return { memory, given, begin: this.#position, room, bytes, open: 0 };
  }

  /**
   * With nothing in flight what there is goes at once, so that a slow writer's data does not stay in memory: whole blocks in this turn,
   * the rest when nothing came for a while.
   */
  #settle(): void {
    this.#endQuiet();
    if (this.#settling || this.#current === undefined || this.#inFlight > 0) return;
    this.#settling = true;
    setImmediate(() => {
      this.#settling = false;
      if (this.#inFlight === 0 && !this.#stopped) this.#submitBlocks();
    });
  }

  #submitBlocks(): void {
    const piece = this.#current;
    if (piece === undefined || piece.bytes === 0) return;
    const rest = (piece.begin + piece.bytes) % this.#unit;
    if (rest < piece.bytes) {
      const tail = piece.memory.subarray(piece.bytes - rest, piece.bytes);
      piece.bytes -= rest;
      this.#submitCurrent();
      if (rest === 0) return;
      this.#current = this.#newPiece()!;
      this.#current.memory.set(tail);
      this.#current.bytes = rest;
    }
    this.#quiet = setTimeout(() => this.#submitCurrent(), QUIET_MS);
  }

  #endQuiet(): void {
    clearTimeout(this.#quiet);
    this.#quiet = undefined;
  }

  // ---- Writing -------------------------------------------------------------------------------------------------------------

  #submitCurrent(): void {
    const piece = this.#current;
    this.#current = undefined;
    if (piece === undefined) return;
    if (piece.bytes > 0) this.#submit(piece);
    else this.#spare.push(piece.memory);
  }

  #submit(piece: Piece): void {
    this.#position = piece.begin + piece.bytes;
    this.#ready.push(piece);
    this.#sendReady();
  }

  #sendReady(): void {
    const most = this.#streams.writesInTurn ? 1 : this.#options.inFlight;
    while (this.#inFlight < most && this.#ready.length > 0) this.#send(this.#ready.shift()!);
  }

  /** One request; two where the last block is not whole, so that only that one takes the slow way. */
  #send(piece: Piece): void {
    this.#inFlight++;
    const odd = (piece.begin + piece.bytes) % this.#unit;
    const whole = this.#streams.writesInTurn || odd >= piece.bytes ? piece.bytes : piece.bytes - odd;
    this.#sendRange(piece, 0, whole);
    if (whole < piece.bytes) this.#sendRange(piece, whole, piece.bytes);
  }

  #sendRange(piece: Piece, from: number, to: number): void {
    piece.open++;
    const position = piece.begin + from;
    const place = this.#streams.writesInTurn ? null : position;
    this.#file.write(piece.memory, from, to - from, place, (error, bytes) => {
      piece.open--;
      if (error === null) {
        this.bytesWritten += bytes;
        this.end = Math.max(this.end, position + bytes);
      }
      const failure = error ?? (bytes === 0 ? this.#noProgress(position, to - from) : null);
      if (failure !== null) this.#fail(failure);
      else if (from + bytes < to) this.#sendRange(piece, from + bytes, to);
      if (piece.open === 0) this.#finished(piece);
    });
  }

  #noProgress(offset: number, length: number): Error {
    const remedy = 'The kernel took no byte and gave no reason';
    return systemError(-EIO, 'write', { path: this.#file.path, offset, length, remedy });
  }

  #finished(piece: Piece): void {
    this.#inFlight--;
    if (piece.given || this.#stopped) piece.memory[Symbol.dispose]();
    else this.#spare.push(piece.memory);
    this.#sendReady();
    this.#pour();
    if (this.#inFlight > 0) return;
    const idle = this.#whenIdle;
    this.#whenIdle = undefined;
    if (idle === undefined) this.#settle();
    else idle();
  }

  #fail(error: Error): void {
    if (this.#error !== undefined || this.#stopped) return;
    this.#error = error;
    this.#drop();
    const done = this.#done;
    this.#done = undefined;
    if (done !== undefined) done(error);
    else if (this.#whenIdle === undefined) this.#onError(error);
  }

  /** Nothing that is not in flight yet will be written. */
  #drop(): void {
    const pieces = this.#ready.splice(0);
    if (this.#current !== undefined) pieces.push(this.#current);
    this.#current = undefined;
    for (const { memory } of pieces) memory[Symbol.dispose]();
    if (this.#options.takesOver) for (const chunk of this.#chunks) dispose(chunk);
    this.#chunks = [];
  }
}

/** Does nothing for memory that nobody has to give back. */
export function dispose(chunk: object): void {
  (chunk as Partial<Disposable>)[Symbol.dispose]?.();
}
