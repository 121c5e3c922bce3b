import { AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import {
  type BigIntStats,
  fchmod as fchmodCallback,
  fchown as fchownCallback,
  fstat as fstatCallback,
  futimes as futimesCallback,
  type Mode,
  type StatOptions,
  type Stats,
  type TimeLike,
} from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import type { ReadableStream } from 'node:stream/web';
import { promisify } from 'node:util';
import { throwIfAborted } from '../engine/aborts.ts';
import type { Engine, RequestOptions } from '../engine/engine.ts';
import { knownLength } from '../engine/pool.ts';
import type { Callback, Shape } from '../engine/request.ts';
import type { Target } from '../engine/target.ts';
import { invalidArgType, invalidArgValue } from '../errors.ts';
import { IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../layout/constants.ts';
import { checkCount, checkOptions, VIEWS } from './arguments.ts';
import { attempt, callBackWith } from './callback.ts';
import type { AioContext } from './context.ts';
import { forget, watchForDrop } from './dropped.ts';
import { modeOf } from './flags.ts';
import { fileClosed, type Handle } from './handle.ts';
import { inspectAs } from './inspect.ts';
import type { Ranges } from './ranges.ts';
import { AioReadStream, type ReadStreamOptions } from './readstream.ts';
import {
  type Position,
  type ReadCallback,
  type ReadOptions,
  type ReadResult,
  type ReadVResult,
  readShape,
  voidShape,
  type WriteCallback,
  type WriteOptions,
  type WriteResult,
  type WriteVResult,
  writeShape,
} from './results.ts';
import { FileSize } from './size.ts';
import type { Nature } from './storage.ts';
import { Streams } from './streams.ts';
import { Transfers } from './transfers.ts';
import { type WebStreamOptions, webStream } from './webstream.ts';
import {
  checkReadOptions,
  checkWriteOptions,
  type FileData,
  type ReadFileOptions,
  readWhole,
  type WriteFileOptions,
  writeWhole,
} from './whole.ts';
import { AioWriteStream, type WriteStreamOptions } from './writestream.ts';

const fchmod = promisify(fchmodCallback);
const fchown = promisify(fchownCallback);
const fstat = promisify(fstatCallback) as (fd: number, options?: StatOptions) => Promise<Stats | BigIntStats>;
const futimes = promisify(futimesCallback);

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
  readonly #ranges: Ranges;
  /** The bits that no direct position and length may have; all of them where blocks are no power of two. A division costs ten times as much. */
  readonly #misaligned: number;
  /** Neither a stream, where requests may wait for ever, nor a directory, which has no bytes. */
  readonly #isData: boolean;
  readonly #transfers: Transfers;
  readonly #size: FileSize;
  readonly #streams: Streams;
  /** It is being closed, but streams of it come first. */
  #ending: Promise<void> | undefined;
  #asyncId: number | undefined;

  /** Use `open` or `context.open`. */
  constructor(context: AioContext, handle: Handle, nature: Nature) {
    super();
    this.context = context;
    this.#handle = handle;
    this.#engine = handle.engine;
    this.#target = handle.target;
    this.#ranges = handle.ranges;
    const unit = nature.alignment.offset;
    this.#misaligned = (unit & (unit - 1)) === 0 ? unit - 1 : -1;
    this.#isData = nature.kind !== 'stream' && nature.kind !== 'directory';
    this.#transfers = new Transfers(handle, nature);
    const isStream = nature.kind === 'stream';
    this.#size = new FileSize(handle);
    const writesInTurn = isStream || nature.append;
    this.#streams = new Streams(handle.engine.pool, this.#transfers.position, this.#size, isStream, writesInTurn);
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
    if (this.#handle.closing || this.#ending !== undefined) return 'closing';
    return this.#target.open > 0 ? 'busy' : 'idle';
  }

  /** The path it was opened with; undefined where the descriptor was attached. */
  get path(): string | undefined {
    return this.#target.path;
  }

  /**
   * Reads into `buffer`, which belongs to the request until it is settled, or, if it is aborted, until its event. The data may be short, as
   * read(2)'s: at the end of the file, or before a block that cannot be read. With direct I/O too any position and length will do: around
   * those that are no multiples of `alignment.offset` whole blocks are read, and copied. With a {@link ReadCallback} as last argument it
   * returns nothing: the fast path.
   *
   * @param buffer A Buffer, TypedArray or DataView; best one of `context.allocate`.
   * @param offset First byte of the buffer to fill, 0 by default.
   * @param length Bytes, by default all from `offset` on.
   * @param position First byte of the file; null or -1 (default) for the file's own position, which then moves on. Such requests go
   * one after another.
   * @throws (rejects) the system error of the kernel; `ERR_AIO_BUFFER_BUSY` and `ERR_AIO_BUFFER_DISPOSED` for memory of the context;
   * `ERR_AIO_WOULD_BLOCK` for a pipe, socket or terminal.
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
    return attempt(done, () => {
      if (whole && typeof last === 'number') throw invalidArgType('buffer', VIEWS, bufferOrOptions);
      const buffer = whole ? (options?.buffer ?? Buffer.alloc(16384)) : bufferOrOptions;
      return options === undefined
        ? this.#transfers.one(IOCB_CMD_PREAD, buffer, offsetOrOptions, lengthOrCallback, position, undefined, done)
        : this.#transfers.one(IOCB_CMD_PREAD, buffer, options.offset, options.length, options.position, options, done);
    });
  }

  /**
   * Writes from `buffer`, or a string in an encoding (default utf8). The result may be short, as write(2)'s: `bytesWritten` says. Do not
   * change the buffer before the request is settled: what is written then is undefined. When it completes, the data is in the file, but
   * durable only after {@link datasync}, or with the option `dsync`. With a {@link WriteCallback} as last argument it returns nothing:
   * the fast path.
   *
   * With direct I/O a write that begins or ends between multiples of `alignment.offset` goes through the page cache, by a second descriptor
   * and a thread, apart from direct writes within 64 KiB of it by this thread: exact, and much slower.
   *
   * @param buffer A Buffer, TypedArray or DataView; best one of `context.allocate`. Several writes may share it.
   * @param offset First byte of the buffer to write, 0 by default.
   * @param length Bytes, by default all from `offset` on.
   * @param position First byte of the file; null (default) for the file's own position, which then moves on. A file opened for
   * appending writes at its end whatever is given, one request after another; one opened for reading too (`'a+'`) has appends wait for the
   * requests at its own position, which is where the last append ended.
   * @throws (rejects) as {@link read}; ENOSPC, EDQUOT, EFBIG; `ERR_AIO_MISALIGNED` where such a write is made and the file cannot be
   * opened a second time.
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
    text: string,
    position: number | null | undefined,
    encoding: BufferEncoding | null | undefined,
    callback: WriteCallback<string>,
  ): void;
  write(
    data: unknown,
    offsetOrOptions?: unknown,
    lengthOrCallback?: unknown,
    position?: unknown,
    callback?: unknown,
  ): Promise<unknown> | undefined {
    if (
      this.#ranges.free &&
      !this.#target.append &&
      this.#isPlain(data, offsetOrOptions, lengthOrCallback, position, callback)
    ) {
      return this.#plain(IOCB_CMD_PWRITE, data, offsetOrOptions, lengthOrCallback, position, writeShape, callback);
    }
    if (typeof data === 'string') return this.#writeText(data, offsetOrOptions, lengthOrCallback, position);
    const options = isOptions(offsetOrOptions) ? (offsetOrOptions as WriteOptions) : undefined;
    const done = (options === undefined ? callback : lengthOrCallback) as Callback | undefined;
    return attempt(done, () =>
      options === undefined
        ? this.#transfers.one(IOCB_CMD_PWRITE, data, offsetOrOptions, lengthOrCallback, position, undefined, done)
        : this.#transfers.one(IOCB_CMD_PWRITE, data, options.offset, options.length, options.position, options, done),
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
  readv<T extends readonly NodeJS.ArrayBufferView[]>(
    buffers: T,
    position: Position,
    options: RequestOptions | undefined,
    callback: ReadCallback<T>,
  ): void;
  readv(buffers: unknown, position?: unknown, rest?: unknown, callback?: unknown): Promise<unknown> | undefined {
    return this.#vectored(IOCB_CMD_PREAD, buffers, position, rest, callback);
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
  writev<T extends readonly NodeJS.ArrayBufferView[]>(
    buffers: T,
    position: Position,
    options: RequestOptions | undefined,
    callback: WriteCallback<T>,
  ): void;
  writev(buffers: unknown, position?: unknown, rest?: unknown, callback?: unknown): Promise<unknown> | undefined {
    return this.#vectored(IOCB_CMD_PWRITE, buffers, position, rest, callback);
  }

  /**
   * Reads the file from its own position to its end; requests without a position that come later wait for it.
   *
   * @param options {@link ReadFileOptions}, or just the encoding.
   * @returns A Buffer, or a string where there is an encoding.
   * @throws (rejects) as {@link read}; `ERR_FS_FILE_TOO_LARGE` for a file of 2 GiB and more.
   */
  readFile(options?: (ReadFileOptions & { encoding?: null | undefined }) | null): Promise<Buffer<ArrayBuffer>>;
  readFile(options: (ReadFileOptions & { encoding: BufferEncoding }) | BufferEncoding): Promise<string>;
  readFile(options?: ReadFileOptions | BufferEncoding | null): Promise<string | Buffer<ArrayBuffer>>;
  async readFile(options?: unknown): Promise<string | Buffer<ArrayBuffer>> {
    this.#handle.assertOpen('readFile');
    const { encoding, signal, into } = checkReadOptions(options);
    throwIfAborted(signal);
    let content: Buffer<ArrayBuffer> = Buffer.alloc(0);
    await this.#transfers.readOn(ArrayBuffer.isView(into) ? [into] : [], signal, async (position, read) => {
      const stats = await this.#handle.with((fd) => fstat(fd));
      throwIfAborted(signal);
      content = await readWhole(stats.isFile() ? Number(stats.size) : 0, position, into, read);
      return content.byteLength;
    });
    return encoding ? content.toString(encoding) : content;
  }

  /**
   * Writes all of `data` at the file's own position, or at its end where it appends; what is beyond stays. Pieces of an iterable are
   * written as they come. It must not wait for `drain` and `close` of this file, which wait for it; one that is not asynchronous, but
   * gives promises, for no request of this file.
   *
   * @param data Text, memory, or an iterable of these, asynchronous or not, such as a stream.
   * @param options {@link WriteFileOptions}, or just the encoding of text; default utf8.
   * @throws (rejects) as {@link write}; what was written before an error stays.
   */
  writeFile(data: FileData, options?: WriteFileOptions | BufferEncoding | null): Promise<void> {
    return this.#writeFile(data, options);
  }

  /** The same as {@link writeFile}: it appends where the file was opened for that. */
  appendFile(data: FileData, options?: WriteFileOptions | BufferEncoding | null): Promise<void> {
    return this.#writeFile(data, options);
  }

  /**
   * Makes everything durable that was written before this call (fsync(2)): it waits for the writes requested earlier on this AioFile; of
   * streams, and of `writeFile` with an asynchronous iterable, for those that are under way. Its failure (EIO, ENOSPC) is final: the kernel
   * says so once, and what was written since the last good sync is in doubt.
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
    this.#handle.assertOpen('fstat');
    // As FileHandle has it, which looks at nothing else; a function among the options would be taken for a callback.
    const bigint = Boolean(options?.bigint);
    return await this.#handle.with((fd) => fstat(fd, { bigint }));
  }

  /** Changes the permission bits (fchmod(2)). Arguments and errors are those of `FileHandle.chmod`. */
  async chmod(mode: Mode): Promise<void> {
    // What is missing is Node's to refuse.
    const checked = mode === undefined || mode === null ? mode : modeOf(mode, 0);
    this.#handle.assertOpen('fchmod');
    await this.#handle.with((fd) => fchmod(fd, checked));
  }

  /** Changes the owner and the group (fchown(2)); -1 leaves one as it is. Arguments and errors are those of `FileHandle.chown`. */
  async chown(uid: number, gid: number): Promise<void> {
    this.#handle.assertOpen('fchown');
    await this.#handle.with((fd) => fchown(fd, uid, gid));
  }

  /** Changes the times of the last access and change (futimens(3)). Arguments and errors are those of `FileHandle.utimes`. */
  async utimes(atime: TimeLike, mtime: TimeLike): Promise<void> {
    this.#handle.assertOpen('futimes');
    await this.#handle.with((fd) => futimes(fd, atime, mtime));
  }

  /**
   * Cuts the file off at `length` bytes (default 0), or extends it with zeros. It waits for all requests made earlier on this AioFile, and
   * those made later wait for it; of `writeFile` with an asynchronous iterable that means the pieces.
   *
   * @throws (rejects) the system error of ftruncate(2): EINVAL where it is not open for writing or no regular file, EFBIG.
   */
  async truncate(length = 0): Promise<void> {
    // null would empty the file by mistake; a negative length is 0, as Node has it.
    if (typeof length !== 'number') throw invalidArgType('len', 'of type number', length);
    const bytes = checkCount('len', Math.max(length, 0), Number.MAX_SAFE_INTEGER, 0);
    await this.#size.truncate(bytes);
  }

  /**
   * Reserves space (fallocate(2)) for `length` bytes from `offset` on, and extends the file to there: on ext4 and xfs this is what makes
   * later writes truly asynchronous. What was not written reads as zeros. It waits as {@link truncate} does. Where it fails with ENOSPC, what there
   * was room for may stay.
   *
   * @param offset First byte, in bytes from 0 on.
   * @param length Bytes, at least 1.
   * @throws (rejects) the system error of fallocate(2): ENOSPC, EFBIG, EINVAL, EBADF, ENODEV, and ENOTSUP where the file system has none.
   */
  async preallocate(offset: number, length: number): Promise<void> {
    const from = checkCount('offset', offset, Number.MAX_SAFE_INTEGER, 0);
    const bytes = checkCount('length', length, Number.MAX_SAFE_INTEGER - from, 0);
    await this.#size.preallocate(from, bytes);
  }

  /**
   * Reads the file as a stream (`FileHandle.createReadStream`, with the same events and properties), with several requests under way. Unless
   * `autoClose` is false, it closes the file at its end.
   *
   * @throws Node's argument errors. The stream's `'error'` has what {@link read} rejects with.
   * @example
   * ```ts
   * import { pipeline } from 'node:stream/promises';
   *
   * await pipeline(file.createReadStream({ start: 0, end: 1023 }), response);
   * for await (using chunk of file.createReadStream({ zeroCopy: true })) hash.update(chunk);
   * ```
   */
  createReadStream(options?: ReadStreamOptions): AioReadStream {
    return this.#unlessClosing(new AioReadStream(this, this.#streams, options), 'read');
  }

  /**
   * Writes the file as a stream (`FileHandle.createWriteStream`, with the same events and properties), with several requests under way: the
   * callback of `write` says that data was taken, `'finish'` that all of it is in the file. Unless `autoClose` is false, it then closes the
   * file.
   *
   * @throws Node's argument errors. The stream's `'error'` has what {@link write} rejects with; bytes behind those may be written.
   */
  createWriteStream(options?: WriteStreamOptions): AioWriteStream {
    return this.#unlessClosing(new AioWriteStream(this, this.#streams, options), 'write');
  }

  /** A stream that comes after close() fails: that has ended the others, and would wait for this one for ever. */
  #unlessClosing<T extends AioReadStream | AioWriteStream>(stream: T, syscall: string): T {
    if (this.#ending !== undefined) stream.destroy(fileClosed(syscall));
    return stream;
  }

  /**
   * Reads the file as a web stream of bytes, with several requests under way. Its reader may bring its own memory
   * (`getReader({ mode: 'byob' })`). The file stays open at its end unless `autoClose` is true.
   *
   * @throws Node's argument errors, and `ERR_INVALID_STATE` where the file is closed or closing.
   */
  readableWebStream(options?: WebStreamOptions): ReadableStream<Uint8Array> {
    if (this.state === 'closing' || this.state === 'closed') {
      throw Object.assign(new Error('Invalid state: The file is closed'), { code: 'ERR_INVALID_STATE' });
    }
    return webStream(this, this.#streams, options);
  }

  /** Reads the file line by line (`FileHandle.readLines`): `for await (const line of file.readLines())`. Options are those of {@link createReadStream}. */
  readLines(options?: ReadStreamOptions): Interface {
    if (options?.zeroCopy) {
      throw invalidArgValue('options.zeroCopy', 'cannot be combined with lines, which are copies', options.zeroCopy);
    }
    return createInterface({ input: this.createReadStream(options), crlfDelay: Number.POSITIVE_INFINITY });
  }

  /** Resolves when nothing of this file is queued or in flight, aborted requests included. */
  drain(): Promise<void> {
    return this.#handle.drain();
  }

  /**
   * Refuses new requests, waits for those that were made, and closes the descriptor: one that is used again can never receive an old
   * write. Streams come first: those that read end at once, those that write when what they were given is written; until then requests are
   * still taken, as by `FileHandle`. An attached descriptor stays open. Safe to call again.
   *
   * @throws (rejects) the system error of close(2); the descriptor is gone all the same.
   */
  close(): Promise<void> {
    // Whoever waits for nothing but this close may have dropped the file.
    forget(this);
    this.#ending ??= this.#end();
    return this.#ending;
  }

  /** An asynchronous method, which keeps the file itself alive until it emits `'close'`. */
  async #end(): Promise<void> {
    if (!this.#streams.empty) await this.#streams.end();
    await this.#handle.close();
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The number by which async_hooks know this file; as `FileHandle.getAsyncId`. */
  getAsyncId(): number {
    this.#asyncId ??= new AsyncResource('AIOFILE').asyncId();
    return this.#asyncId;
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
    if (position < 0 || !Number.isSafeInteger(position) || position > Number.MAX_SAFE_INTEGER - length) return false;
    if (((position | length) & this.#misaligned) !== 0) return false;
    return (
      !this.#handle.closing &&
      this.#handle.line.free &&
      this.#isData &&
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

  async #writeFile(data: FileData, options: unknown): Promise<void> {
    this.#handle.assertOpen('writeFile');
    const checked = checkWriteOptions(options);
    await writeWhole(data, checked, this.#transfers, async () => {
      await this.#engine.command(IOCB_CMD_FSYNC, this.#target, 0, { signal: checked.signal }, voidShape, undefined);
    });
  }

  #vectored(
    op: number,
    buffers: unknown,
    position: unknown,
    rest: unknown,
    last: unknown,
  ): Promise<unknown> | undefined {
    const [options, callback] = typeof rest === 'function' ? [undefined, rest] : [rest, last];
    return attempt(callback as Callback | undefined, () =>
      this.#transfers.several(op, buffers, position, options as RequestOptions, callback as Callback | undefined),
    );
  }

  #writeText(text: string, position: unknown, encoding: unknown, callback: unknown): Promise<unknown> | undefined {
    return attempt(callback as Callback | undefined, () => {
      if (encoding === 'hex' && text.length % 2 !== 0) {
        throw invalidArgValue('encoding', `is invalid for data of length ${text.length}`, encoding);
      }
      const bytes = Buffer.from(text, (encoding ?? 'utf8') as BufferEncoding);
      return this.#transfers.text(text, bytes, position, callback as Callback | undefined);
    });
  }

  #command(op: number, name: string, options: unknown, callback: unknown): Promise<void> | undefined {
    const done = (typeof options === 'function' ? options : callback) as Callback | undefined;
    return attempt(done, () => {
      this.#handle.assertOpen(name);
      const checked = typeof options === 'function' ? undefined : checkOptions(options as RequestOptions | undefined);
      return this.#sync(op, checked, done);
    });
  }

  #sync(op: number, options: RequestOptions | undefined, callback?: Callback): Promise<void> | undefined {
    const make = (then?: Callback): Promise<void> | undefined =>
      this.#engine.command(op, this.#target, 0, options, voidShape, then) as Promise<void> | undefined;
    const { free } = this.#handle.line;
    if (free && this.#transfers.allKnown) return make(callback);
    const later = this.#transfers.afterWrites(options?.signal, free, () => make() as Promise<void>);
    if (callback === undefined) return later;
    callBackWith(callback, later);
    return undefined;
  }
}

inspectAs(AioFile, (file) => {
  const { fd, path, state, direct, alignment } = file;
  return { fd, path, state, direct, alignment };
});

/** An object that is options and not memory. */
function isOptions(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && !Array.isArray(value);
}
