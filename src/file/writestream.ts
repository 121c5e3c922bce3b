import { addAbortSignal, Writable } from 'node:stream';
import { invalidArgType } from '../errors.ts';
import { checkCount, checkEncoding, checkSignal } from './arguments.ts';
import type { AioFile } from './file.ts';
import type { Reservation } from './size.ts';
import {
  checkInFlight,
  checkStart,
  checkStreamOptions,
  requestBytes,
  type Streaming,
  type Streams,
  WRITE_BYTES,
} from './streams.ts';
import { dispose, WriteBehind } from './writebehind.ts';

/** Options of `file.createWriteStream`: those of `FileHandle.createWriteStream`, and kaio's own. */
export interface WriteStreamOptions {
  /** Encoding of strings; default `'utf8'`. */
  encoding?: BufferEncoding | null | undefined;
  /** Close the file when the stream is finished or fails; default true. Destroying it without an error closes the file in any case, as in Node. */
  autoClose?: boolean | undefined;
  /** Emit `'close'` once the stream is destroyed; default true. */
  emitClose?: boolean | undefined;
  /** Where in the file to begin, in bytes. By default at the file's own position, which then moves on; a file that appends, at its end. */
  start?: number | undefined;
  /** `write` returns false from so many waiting bytes on; also bytes of one request, rounded down to the file's alignment; default 512 KiB. */
  highWaterMark?: number | undefined;
  /** Makes everything durable (`file.sync`) before `'finish'`; default false. */
  flush?: boolean | undefined;
  /** Destroys the stream with an AbortError when it aborts. */
  signal?: AbortSignal | undefined;
  /** Requests under way or being filled, 1 to 1024; default 8. It takes so many times `highWaterMark` of memory, at least twice. */
  inFlight?: number | undefined;
  /**
   * Takes chunks of `context.allocate` (or of a read stream with `zeroCopy`) over: writes them as they are where they are whole blocks, and
   * disposes them when they are written. Default false: what is written is copied, and yours again when `write` has called back.
   */
  zeroCopy?: boolean | undefined;
  /**
   * Bytes that will be written, if you know: reserved beforehand (`file.preallocate`). Without it each write extends the file, and the kernel
   * does one at a time. Where fewer came the rest is cut off at the end, also where the stream fails, unless the file has meanwhile got
   * another size than the reservation gave it; never below `start`. What others write into the part that this stream does not use is cut off with it. Only
   * `context.close()`, which ends no stream, leaves all of it: close the file before.
   */
  preallocate?: number | undefined;
}

/** Is called when a stream has taken a chunk over, or with what became of it. */
export type Taken = (error: Error | null | undefined) => void;

/**
 * Writes a file with several requests under way. It has what the stream of `FileHandle.createWriteStream` has; `file.createWriteStream`
 * makes it. The callback of `write` says that data is taken, `'finish'` that all of it is in the file.
 */
export class AioWriteStream extends Writable implements Streaming {
  /** Where in the file to begin, as it was given. */
  readonly start: number | undefined;
  readonly autoClose: boolean;
  readonly flush: boolean;
  readonly #file: AioFile;
  readonly #streams: Streams;
  readonly #preallocate: number;
  readonly #zeroCopy: boolean;
  readonly #inFlight: number;
  readonly #chunkBytes: number;
  #behind: WriteBehind | undefined;
  #reserved: Reservation | undefined;
  /** Chunks that were given away and that nobody has disposed yet, as far as we know. */
  readonly #given = new Set<object>();
  /** Nothing will be written any more, so that nobody else would dispose what is given now. */
  #over = false;
  #closing = false;
  #left = false;

  /** Use `file.createWriteStream`. */
  constructor(file: AioFile, streams: Streams, given?: WriteStreamOptions | null) {
    const options: WriteStreamOptions = checkStreamOptions(given);
    const { highWaterMark = WRITE_BYTES, autoClose = true, emitClose = true } = options;
    const flush = options.flush ?? false;
    const { encoding, signal, start, zeroCopy = false, preallocate } = options;
    checkEncoding(encoding);
    checkSignal(signal);
    checkStart(start);
    const reserved = checkCount('preallocate', preallocate, MAX - (start ?? 0), 0);
    if (typeof flush !== 'boolean') throw invalidArgType('options.flush', 'of type boolean', flush);
    const chunkBytes = Math.max(checkCount('highWaterMark', highWaterMark, MAX, 0), 1);
    const inFlight = checkInFlight(options.inFlight);
    super({
      highWaterMark,
      emitClose,
      autoDestroy: autoClose,
      ...(encoding ? { defaultEncoding: encoding } : {}),
    });
    this.start = start;
    this.autoClose = autoClose;
    this.flush = flush;
    this.#file = file;
    this.#streams = streams;
    this.#preallocate = reserved;
    this.#zeroCopy = zeroCopy === true;
    this.#inFlight = inFlight;
    this.#chunkBytes = chunkBytes;
    streams.join(this);
    // Otherwise it is destroyed then. Whoever has the file open for long must not have the memory of all its streams.
    if (!autoClose) this.once('finish', () => this.#rest());
    // Not by the constructor above: a signal that is aborted already would destroy what is not there yet.
    if (signal !== undefined) addAbortSignal(signal, this);
  }

  /** Bytes that are in the file so far. */
  get bytesWritten(): number {
    return this.#behind?.bytesWritten ?? 0;
  }

  /** The path that the file was opened with. */
  get path(): string | undefined {
    return this.#file.path;
  }

  /** The file's descriptor; null once the stream has let go of it. */
  get fd(): number | null {
    return this.#left ? null : this.#file.fd;
  }

  /** Whether there is no descriptor: false until the stream is closed. */
  get pending(): boolean {
    return this.fd === null;
  }

  /** Writes what it was given, ends the stream and closes the file; the callback is called when that is done. */
  close(callback?: () => void): void {
    if (callback !== undefined) {
      if (this.closed) process.nextTick(callback);
      else this.once('close', callback);
    }
    this.#closing = true;
    if (this.writableFinished || this.errored) this.destroy();
    else this.once('finish', () => this.destroy()).end();
  }

  /** @internal */
  override _construct(callback: (error?: Error | null) => void): void {
    this.#begin().then(
      () => callback(),
      (error) => this.#report(error, callback),
    );
  }

