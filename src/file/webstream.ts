import type { ReadableByteStreamController, UnderlyingByteSource, ReadableStream as WebStream } from 'node:stream/web';
import { checkCount } from './arguments.ts';
import type { AioFile } from './file.ts';
import { ReadAhead } from './readahead.ts';
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

/** Options of `file.readableWebStream`. */
export interface WebStreamOptions {
  /** As Node has it; the stream is one of bytes whatever is said. */
  type?: 'bytes' | undefined;
  /** Close the file when the stream ends, fails or is cancelled; default false. */
  autoClose?: boolean | undefined;
  /** First byte of the file to read; by default the file's own position, which then moves on. */
  start?: number | undefined;
  /** Last byte of the file to read; default Infinity, the end of the file. */
  end?: number | undefined;
  /** Largest chunk for a reader without memory of its own, and bytes of one request; default 256 KiB. */
  highWaterMark?: number | undefined;
  /** Requests under way or waiting to be consumed, 1 to 1024; default 8. */
  inFlight?: number | undefined;
}

/** A web stream of a file's bytes. A reader may bring its own memory (BYOB): the bytes are then copied there, and nowhere else. */
export function webStream(file: AioFile, streams: Streams, options?: WebStreamOptions | null): WebStream<Uint8Array> {
  const source = new FileSource(file, streams, checkStreamOptions(options));
  streams.join(source);
  // The global one is loaded when it is used; an import would load it at once.
  return new ReadableStream(source) as WebStream<Uint8Array>;
}

const MAX = Number.MAX_SAFE_INTEGER;

class FileSource implements UnderlyingByteSource, Streaming {
  readonly type = 'bytes';
  readonly #file: AioFile;
  readonly #streams: Streams;
  readonly #start: number | undefined;
  readonly #end: number;
  readonly #chunkBytes: number;
  readonly #inFlight: number;
  readonly #autoClose: boolean;
  #controller!: ReadableByteStreamController;
  #ahead: ReadAhead | undefined;
  /** Resolves the pull that waits for bytes. */
  #pulled: (() => void) | undefined;
  #over = false;

  constructor(file: AioFile, streams: Streams, options: WebStreamOptions) {
    const { start, autoClose = false } = options;
    checkStart(start);
    this.#file = file;
    this.#streams = streams;
    this.#start = start;
    this.#end = checkEnd(options.end, start);
    this.#chunkBytes = Math.max(checkCount('options.highWaterMark', options.highWaterMark, MAX, READ_BYTES), 1);
    this.#inFlight = checkInFlight(options.inFlight);
    this.#autoClose = autoClose;
  }

  start(controller: ReadableByteStreamController): void {
    this.#controller = controller;
  }

  async pull(): Promise<void> {
    try {
      if (this.#ahead === undefined) {
        const begin = this.#start ?? (await this.#streams.position.current());
        // Where it was cancelled meanwhile nobody would close what begins to read now.
        if (this.#over) return;
        this.#ahead = this.#readFrom(begin);
      }
      await this.#ready(this.#ahead);
      if (!this.#over) this.#give(this.#ahead);
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  cancel(): Promise<void> {
    return this.#leave();
  }

  /** The file is being closed: readers get to the end, and an error where they have a part of an element. */
  close(): void {
    try {
      this.#finish();
    } catch (error) {
      this.#controller.error(error);
    }
    this.#leave().catch(() => {});
  }

  #readFrom(begin: number): ReadAhead {
    return new ReadAhead(this.#file, this.#streams, {
      begin,
      end: (this.#start === undefined ? begin : 0) + this.#end + 1,
      requestBytes: requestBytes(this.#file, this.#chunkBytes),
      inFlight: this.#inFlight,
      handsOut: false,
    });
  }

  #ready(ahead: ReadAhead): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pulled = resolve;
      ahead.whenReady((error) => (error === null ? resolve() : reject(error)));
    });
  }

  #give(ahead: ReadAhead): void {
    if (ahead.available === 0) {
      this.#finish();
      this.#leave().catch((error: Error) => process.emitWarning(error));
      return;
    }
    const request = this.#controller.byobRequest;
    if (request?.view) {
      const { buffer, byteOffset, byteLength } = request.view;
      request.respond(ahead.copy(new Uint8Array(buffer, byteOffset, byteLength)));
    } else {
      const chunk = Buffer.allocUnsafeSlow(Math.min(ahead.available, this.#chunkBytes));
      ahead.copy(chunk);
      this.#controller.enqueue(chunk);
    }
    if (this.#start === undefined) this.#streams.position.moveTo(ahead.position);
  }

  /** A reader that waits with memory of its own gets that back. */
  #finish(): void {
    if (this.#over) return;
    this.#controller.close();
    this.#controller.byobRequest?.respond(0);
  }

  async #leave(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#pulled?.();
    await new Promise<void>((resolve) => (this.#ahead === undefined ? resolve() : this.#ahead.close(resolve)));
    this.#streams.leave(this);
    if (this.#autoClose) await this.#file.close();
  }
}
