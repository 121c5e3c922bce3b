import { EventEmitter } from 'node:events';
import {
  type BigIntStats,
  fstat as fstatCallback,
  ftruncate as ftruncateCallback,
  type StatOptions,
  type Stats,
} from 'node:fs';
import { constants } from 'node:os';
import { promisify } from 'node:util';
import type { Engine, RequestOptions } from '../engine/engine.ts';
import { knownLength } from '../engine/pool.ts';
import type { Callback, Shape } from '../engine/request.ts';
import type { Target } from '../engine/target.ts';
import { abortError, aioError, type CodedError, invalidArgType, invalidArgValue, systemError } from '../errors.ts';
import { IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../layout/constants.ts';
import { binding } from '../raw/binding.ts';
import { checkCount, checkOptions, checkPosition, checkView, checkViews, VIEWS } from './arguments.ts';
import type { AioContext } from './context.ts';
import { forget, watchForDrop } from './dropped.ts';
import type { Handle } from './handle.ts';
import { inspectAs } from './inspect.ts';
import type { Nature } from './storage.ts';

const { EISDIR } = constants.errno;
const fstat = promisify(fstatCallback) as (fd: number, options?: StatOptions) => Promise<Stats | BigIntStats>;
const ftruncate = promisify(ftruncateCallback);

export interface ReadResult<T extends NodeJS.ArrayBufferView> {
  /** Bytes that were read: 0 at the end of the file. */
  bytesRead: number;
  /** The buffer that was given. */
  buffer: T;
}

export interface WriteResult<T> {
  /** Bytes that were written: fewer than asked for where the kernel took no more, as with write(2). */
  bytesWritten: number;
  /** What was given. */
  buffer: T;
}

export interface ReadVResult<T extends readonly NodeJS.ArrayBufferView[]> {
  /** Bytes that were read into all of them together: 0 at the end of the file. */
  bytesRead: number;
  /** The buffers that were given. */
  buffers: T;
}

export interface WriteVResult<T extends readonly NodeJS.ArrayBufferView[]> {
  /** Bytes that were written from all of them together. */
  bytesWritten: number;
  /** The buffers that were given. */
  buffers: T;
}

/** The arguments of a read by name, and what the request asks for. */
export interface ReadOptions<T extends NodeJS.ArrayBufferView = NodeJS.ArrayBufferView> extends RequestOptions {
  /** Where the data goes; by default a new buffer of 16384 bytes. */
  buffer?: T;
  /** First byte of the buffer to use; default 0. */
  offset?: number;
  /** Bytes; default all from `offset` on. */
  length?: number;
  /** First byte of the file; by default the file's own position, which then moves on. */
  position?: number | bigint | null;
}

/** The arguments of a write by name, and what the request asks for. */
export interface WriteOptions extends RequestOptions {
  /** First byte of the buffer to write; default 0. */
  offset?: number;
  /** Bytes; default all from `offset` on. */
  length?: number;
  /** First byte of the file; by default the file's own position, which then moves on. */
  position?: number | null;
}

/** Makes the request once it is known where. */
type Start = (place: number, shape: Shape, callback: Callback | undefined) => Promise<unknown> | undefined;
type Position = number | bigint | null | undefined;
type ReadCallback<T> = (error: Error | null, bytesRead: number, buffer: T) => void;
type WriteCallback<T> = (error: Error | null, bytesWritten: number, buffer: T) => void;

const countShape = (bytes: number): unknown => bytes;
const readShape = (bytesRead: number, buffer: unknown): unknown => ({ bytesRead, buffer });
const writeShape = (bytesWritten: number, buffer: unknown): unknown => ({ bytesWritten, buffer });
const readVShape = (bytesRead: number, buffers: unknown): unknown => ({ bytesRead, buffers });
const writeVShape = (bytesWritten: number, buffers: unknown): unknown => ({ bytesWritten, buffers });
const voidShape = (): unknown => undefined;

/**
 * An open file whose reads and writes the kernel does asynchronously. `open` and `context.open` make them; `close` ends them.
 *
 * Memory: a buffer belongs to the kernel from the call until the promise is settled by its event. Buffers of `context.allocate` go to
 * the device without a copy; others are copied through the context's memory. An aborted request still owns its buffer until its event.
 *
 * Errors: what the kernel answers rejects with a system error as Node's (`code`, negative `errno`, `syscall`, `path`, and `offset` and
 * `length` of the request); a wrong argument with Node's own `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` and `ERR_OUT_OF_RANGE`; a file
 * that is closed or closing with EBADF. docs/errors.md has them all.
 *
 * Order: requests in flight together have none. Await one before the next where it matters; `sync` and `datasync` wait for the writes
 * requested earlier, and requests at the file's own position and appends go one after another.
 *
 * It emits `'close'` when it is closed.
 */
export class AioFile extends EventEmitter implements AsyncDisposable {
  /** Whether reads and writes bypass the page cache: what the kernel says of this file, not which flag was passed. */
  readonly direct: boolean;
  /** What direct I/O needs, in bytes: addresses are multiples of `memory`, offsets and lengths multiples of `offset`. 1 without it. */
  readonly alignment: { readonly memory: number; readonly offset: number };
  /** The context it belongs to, whose `allocate` has the memory for its requests. */
  readonly context: AioContext;
  readonly #engine: Engine;
  readonly #target: Target;
  readonly #handle: Handle;
  readonly #nature: Nature;
  /** The file's own position, and the last request that uses it. */
  #position = 0;
  #turn: Promise<void> = Promise.resolve();

  /** Use `open` or `context.open`. */
  constructor(context: AioContext, handle: Handle, nature: Nature) {
    super();
    this.context = context;
    this.#handle = handle;
    this.#engine = handle.engine;
    this.#target = handle.target;
    this.#nature = nature;
    this.direct = nature.direct;
    this.alignment = Object.freeze({ ...nature.alignment });
    const self = new WeakRef(this);
    handle.onClosed = () => {
      const file = self.deref();
      if (file === undefined) return;
      forget(file);
      file.emit('close');
    };
    watchForDrop(this, `An AioFile of ${this.path ?? `descriptor ${this.fd}`}`, () => handle.close());
  }

  /** The descriptor; -1 once the file is closed. */
  get fd(): number {
    return this.#handle.closed ? -1 : this.#target.fd;
  }

  /** Whether it is idle, has requests that are not finished, is closing, or is closed. */
  get state(): 'idle' | 'busy' | 'closing' | 'closed' {
    if (this.#handle.closed) return 'closed';
    if (this.#handle.closing) return 'closing';
    return this.#target.open > 0 ? 'busy' : 'idle';
  }

  /** The path it was opened with; undefined where the descriptor was attached. */
  get path(): string | undefined {
    return this.#target.path;
  }

  /**
   * Reads into `buffer`, which belongs to the request until it is settled, or, if it is aborted, until its event. The data may be short, as
   * read(2)'s: at the end of the file, or before a block that cannot be read.
   *
   * @param buffer A Buffer, TypedArray or DataView; best one of `context.allocate`.
   * @param offset First byte of the buffer to fill, 0 by default.
   * @param length Bytes, by default all from `offset` on.
   * @param position First byte of the file; null or -1 (default) for the file's own position, which then moves on. Such requests go
   * one after another.
   * @param callback Instead of a promise: the fast path. It is called with (error), or (null, bytesRead, buffer).
   * @throws (rejects) the system error of the kernel; `ERR_AIO_MISALIGNED` where direct I/O cannot take position or length;
   * `ERR_AIO_BUFFER_BUSY` and `ERR_AIO_BUFFER_DISPOSED` for memory of the context; `ERR_AIO_WOULD_BLOCK` for a pipe, socket or terminal.
   */
  read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: Position,
  ): Promise<ReadResult<T>>;
  read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset: number | null | undefined,
    length: number | null | undefined,
    position: Position,
    callback: ReadCallback<T>,
  ): void;
  read<T extends NodeJS.ArrayBufferView>(buffer: T, options: ReadOptions): Promise<ReadResult<T>>;
  read<T extends NodeJS.ArrayBufferView>(buffer: T, options: ReadOptions, callback: ReadCallback<T>): void;
  read<T extends NodeJS.ArrayBufferView = Buffer>(options?: ReadOptions<T>): Promise<ReadResult<T>>;
  read<T extends NodeJS.ArrayBufferView = Buffer>(options: ReadOptions<T>, callback: ReadCallback<T>): void;
  read(
    bufferOrOptions?: unknown,
    offsetOrOptions?: unknown,
    lengthOrCallback?: unknown,
    position?: unknown,
    callback?: unknown,
  ): Promise<unknown> | undefined {
    if (this.#isPlain(bufferOrOptions, offsetOrOptions, lengthOrCallback, position, callback)) {
      return this.#plain(
        IOCB_CMD_PREAD,
        bufferOrOptions,
        offsetOrOptions,
        lengthOrCallback,
        position,
        readShape,
        callback,
      );
    }
    const whole = bufferOrOptions === undefined || bufferOrOptions === null || isOptions(bufferOrOptions);
    const options = (whole ? (bufferOrOptions ?? {}) : isOptions(offsetOrOptions) ? offsetOrOptions : undefined) as
      | ReadOptions
      | undefined;
    const last = whole ? offsetOrOptions : options === undefined ? callback : lengthOrCallback;
    // Numbers after no buffer at all are a forgotten buffer, not a wrong callback.
    const done = (whole && typeof last !== 'function' ? undefined : last) as Callback | undefined;
    return this.#attempt(done, () => {
      if (whole && typeof last === 'number') throw invalidArgType('buffer', VIEWS, bufferOrOptions);
      const buffer = whole ? (options?.buffer ?? Buffer.alloc(16384)) : bufferOrOptions;
      return options === undefined
        ? this.#transfer(IOCB_CMD_PREAD, buffer, offsetOrOptions, lengthOrCallback, position, undefined, done)
        : this.#transfer(IOCB_CMD_PREAD, buffer, options.offset, options.length, options.position, options, done);
    });
  }

  /**
   * Writes from `buffer`, or a string in an encoding (default utf8). The result may be short, as write(2)'s: `bytesWritten` says. Do not
   * change the buffer before the request is settled: what is written then is undefined. When it completes, the data is in the file, but
   * durable only after {@link datasync}, or with the option `dsync`.
   *
   * @param buffer A Buffer, TypedArray or DataView; best one of `context.allocate`. Several writes may share it.
   * @param offset First byte of the buffer to write, 0 by default.
   * @param length Bytes, by default all from `offset` on.
   * @param position First byte of the file; null (default) for the file's own position, which then moves on. A file opened for
   * appending writes at its end whatever is given, one request after another.
   * @param callback Instead of a promise: the fast path. It is called with (error), or (null, bytesWritten, buffer).
   * @throws (rejects) as {@link read}; ENOSPC, EDQUOT, EFBIG.
   */
  write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: Position,
  ): Promise<WriteResult<T>>;
  write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset: number | null | undefined,
    length: number | null | undefined,
    position: Position,
    callback: WriteCallback<T>,
  ): void;
  write<T extends NodeJS.ArrayBufferView>(buffer: T, options: WriteOptions): Promise<WriteResult<T>>;
  write<T extends NodeJS.ArrayBufferView>(buffer: T, options: WriteOptions, callback: WriteCallback<T>): void;
  write(text: string, position?: number | null, encoding?: BufferEncoding | null): Promise<WriteResult<string>>;
  write(
    data: unknown,
    offsetOrOptions?: unknown,
    lengthOrCallback?: unknown,
    position?: unknown,
    callback?: unknown,
  ): Promise<unknown> | undefined {
    if (!this.#target.append && this.#isPlain(data, offsetOrOptions, lengthOrCallback, position, callback)) {
      return this.#plain(IOCB_CMD_PWRITE, data, offsetOrOptions, lengthOrCallback, position, writeShape, callback);
    }
    if (typeof data === 'string') return this.#writeText(data, offsetOrOptions, lengthOrCallback);
    const options = isOptions(offsetOrOptions) ? (offsetOrOptions as WriteOptions) : undefined;
    const done = (options === undefined ? callback : lengthOrCallback) as Callback | undefined;
    return this.#attempt(done, () =>
      options === undefined
        ? this.#transfer(IOCB_CMD_PWRITE, data, offsetOrOptions, lengthOrCallback, position, undefined, done)
        : this.#transfer(IOCB_CMD_PWRITE, data, options.offset, options.length, options.position, options, done),
    );
  }

  /**
   * Reads into several buffers, one after another (preadv(2)). Up to 8 buffers of `context.allocate` of together up to 512 KiB go to the
   * kernel as they are; others are copied. Ownership and errors are those of {@link read}.
   *
   * @param position First byte of the file; null (default) for the file's own position.
   */
  readv<T extends readonly NodeJS.ArrayBufferView[]>(buffers: T, position?: Position): Promise<ReadVResult<T>>;
  readv<T extends readonly NodeJS.ArrayBufferView[]>(
    buffers: T,
    position: Position,
    options: RequestOptions,
  ): Promise<ReadVResult<T>>;
  readv<T extends readonly NodeJS.ArrayBufferView[]>(buffers: T, position: Position, callback: ReadCallback<T>): void;
  readv(buffers: unknown, position?: unknown, rest?: unknown): Promise<unknown> | undefined {
    return this.#vectored(IOCB_CMD_PREAD, buffers, position, rest);
  }

  /**
   * Writes from several buffers, one after another (pwritev(2)). What is said of {@link readv} and {@link write} holds here.
   *
   * @param position First byte of the file; null (default) for the file's own position.
   */
  writev<T extends readonly NodeJS.ArrayBufferView[]>(buffers: T, position?: Position): Promise<WriteVResult<T>>;
  writev<T extends readonly NodeJS.ArrayBufferView[]>(
    buffers: T,
    position: Position,
    options: RequestOptions,
  ): Promise<WriteVResult<T>>;
  writev<T extends readonly NodeJS.ArrayBufferView[]>(buffers: T, position: Position, callback: WriteCallback<T>): void;
  writev(buffers: unknown, position?: unknown, rest?: unknown): Promise<unknown> | undefined {
    return this.#vectored(IOCB_CMD_PWRITE, buffers, position, rest);
  }

  /**
   * Makes everything durable that was written before this call (fsync(2)): it waits for the writes requested earlier on this AioFile. Its
   * failure (EIO, ENOSPC) is final: the kernel says so once, and what was written since the last good sync is in doubt.
   */
  sync(options?: RequestOptions): Promise<void>;
  sync(callback: (error: Error | null) => void): void;
  sync(options: RequestOptions, callback: (error: Error | null) => void): void;
  sync(options?: unknown, callback?: unknown): Promise<void> | undefined {
    return this.#command(IOCB_CMD_FSYNC, 'fsync', options, callback);
  }

  /** As {@link sync}, without metadata that reading the data does not need (fdatasync(2)). */
  datasync(options?: RequestOptions): Promise<void>;
  datasync(callback: (error: Error | null) => void): void;
  datasync(options: RequestOptions, callback: (error: Error | null) => void): void;
  datasync(options?: unknown, callback?: unknown): Promise<void> | undefined {
    return this.#command(IOCB_CMD_FDSYNC, 'fdatasync', options, callback);
  }

  /** What fstat(2) says of the file now; writes in flight may not count yet. Options and errors are those of `FileHandle.stat`. */
  stat(options: StatOptions & { bigint: true }): Promise<BigIntStats>;
  stat(options?: StatOptions): Promise<Stats>;
  async stat(options?: StatOptions): Promise<Stats | BigIntStats> {
    this.#open('fstat');
    return await this.#handle.with((fd) => fstat(fd, options));
  }

  /**
   * Cuts the file off at `length` bytes (default 0), or extends it with zeros. It waits for all requests made earlier on this AioFile.
   *
   * @throws (rejects) the system error of ftruncate(2): EINVAL where it is not open for writing or no regular file, EFBIG.
   */
  async truncate(length = 0): Promise<void> {
    // null would empty the file by mistake; a negative length is 0, as Node has it.
    if (typeof length !== 'number') throw invalidArgType('len', 'of type number', length);
    const bytes = checkCount('len', Math.max(length, 0), Number.MAX_SAFE_INTEGER, 0);
    this.#open('ftruncate');
    await this.#exclusively(async (fd) => {
      await ftruncate(fd, bytes);
      this.#target.size = bytes;
    });
  }

  /**
   * Reserves space (fallocate(2)) for `length` bytes from `offset` on, and extends the file to there: on ext4 and xfs this is what makes
   * later writes truly asynchronous. What was not written reads as zeros. It waits for all requests made earlier on this AioFile.
   *
   * @param offset First byte, in bytes from 0 on.
   * @param length Bytes, at least 1.
   * @throws (rejects) the system error of fallocate(2): ENOSPC, EFBIG, EINVAL, EBADF, ENODEV, and ENOTSUP where the file system has none.
   */
  async preallocate(offset: number, length: number): Promise<void> {
    const from = checkCount('offset', offset, Number.MAX_SAFE_INTEGER, 0);
    const bytes = checkCount('length', length, Number.MAX_SAFE_INTEGER - from, 0);
    this.#open('fallocate');
    await this.#exclusively(async (fd) => {
      const result = await binding().fallocate(fd, 0, from, bytes);
      if (result < 0) throw systemError(result, 'fallocate', { path: this.#target.path, offset: from, length: bytes });
      if (from + bytes > this.#target.size) this.#target.size = from + bytes;
    });
  }

  /** Resolves when nothing of this file is queued or in flight, aborted requests included. */
  drain(): Promise<void> {
    return this.#handle.drain();
  }

  /**
   * Refuses new requests, waits for those that were made, and closes the descriptor: one that is used again can never receive an old
   * write. An attached descriptor stays open. Safe to call again.
   *
   * @throws (rejects) the system error of close(2); the descriptor is gone all the same.
   */
  close(): Promise<void> {
    return this.#handle.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- One request ---------------------------------------------------------------------------------------------------------

  /**
   * Whether a request is of the kind that storage engines make by the million: a buffer of `allocate`, and numbers that are right. Then
   * nothing can fail before the engine has it, and it goes there without further ado. All others take the way that explains mistakes.
   */
  #isPlain(buffer: unknown, offset: unknown, length: unknown, position: unknown, callback: unknown): boolean {
    if (typeof buffer !== 'object' || buffer === null) return false;
    if (typeof offset !== 'number' || typeof length !== 'number' || typeof position !== 'number') return false;
    if (offset < 0 || length <= 0 || offset + length > knownLength(buffer)) return false;
    if ((offset | 0) !== offset || (length | 0) !== length) return false;
    if (position < 0 || !Number.isSafeInteger(position + length)) return false;
    const unit = this.alignment.offset;
    if (unit !== 1 && (position % unit !== 0 || length % unit !== 0)) return false;
    return (
      !this.#handle.closing &&
      this.#nature.kind !== 'stream' &&
      (callback === undefined || typeof callback === 'function')
    );
  }

  #plain(
    op: number,
    buffer: unknown,
    offset: unknown,
    length: unknown,
    position: unknown,
    shape: Shape,
    callback: unknown,
  ): Promise<unknown> | undefined {
    return this.#engine.transfer(
      op,
      this.#target,
      buffer as Uint8Array,
      offset as number,
      length as number,
      position as number,
      undefined,
      shape,
      buffer,
      callback as Callback | undefined,
    );
  }

  /** Runs what may throw; what it throws goes where the result would have gone. */
  #attempt<T>(callback: Callback | undefined, run: () => Promise<T> | undefined): Promise<T> | undefined {
    try {
      if (callback !== undefined && typeof callback !== 'function') {
        throw invalidArgType('callback', 'of type function', callback);
      }
      return run();
    } catch (error) {
      if (typeof callback !== 'function') return Promise.reject(error);
      process.nextTick(callback, error);
      return undefined;
    }
  }

  #transfer(
    op: number,
    buffer: unknown,
    offset: unknown,
    length: unknown,
    position: unknown,
    options: RequestOptions | undefined,
    callback: Callback | undefined,
  ): Promise<unknown> | undefined {
    const read = op === IOCB_CMD_PREAD;
    this.#open(read ? 'read' : 'write');
    const view = checkView('buffer', buffer, read ? undefined : 'a string or ');
    const skip = checkCount('offset', offset, Number.MAX_SAFE_INTEGER, 0);
    const wanted = length ?? Math.max(view.byteLength - skip, 0);
    // In the order in which Node looks at them: nothing to do comes first.
    if (read && wanted !== 0 && view.byteLength === 0) {
      throw invalidArgValue('buffer', 'is empty and cannot be written', buffer);
    }
    if (!read || wanted !== 0) checkCount('offset', offset, view.byteLength, 0);
    const bytes = checkCount('length', wanted, Math.max(view.byteLength - skip, 0), 0);
    const at = checkPosition(position, bytes);
    const checked = checkOptions(options);
    this.#mayTransfer(checked);
    const start: Start = (place, shape, done) =>
      this.#engine.transfer(op, this.#target, view, skip, bytes, place, checked, shape, buffer, done);
    return this.#place(read, at, bytes, start, read ? readShape : writeShape, buffer, callback, checked?.signal);
  }

  #vectored(op: number, buffers: unknown, position: unknown, rest: unknown): Promise<unknown> | undefined {
    const read = op === IOCB_CMD_PREAD;
    const callback = typeof rest === 'function' ? (rest as Callback) : undefined;
    return this.#attempt(callback, () => {
      this.#open(read ? 'read' : 'write');
      const views = checkViews(buffers);
      const bytes = views.reduce((sum, view) => sum + view.byteLength, 0);
      const at = checkPosition(position, bytes);
      const checked = callback === undefined ? checkOptions(rest as RequestOptions | undefined) : undefined;
      this.#mayTransfer(checked);
      const start: Start = (place, shape, done) =>
        this.#engine.transferVector(op, this.#target, views, bytes, place, checked, shape, buffers, done);
      return this.#place(read, at, bytes, start, read ? readVShape : writeVShape, buffers, callback, checked?.signal);
    });
  }

  /** Starts a request where it belongs: at its position, at the end of a file that appends, or at the file's own position. */
  #place(
    read: boolean,
    at: number | undefined,
    bytes: number,
    start: Start,
    shape: Shape,
    buffer: unknown,
    callback: Callback | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> | undefined {
    const appends = this.#target.append && !read;
    if (at === undefined && !appends) return this.#inTurn(bytes, start, shape, buffer, callback, signal);
    const place = at ?? 0;
    if (!appends) this.#checkAlignment(place, bytes);
    return start(place, shape, callback);
  }

  /** A request at the file's own position: it waits for the one before, because only that one's end says where it begins. */
  #inTurn(
    bytes: number,
    start: Start,
    shape: Shape,
    buffer: unknown,
    callback: Callback | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> | undefined {
    // One that is aborted while it waits does not let the next one overtake those before.
    const before = this.#turn;
    let end = (): void => {};
    this.#turn = new Promise((resolve) => {
      end = () => before.then(resolve);
    });
    const result = this.#moveOn(before, end, bytes, start, callback === undefined ? shape : countShape, buffer, signal);
    if (callback === undefined) return result;
    result.then(
      (moved) => callBack(callback, null, moved as number, buffer),
      (error) => callBack(callback, error),
    );
    return undefined;
  }

  // One async function from the caller to the engine: V8 finds the caller's line only along promises that nobody else waits for.
  async #moveOn(
    before: Promise<void>,
    end: () => void,
    bytes: number,
    start: Start,
    shape: Shape,
    buffer: unknown,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    // It counts from now on: close() waits for it although it has not begun.
    this.#target.hold();
    try {
      await unlessAborted(before, signal);
      const place = this.#nature.kind === 'stream' ? 0 : this.#position;
      this.#checkAlignment(place, bytes);
      const moved = (await start(place, countShape, undefined)) as number;
      this.#position += moved;
      return shape(moved, buffer);
    } finally {
      end();
      this.#target.release();
    }
  }

  async #writeText(text: string, position: unknown, encoding: unknown): Promise<WriteResult<string>> {
    if (encoding === 'hex' && text.length % 2 !== 0) {
      throw invalidArgValue('encoding', `is invalid for data of length ${text.length}`, encoding);
    }
    const bytes = Buffer.from(text, (encoding ?? 'utf8') as BufferEncoding);
    const result = await this.#transfer(IOCB_CMD_PWRITE, bytes, 0, bytes.byteLength, position, undefined, undefined);
    return { bytesWritten: (result as WriteResult<Buffer>).bytesWritten, buffer: text };
  }

  #command(op: number, name: string, options: unknown, callback: unknown): Promise<void> | undefined {
    const done = (typeof options === 'function' ? options : callback) as Callback | undefined;
    return this.#attempt(done, () => {
      this.#open(name);
      const checked = typeof options === 'function' ? undefined : checkOptions(options as RequestOptions | undefined);
      return this.#engine.command(op, this.#target, 0, checked, voidShape, done) as Promise<void> | undefined;
    });
  }

  /** Runs something that changes the file's size once the requests made earlier are done. */
  async #exclusively(run: (fd: number) => Promise<void>): Promise<void> {
    await this.#handle.with(async (fd) => {
      await this.#target.idle();
      await run(fd);
    });
  }

  /** The descriptor; throws what Node's FileHandle rejects with once it is closed. */
  #open(syscall: string): number {
    if (!this.#handle.closing) return this.#target.fd;
    const error = new Error('file closed: make the request before close(), or open the file again');
    throw Object.assign(error, { code: 'EBADF', syscall, errno: -9 });
  }

  #checkAlignment(position: number, length: number): void {
    const unit = this.alignment.offset;
    if (unit === 1 || (position % unit === 0 && length % unit === 0)) return;
    throw misaligned(this.#target.path, position, length, unit);
  }

  #mayTransfer(options: RequestOptions | undefined): void {
    const { kind, nonblocking } = this.#nature;
    // The kernel's own answer would be EINVAL, which explains nothing.
    if (kind === 'directory') throw systemError(-EISDIR, 'read', { path: this.#target.path });
    if (kind !== 'stream' || nonblocking || options?.nowait === true) return;
    throw aioError(
      'ERR_AIO_WOULD_BLOCK',
      'This is a pipe, a socket or a terminal: a read or write could wait for ever, and with it the thread. Open it with O_NONBLOCK and ' +
        'wait with context.poll(); where the kernel knows RWF_NOWAIT for it, not for a FIFO, { nowait: true } will do as well',
    );
  }
}

inspectAs(AioFile, (file) => {
  const { fd, path, state, direct, alignment } = file;
  return { fd, path, state, direct, alignment };
});

function misaligned(path: string | undefined, position: number, length: number, unit: number): CodedError {
  return aioError(
    'ERR_AIO_MISALIGNED',
    `Direct I/O on ${path === undefined ? 'this file' : `'${path}'`} needs positions and lengths that are multiples of ${unit}: got ` +
      `${length} bytes at ${position}. Round them (file.alignment says to what), or open with { direct: false }`,
  );
}

/** Calls back; what it throws becomes an uncaught exception, as from any other callback, and not a rejection that nobody handles. */
function callBack(callback: Callback, ...result: Parameters<Callback>): void {
  try {
    callback(...result);
  } catch (thrown) {
    process.nextTick(() => {
      throw thrown;
    });
  }
}

/** Waits, unless the signal says to stop: then it rejects at once. */
async function unlessAborted(before: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) {
    await before;
    return;
  }
  if (signal.aborted) throw abortError(signal);
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(abortError(signal));
    signal.addEventListener('abort', stop);
  });
  try {
    await Promise.race([before, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** An object that is options and not memory. */
function isOptions(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !Array.isArray(value);
}