  async #begin(): Promise<void> {
    const begin = this.start ?? (this.#streams.writesInTurn ? 0 : await this.#streams.position.current());
    if (this.#preallocate > 0 && !this.#streams.writesInTurn) await this.#reserve(begin, this.#preallocate);
    const options = {
      begin,
      requestBytes: requestBytes(this.#file, this.#chunkBytes),
      inFlight: this.#inFlight,
      takesOver: this.#zeroCopy,
    };
    this.#behind = new WriteBehind(this.#file, this.#streams, options, (error) => this.destroy(error));
  }

  async #reserve(begin: number, bytes: number): Promise<void> {
    try {
      this.#reserved = await this.#streams.size.reserve(begin, bytes);
    } catch (error) {
      // Without it writing is only slower.
      if ((error as NodeJS.ErrnoException).code !== 'ENOTSUP') throw error;
    }
  }

  /** As of every Writable; with `zeroCopy` the chunk belongs to the stream from now on. It calls back when the chunk is taken over. */
  override write(chunk: unknown, callback?: Taken): boolean;
  /** As of every Writable; with `zeroCopy` the chunk belongs to the stream from now on. It calls back when the chunk is taken over. */
  override write(chunk: unknown, encoding: BufferEncoding, callback?: Taken): boolean;
  override write(...args: unknown[]): boolean {
    this.#remember(args[0]);
    return super.write(...(args as [unknown]));
  }

  /** As of every Writable: a last chunk, if one is given, and then the end. */
  override end(callback?: () => void): this;
  /** As of every Writable: a last chunk, if one is given, and then the end. */
  override end(chunk: unknown, callback?: () => void): this;
  /** As of every Writable: a last chunk, if one is given, and then the end. */
  override end(chunk: unknown, encoding: BufferEncoding, callback?: () => void): this;
  override end(...args: unknown[]): this {
    this.#remember(args[0]);
    return super.end(...(args as [unknown]));
  }

  /** Only what can be disposed: other chunks come to be written as another object, and would stay for good. */
  #remember(chunk: unknown): void {
    if (!this.#zeroCopy || typeof chunk !== 'object' || chunk === null) return;
    if (this.#over) dispose(chunk);
    else if (Symbol.dispose in chunk) this.#given.add(chunk);
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#take([chunk], callback);
  }

  /** @internal */
  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      callback,
    );
  }

  #take(chunks: Buffer[], callback: (error?: Error | null) => void): void {
    const behind = this.#behind!;
    behind.write(chunks, (error) => {
      for (const chunk of chunks) this.#given.delete(chunk);
      // Where it is taken in turn the writes themselves move it.
      if (this.start === undefined && !this.#streams.writesInTurn) this.#streams.position.moveTo(behind.position);
      this.#report(error, callback);
    });
  }

  /** @internal */
  override _final(callback: (error?: Error | null) => void): void {
    this.#behind!.finish((error) => {
      if (error) this.#report(error, callback);
      else
        this.#complete().then(
          () => callback(),
          (failure) => this.#report(failure, callback),
        );
    });
  }

  /** With `autoClose: false` an error does not destroy the stream; one that is being closed must not stay for ever, though. */
  #report(error: Error | null | undefined, callback: (error?: Error | null) => void): void {
    // Before the callback, which may destroy the stream: that waits for the same.
    if (error && !this.autoClose && !this.destroyed) this.#giveBack(() => {});
    callback(error);
    if (error && this.#closing) process.nextTick(() => this.destroy());
  }

  async #complete(): Promise<void> {
    await this.#cutOff();
    if (this.flush) await this.#file.sync();
  }

  /** Takes back what was reserved and not written. */
  async #cutOff(): Promise<void> {
    const reserved = this.#reserved;
    this.#reserved = undefined;
    if (reserved !== undefined) await this.#streams.size.giveBack(reserved, this.#behind!.end);
  }

  /** With `autoClose: false` the file outlives an error. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#leave(error !== null && !this.autoClose).then(
      () => callback(error),
      (closing: Error) => callback(error ?? closing),
    );
  }

  /** Gives back all memory once nothing is in flight. */
  #giveBack(done: () => void): void {
    const stopped = (): void => {
      this.#over = true;
      for (const chunk of this.#given) dispose(chunk);
      this.#given.clear();
      done();
    };
    if (this.#behind === undefined) stopped();
    else this.#behind.stop(stopped);
  }

  #rest(): void {
    if (!this.destroyed) this.#giveBack(() => this.#streams.rest(this));
  }

  async #leave(keepsOpen: boolean): Promise<void> {
    await new Promise<void>((resolve) => this.#giveBack(resolve));
    try {
      await this.#cutOff();
    } finally {
      this.#left = true;
      this.#streams.leave(this);
      if (!keepsOpen) await this.#file.close();
    }
  }
}

const MAX = Number.MAX_SAFE_INTEGER;
