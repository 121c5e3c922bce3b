import { addAbortSignal, finished, Readable } from 'node:stream';
import { invalidArgValue } from '../errors.ts';
import { checkCount, checkEncoding, checkSignal } from './arguments.ts';
import type { AioFile } from './file.ts';
import { type Chunk, ReadAhead } from './readahead.ts';
import {
  checkEnd,
  checkInFlight,
  checkStart,
  checkStreamOptions,
  READ_BYTES,
  requestBytes,
  type Streaming,
  type Streams,
} from './streams.ts';

/** Options of `file.createReadStream`: those of `FileHandle.createReadStream`, and kaio's own. */
export interface ReadStreamOptions {
  /** Chunks are strings in this encoding; by default Buffers. */
  encoding?: BufferEncoding | null | undefined;
  /** Close the file when the stream ends or fails; default true. Destroying it without an error closes the file in any case, as in Node. */
  autoClose?: boolean | undefined;
  /** Emit `'close'` once the stream is destroyed; default true. */
  emitClose?: boolean | undefined;
  /** First byte of the file to read. By default the file's own position, which then moves on with what the stream gives out. */
  start?: number | undefined;
  /** Last byte of the file to read; default Infinity, the end of the file. */
  end?: number | undefined;
  /** Largest chunk, and bytes of one request, rounded down to the file's alignment; default 256 KiB. */
  highWaterMark?: number | undefined;
  /** Destroys the stream with an AbortError when it aborts. */
  signal?: AbortSignal | undefined;
  /** Requests under way or waiting to be consumed, 1 to 1024; default 8. It takes so many times `highWaterMark` of memory. */
  inFlight?: number | undefined;
  /**
   * Chunks are the memory that the kernel wrote to, without a copy: of the context's pool, or ordinary memory where that is exhausted.
   * Whoever receives a chunk disposes it (`chunk[Symbol.dispose]()`, or `using`), and does not use it afterwards; what nobody has received when
   * the stream is destroyed the stream disposes itself. Chunks are never joined or cut, as in object mode. Default false.
   */
  zeroCopy?: boolean | undefined;
}

/**
 * Reads a file with several requests under way. It has what the stream of `FileHandle.createReadStream` has; `file.createReadStream`
 * makes it.
 */
export class AioReadStream extends Readable implements Streaming {
  /** Bytes that were given out so far. */
  bytesRead = 0;
  /** First byte of the file to read, as it was given. */
  readonly start: number | undefined;
  /** Last byte of the file to read. */
  readonly end: number;
  readonly autoClose: boolean;
  readonly #file: AioFile;
  readonly #streams: Streams;
  readonly #zeroCopy: boolean;
  readonly #chunkBytes: number;
  readonly #inFlight: number;
  #ahead: ReadAhead | undefined;
  /** Chunks that are handed out without a copy and may still lie in the stream's own queue. */
  #queued: Chunk[] = [];
  #left = false;

  /** Use `file.createReadStream`. */
  constructor(file: AioFile, streams: Streams, given?: ReadStreamOptions | null) {
    const options: ReadStreamOptions = checkStreamOptions(given);
    const { highWaterMark = READ_BYTES, autoClose = true, emitClose = true, zeroCopy = false } = options;
    const { encoding, signal, start } = options;
    checkEncoding(encoding);
    checkSignal(signal);
    if (zeroCopy && encoding) throw invalidArgValue('options.encoding', 'cannot be combined with zeroCopy', encoding);
    checkStart(start);
    const end = checkEnd(options.end, start);
    const chunkBytes = Math.max(checkCount('highWaterMark', highWaterMark, MAX, 0), 1);
    const inFlight = checkInFlight(options.inFlight);
    super({
      emitClose,
      autoDestroy: autoClose,
      ...(zeroCopy ? { objectMode: true, highWaterMark: 1 } : { highWaterMark }),
      ...(encoding ? { encoding } : {}),
    });
    this.start = start;
    this.end = end;
    this.autoClose = autoClose;
    this.#file = file;
    this.#streams = streams;
    this.#zeroCopy = zeroCopy;
    this.#chunkBytes = chunkBytes;
    this.#inFlight = inFlight;
    streams.join(this);
    // Otherwise it is destroyed then. Whoever has the file open for long must not have the memory of all its streams.
    if (!autoClose) this.once('end', () => this.#rest());
    // Not by the constructor above: a signal that is aborted already would destroy what is not there yet.
    if (signal !== undefined) addAbortSignal(signal, this);
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

  /** Ends the stream and closes the file; the callback is called when that is done. */
  close(callback?: (error?: NodeJS.ErrnoException | null) => void): void {
    if (callback !== undefined) finished(this, callback);
    this.destroy();
  }

  /** @internal */
  override _construct(callback: (error?: Error | null) => void): void {
    const { start } = this;
    if (start !== undefined) this.#begin(start, callback);
    else this.#streams.position.current().then((position) => this.#begin(position, callback), callback);
  }

  #begin(begin: number, callback: () => void): void {
    this.#ahead = new ReadAhead(this.#file, this.#streams, {
      begin,
      // Without `start` it counts bytes, as in Node.
      end: (this.start === undefined ? begin : 0) + this.end + 1,
      requestBytes: requestBytes(this.#file, this.#chunkBytes),
      inFlight: this.#inFlight,
      handsOut: this.#zeroCopy,
    });
    callback();
  }

  /** @internal */
  override _read(): void {
    const ahead = this.#ahead!;
    ahead.whenReady((error) => {
      if (error !== null) this.destroy(error);
      else if (ahead.available === 0) this.push(null);
      else this.push(this.#take(ahead));
    });
  }

  #take(ahead: ReadAhead): Buffer {
    let chunk: Buffer;
    if (this.#zeroCopy) {
      chunk = ahead.hand();
      // Only the last so many can still be in the stream's queue.
      this.#queued = [...(this.readableLength === 0 ? [] : this.#queued.slice(-this.readableLength)), chunk as Chunk];
    } else {
      chunk = Buffer.allocUnsafeSlow(Math.min(ahead.available, this.#chunkBytes));
      ahead.copy(chunk);
    }
    this.bytesRead += chunk.byteLength;
    if (this.start === undefined) this.#streams.position.moveTo(ahead.position);
    return chunk;
  }

  #rest(): void {
    if (!this.destroyed) this.#ahead?.close(() => this.#streams.rest(this));
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const unread = this.readableLength;
    if (unread > 0) for (const chunk of this.#queued.slice(-unread)) chunk[Symbol.dispose]();
    this.#queued = [];
    const leave = (): void => {
      this.#left = true;
      this.#streams.leave(this);
      // With `autoClose: false` the file outlives an error.
      const closed = error !== null && !this.autoClose ? Promise.resolve() : this.#file.close();
      closed.then(
        () => callback(error),
        (closing: Error) => callback(closing),
      );
    };
    if (this.#ahead === undefined) leave();
    else this.#ahead.close(leave);
  }
}

const MAX = Number.MAX_SAFE_INTEGER;
