import { constants } from 'node:os';
import type { RequestOptions } from '../engine/engine.ts';
import type { Callback, Shape } from '../engine/request.ts';
import { aioError, type CodedError, invalidArgType, invalidArgValue, systemError } from '../errors.ts';
import { IOCB_CMD_PREAD } from '../layout/constants.ts';
import { checkCount, checkOptions, checkPosition, checkView, checkViews } from './arguments.ts';
import type { Handle } from './handle.ts';
import { callBackWith, OwnPosition } from './position.ts';
import { countShape, readShape, readVShape, writeShape, writeVShape } from './results.ts';
import type { Nature } from './storage.ts';

const { EISDIR } = constants.errno;

/** Makes the request once it is known where. */
type Start = (place: number, shape: Shape, callback: Callback | undefined) => Promise<unknown> | undefined;

/** The reads and writes of one file that are not plain: it checks what was given, explains mistakes, and finds out where they belong. */
export class Transfers {
  readonly #handle: Handle;
  readonly #nature: Nature;
  /** Where requests begin that say nothing of it. */
  readonly position: OwnPosition;

  constructor(handle: Handle, nature: Nature) {
    this.#handle = handle;
    this.#nature = nature;
    this.position = new OwnPosition(handle.target);
  }

  /** Reads into or writes from one view. Throws what is wrong with the arguments. */
  one(
    op: number,
    buffer: unknown,
    offset: unknown,
    length: unknown,
    position: unknown,
    options: RequestOptions | undefined,
    callback: Callback | undefined,
  ): Promise<unknown> | undefined {
    const { engine, target } = this.#handle;
    const read = op === IOCB_CMD_PREAD;
    this.#handle.assertOpen(read ? 'read' : 'write');
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
      engine.transfer(op, target, view, skip, bytes, place, checked, shape, buffer, done);
    return this.#place(read, at, bytes, start, read ? readShape : writeShape, buffer, callback, checked?.signal);
  }

  /** Reads into or writes from several views; `rest` is the request's options or a callback. Throws what is wrong with the arguments. */
  several(
    op: number,
    buffers: unknown,
    position: unknown,
    rest: unknown,
    callback: Callback | undefined,
  ): Promise<unknown> | undefined {
    const { engine, target } = this.#handle;
    const read = op === IOCB_CMD_PREAD;
    this.#handle.assertOpen(read ? 'read' : 'write');
    const views = checkViews(buffers);
    const bytes = views.reduce((sum, view) => sum + view.byteLength, 0);
    const at = checkPosition(position, bytes);
    const checked = callback === undefined ? checkOptions(rest as RequestOptions | undefined) : undefined;
    this.#mayTransfer(checked);
    const start: Start = (place, shape, done) =>
      engine.transferVector(op, target, views, bytes, place, checked, shape, buffers, done);
    return this.#place(read, at, bytes, start, read ? readVShape : writeVShape, buffers, callback, checked?.signal);
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
    const appends = this.#handle.target.append && !read;
    if (at === undefined && !appends) return this.#inTurn(bytes, start, shape, buffer, callback, signal);
    const place = at ?? 0;
    if (!appends) this.#checkAlignment(place, bytes);
    return start(place, shape, callback);
  }

  #inTurn(
    bytes: number,
    start: Start,
    shape: Shape,
    buffer: unknown,
    callback: Callback | undefined,
    signal: AbortSignal | undefined,
  ): Promise<unknown> | undefined {
    const run = (position: number): Promise<number> => {
      const place = this.#nature.kind === 'stream' ? 0 : position;
      this.#checkAlignment(place, bytes);
      return start(place, countShape, undefined) as Promise<number>;
    };
    if (callback === undefined) return this.position.inTurn(signal, run, (moved) => shape(moved, buffer));
    callBackWith(
      callback,
      this.position.inTurn(signal, run, (moved) => moved),
      buffer,
    );
    return undefined;
  }

  #checkAlignment(position: number, length: number): void {
    const unit = this.#nature.alignment.offset;
    if (unit === 1 || (position % unit === 0 && length % unit === 0)) return;
    throw misaligned(this.#handle.target.path, position, length, unit);
  }

  #mayTransfer(options: RequestOptions | undefined): void {
    const { kind, nonblocking } = this.#nature;
    // The kernel's own answer would be EINVAL, which explains nothing.
    if (kind === 'directory') throw systemError(-EISDIR, 'read', { path: this.#handle.target.path });
    if (kind !== 'stream' || nonblocking || options?.nowait === true) return;
    throw aioError(
      'ERR_AIO_WOULD_BLOCK',
      'This is a pipe, a socket or a terminal: a read or write could wait for ever, and with it the thread. Open it with O_NONBLOCK and ' +
        'wait with context.poll(); where the kernel knows RWF_NOWAIT for it, not for a FIFO, { nowait: true } will do as well',
    );
  }
}

/** Runs what may throw; what it throws goes where the result would have gone. */
export function attempt<T>(callback: Callback | undefined, run: () => Promise<T> | undefined): Promise<T> | undefined {
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

function misaligned(path: string | undefined, position: number, length: number, unit: number): CodedError {
  return aioError(
    'ERR_AIO_MISALIGNED',
    `Direct I/O on ${path === undefined ? 'this file' : `'${path}'`} needs positions and lengths that are multiples of ${unit}: got ` +
      `${length} bytes at ${position}. Round them (file.alignment says to what), or open with { direct: false }`,
  );
}
