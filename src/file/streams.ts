import type { EventEmitter } from 'node:events';
import type { Pool } from '../engine/pool.ts';
import { invalidArgType, outOfRange } from '../errors.ts';
import { checkCount } from './arguments.ts';
import type { AioFile } from './file.ts';
import type { OwnPosition } from './position.ts';
import type { FileSize } from './size.ts';

/** A stream that uses a file's descriptor. */
export interface Streaming {
  /** Ends it: a stream that reads at once, one that writes when everything it was given is written. */
  close(): void;
}

/** Bytes of one request of a stream, unless its `highWaterMark` says otherwise. A direct read has no readahead of the kernel's. */
export const READ_BYTES: number = 256 * 1024;
/** Larger, since each write that extends a file waits for the one before. */
export const WRITE_BYTES: number = 512 * 1024;
/** Requests of a stream in flight, unless `inFlight` says otherwise: twice what it takes to keep an NVMe disk busy with such chunks. */
const DEFAULT_IN_FLIGHT = 8;
const MAX_IN_FLIGHT = 1024;
export const PAGE_BYTES = 4096;
/** So much memory each request of a stream has at most, however large its `highWaterMark` is: one to hold everything is allowed. */
const MOST_REQUEST_BYTES: number = 64 * 1024 * 1024;

/** Forgets a stream that was at its end and that nobody has any more. No closure: one made in `rest` would keep the stream alive. */
const collected = new FinalizationRegistry<{ all: Set<object>; ref: object }>(({ all, ref }) => all.delete(ref));

/** What the streams of one file have in common: what they must know of it, and who they are, so that its close() can end them. */
export class Streams {
  /** Where ordinary chunks lie while the kernel has them, and where chunks come from that are handed out as they are. */
  readonly pool: Pool;
  readonly position: OwnPosition;
  readonly size: FileSize;
  /** A pipe, a socket, a terminal or a file that appends: it knows no positions, so its requests go one after another. */
  readonly readsInTurn: boolean;
  readonly writesInTurn: boolean;
  readonly #open = new Set<Streaming>();
  readonly #resting = new Set<{ deref(): Streaming | undefined }>();
  #whenEmpty: (() => void) | undefined;
  #ended: Promise<void> | undefined;

  constructor(pool: Pool, position: OwnPosition, size: FileSize, readsInTurn: boolean, writesInTurn: boolean) {
    this.pool = pool;
    this.position = position;
    this.size = size;
    this.readsInTurn = readsInTurn;
    this.writesInTurn = writesInTurn;
  }

  /** Whether there is nothing to end. */
  get empty(): boolean {
    return this.#open.size === 0 && this.#resting.size === 0;
  }

  /** A stream begins to use the file. */
  join(stream: Streaming): void {
    this.#open.add(stream);
  }

  /** Nothing of the stream is in flight any more, and nothing more will come. */
  leave(stream: Streaming): void {
    if (this.#open.delete(stream) && this.#open.size === 0) this.#whenEmpty?.();
  }

  /**
   * The same of a stream that is at its end and stays until the file closes. Only who listens for that keeps it alive: a file may have any
   * number of them.
   */
  rest(stream: Streaming & EventEmitter): void {
    if (stream.listenerCount('close') > 0) {
      this.#resting.add({ deref: () => stream });
    } else {
      const ref = new WeakRef(stream);
      this.#resting.add(ref);
      collected.register(stream, { all: this.#resting, ref });
    }
    this.leave(stream);
  }

  /** Ends every stream and resolves when none uses the file any more. A stream that leaves at once closes the file, and so calls this again. */
  end(): Promise<void> {
    if (this.#ended === undefined) {
      this.#ended = new Promise((resolve) => {
        this.#whenEmpty = resolve;
      });
      for (const ref of this.#resting) this.#close(ref.deref());
      for (const stream of this.#open) this.#close(stream);
      if (this.#open.size === 0) this.#whenEmpty?.();
    }
    return this.#ended;
  }

  /** One that cannot be ended must not keep the others and the file open. */
  #close(stream: Streaming | undefined): void {
    try {
      stream?.close();
    } catch (error) {
      process.emitWarning(error as Error);
      this.leave(stream!);
    }
  }
}

/** Bytes of a request for chunks of `highWaterMark` bytes: aligned, and at least a page, from which smaller chunks are cut. */
export function requestBytes(file: AioFile, highWaterMark: number): number {
  const unit = Math.max(file.alignment.offset, PAGE_BYTES);
  const most = Math.min(highWaterMark, MOST_REQUEST_BYTES);
  return Math.max(unit, most - (most % unit));
}

/** The options of a stream; null is as good as none, as for Node's. */
export function checkStreamOptions<T extends object>(options: T | null | undefined): T | Record<string, never> {
  if (options === undefined || options === null) return {};
  checkObject(options);
  return options;
}

export function checkObject(options: unknown): void {
  if (typeof options !== 'object' || options === null) throw invalidArgType('options', 'of type object', options);
}

/** The option `inFlight`. */
export function checkInFlight(value: unknown): number {
  const count = checkCount('inFlight', value, MAX_IN_FLIGHT, DEFAULT_IN_FLIGHT);
  if (count < 1) throw outOfRange('inFlight', `>= 1 && <= ${MAX_IN_FLIGHT}`, value);
  return count;
}

/** The option `start`, a first byte. */
export function checkStart(start: unknown): void {
  if (start === null) throw invalidArgType('start', 'of type number', start);
  checkCount('start', start, Number.MAX_SAFE_INTEGER, 0);
}

/** The option `end`, a last byte. */
export function checkEnd(end: number | undefined, start = 0): number {
  if (end === undefined || end === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  if (end === null) throw invalidArgType('end', 'of type number', end);
  checkCount('end', end, Number.MAX_SAFE_INTEGER, 0);
  if (start > end) throw outOfRange('start', `<= "end" (here: ${end})`, start);
  return end;
}
