import { constants } from 'node:os';
import { isAborted } from '../engine/aborts.ts';
import type { RequestOptions, StepOptions } from '../engine/engine.ts';
import { nextTick } from '../engine/loop.ts';
import { checkNotDisposed, hold } from '../engine/pool.ts';
import type { Callback, Shape } from '../engine/request.ts';
import type { Target } from '../engine/target.ts';
import { aioError, invalidArgValue, systemError } from '../errors.ts';
import { IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../layout/constants.ts';
import { checkCount, checkOptions, checkPosition, checkView, checkViews } from './arguments.ts';
import { callBackWith } from './callback.ts';
import type { Handle } from './handle.ts';
import { OwnPosition } from './position.ts';
import { countShape, readShape, readVShape, writeShape, writeVShape } from './results.ts';
import type { Nature } from './storage.ts';
import { Pending, Turns, unlessAborted } from './waiting.ts';
import type { ReadOn } from './whole.ts';

const { EAGAIN, EINVAL, EISDIR } = constants.errno;

/** A read or write whose arguments are right. */
interface Transfer {
  readonly read: boolean;
  readonly bytes: number;
  /** First byte of the file; undefined for its own position. */
  readonly at: number | undefined;
  options: StepOptions | undefined;
  /** What the caller gave, and gets back. */
  readonly buffer: unknown;
  /** The memory to fill or to write, in order. */
  readonly pieces: () => readonly Uint8Array[];
  /** Makes the request, of the file itself or through its page cache. */
  readonly start: (target: Target, place: number, shape: Shape, callback: Callback | undefined) => Result;
}

type Result = Promise<unknown> | undefined;

/**
 * The reads and writes of one file that are not plain: it checks what was given, explains mistakes, finds out where they belong, and how
 * direct I/O can serve those that begin or end where it cannot.
 */
export class Transfers {
  readonly #handle: Handle;
  readonly #nature: Nature;
  /** Direct I/O begins and ends at multiples of it, in bytes; 1 where anything goes. */
  readonly #unit: number;
  /** Where requests begin that say nothing of it. */
  readonly position: OwnPosition;
  readonly #appends = new Turns();
  readonly #pending: Pending;
  /** Takes the bytes around what an unaligned read asks for. Nobody looks at them. */
  #scrap: Uint8Array | undefined;

  constructor(handle: Handle, nature: Nature) {
    this.#handle = handle;
    this.#nature = nature;
    this.#unit = nature.alignment.offset;
    this.position = new OwnPosition(handle);
    this.#pending = new Pending(handle.target);
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
  ): Result {
    const read = op === IOCB_CMD_PREAD;
    this.#handle.assertOpen(read ? 'read' : 'write');
    const view = checkView('buffer', buffer, read ? undefined : 'a string or ');
    // Node looks at nothing else then.
    if (!read && view.byteLength === 0) return nothing(writeShape, buffer, callback);
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
    // Once more: the options may have getters.
    checkNotDisposed(buffer as object);
    if (read && bytes === 0) return nothing(readShape, buffer, callback);
    this.#mayTransfer(checked);
    const transfer = this.#oneOf(op, view, skip, bytes, at, checked, buffer);
    return this.#place(transfer, read ? readShape : writeShape, callback);
  }

  #oneOf(
    op: number,
    view: Uint8Array,
    skip: number,
    bytes: number,
    at: number | undefined,
    options: StepOptions | undefined,
    buffer: unknown,
  ): Transfer {
    const { engine } = this.#handle;
    const transfer: Transfer = {
      read: op === IOCB_CMD_PREAD,
      bytes,
      at,
      options,
      buffer,
      // What was detached has no subarray.
      pieces: () => [view.byteLength === 0 ? view : view.subarray(skip, skip + bytes)],
      start: (target, place, shape, done) =>
        engine.transfer(op, target, view, skip, bytes, place, transfer.options, shape, buffer, done),
    };
    return transfer;
  }

  /** Writes text, of which these are the bytes. Throws what is wrong with the arguments. */
  text(text: string, bytes: Uint8Array, position: unknown, callback: Callback | undefined): Result {
    this.#handle.assertOpen('write');
    const at = checkPosition(position, bytes.byteLength);
    this.#mayTransfer(undefined);
    const transfer = this.#oneOf(IOCB_CMD_PWRITE, bytes, 0, bytes.byteLength, at, undefined, text);
    return this.#place(transfer, writeShape, callback);
  }

  /** Reads into or writes from several views. Throws what is wrong with the arguments. */
  several(
    op: number,
    buffers: unknown,
    position: unknown,
    options: RequestOptions | undefined,
    callback: Callback | undefined,
  ): Result {
    const { engine } = this.#handle;
    const read = op === IOCB_CMD_PREAD;
    this.#handle.assertOpen(read ? 'readv' : 'writev');
    const checked = checkOptions(options);
    const views = checkViews(buffers);
    // As Node, which asks the kernel nothing then.
    if (!read && views.length === 0) return nothing(writeVShape, buffers, callback);
    const bytes = views.reduce((sum, view) => sum + view.byteLength, 0);
    const at = checkPosition(position, bytes);
    this.#mayTransfer(checked);
    const transfer: Transfer = {
      read,
      bytes,
      at,
      options: checked,
      buffer: buffers,
      pieces: () => views,
      start: (target, place, shape, done) =>
        engine.transferVector(op, target, views, bytes, place, transfer.options, shape, buffers, done),
    };
    return this.#place(transfer, read ? readVShape : writeVShape, callback);
  }

  /** Whether the engine knows all the writes that were requested so far. */
  get allKnown(): boolean {
    return this.#pending.none && !this.#handle.cachedBusy;
  }

  /** Runs a request once it can be made of the engine that knows the writes requested so far; `free`: whatever changes the size. */
  async afterWrites<T>(signal: AbortSignal | undefined, free: boolean, run: () => Promise<T>): Promise<T> {
    const before = this.#pending.over().then(() => this.#handle.cachedWritten());
    return await this.#pending.run(async () => {
      if (!free) await this.#handle.line.enter(signal);
      await unlessAborted(before, signal);
      return await run();
    });
  }

  /**
   * Reads from the file's own position on, in one turn, with as many reads as `run` makes; it resolves to the bytes they read. `memory` is what
   * they fill, if it is known.
   */
  async readOn(
    memory: readonly Uint8Array[],
    signal: AbortSignal | undefined,
    run: (position: number, read: ReadOn) => Promise<number>,
  ): Promise<void> {
    this.#mayTransfer(undefined);
    const options = { signal, held: true };
    const steps = (position: number): Promise<number> =>
      run(position, (view, done) => {
        const transfer = this.#oneOf(IOCB_CMD_PREAD, view, 0, view.byteLength, undefined, options, view);
        return this.#at(transfer, position + done, countShape, undefined) as Promise<number>;
      });
    await this.holding(memory, async () => {
      const { line } = this.#handle;
      if (!line.free) await line.enter(signal);
      return await this.position.inTurn(signal, steps);
    });
  }

  /** Runs what makes several writes as one request, with `memory` if it is known: whoever syncs or changes the size waits for all of it. */
  async asOne(memory: readonly Uint8Array[], signal: AbortSignal | undefined, run: () => Promise<void>): Promise<void> {
    const { line } = this.#handle;
    await this.holding(memory, async () => {
      // Its steps must not wait for a change of the size that waits for all of it.
      if (!line.free) await line.enter(signal);
      await run();
    });
  }

  /**
   * Runs what makes one request after another with data that comes by and by, perhaps for ever, and may wait for other requests of this file.
   * Nothing waits for it but the end of the file.
   */
  async byAndBy(run: () => Promise<void>): Promise<void> {
    const { target, line } = this.#handle;
    target.hold();
    try {
      await line.aside(run);
    } finally {
      target.release();
    }
  }

  /**
   * Writes all of it at the file's own position, or at its end where it appends, as a step of `asOne`. The caller holds the memory, and says
   * how much it was, in bytes.
   */
  async writeAll(view: Uint8Array, byteLength: number, signal: AbortSignal | undefined): Promise<void> {
    this.#mayTransfer(undefined);
    const options = { signal, held: true };
    for (let done = 0; done < byteLength; ) {
      const transfer = this.#oneOf(IOCB_CMD_PWRITE, view, done, byteLength - done, undefined, options, view);
      done += (await this.#placeNow(transfer, countShape, undefined)) as number;
    }
  }

  // ---- Where it belongs ----------------------------------------------------------------------------------------------------

  /** Starts a request, behind the calls that change the size and were made before it. */
  #place(transfer: Transfer, shape: Shape, callback: Callback | undefined): Result {
    const { line } = this.#handle;
    if (line.free) return this.#placeNow(transfer, shape, callback);
    return this.#run(transfer, shape, callback, async () => {
      if (transfer.options?.nowait === true) throw this.#wouldWait(transfer);
      await line.enter(transfer.options?.signal);
      return (await this.#placeNow(transfer, countShape, undefined)) as number;
    });
  }

  /** Starts a request at its position, at the end of a file that appends, or at the file's own position. */
  #placeNow(transfer: Transfer, shape: Shape, callback: Callback | undefined): Result {
    if (this.#handle.target.append && !transfer.read) return this.#atEnd(transfer, shape, callback);
    if (transfer.at !== undefined) return this.#at(transfer, transfer.at, shape, callback);
    const { kind } = this.#nature;
    return this.#run(transfer, shape, callback, () =>
      this.position.inTurn(
        transfer.options?.signal,
        (position) => this.#at(transfer, kind === 'stream' ? 0 : position, countShape, undefined) as Promise<number>,
      ),
    );
  }

  /** Starts an append. Who cannot read the file cannot see where its own position is: then nothing needs to wait for that. */
  #atEnd(transfer: Transfer, shape: Shape, callback: Callback | undefined): Result {
    const { target } = this.#handle;
    const append =
      this.#unit === 1
        ? () => transfer.start(target, 0, countShape, undefined) as Promise<number>
        : () => this.#appendDirect(transfer);
    if (this.#nature.readable) {
      const moves = transfer.at === undefined;
      return this.#run(transfer, shape, callback, () => this.position.append(transfer.options, moves, append));
    }
    if (this.#unit === 1) return transfer.start(target, 0, shape, callback);
    return this.#run(transfer, shape, callback, () =>
      this.#appends.take(async (before) => {
        await unlessAborted(before, transfer.options?.signal);
        return await append();
      }),
    );
  }

  /** Starts a request at a place, by direct I/O as far as that can begin and end there. */
  #at(transfer: Transfer, place: number, shape: Shape, callback: Callback | undefined): Result {
    const { target, ranges } = this.#handle;
    const unit = this.#unit;
    if (unit === 1) return transfer.start(target, place, shape, callback);
    const aligned = place % unit === 0 && transfer.bytes % unit === 0;
    if (transfer.read && !aligned) return this.#readAround(transfer, place, shape, callback);
    if (transfer.read || (aligned && ranges.free)) return transfer.start(target, place, shape, callback);
    const write = aligned ? () => this.#writeDirect(transfer, place) : () => this.#writeCached(transfer, place);
    return this.#run(transfer, shape, callback, write);
  }

  /** Runs what waits or has several steps as one request. */
  #run(transfer: Transfer, shape: Shape, callback: Callback | undefined, steps: () => Promise<number>): Result {
    if (callback === undefined) return this.#inSteps(transfer, shape, steps);
    callBackWith(callback, this.#inSteps(transfer, countShape, steps), transfer.buffer);
    return undefined;
  }

  /**
   * As `holding`, in one function: those on the way from a program's line to the engine are few, or a stack of ten does not have that line
   * (test/unit/stacks.test.ts).
   */
  async #inSteps(transfer: Transfer, shape: Shape, steps: () => Promise<number>): Promise<unknown> {
    const letGo = hold(transfer.pieces(), transfer.options?.held);
    transfer.options = { ...transfer.options, held: true };
    try {
      return shape(await this.#pending.run(steps), transfer.buffer);
    } finally {
      letGo();
    }
  }

  /** Runs what is pending, and keeps its memory from being given back meanwhile: no request of the engine claims it yet. */
  async holding<T>(memory: readonly Uint8Array[], run: () => Promise<T>): Promise<T> {
    const letGo = hold(memory);
    try {
      return await this.#pending.run(run);
    } finally {
      letGo();
    }
  }

  // ---- Where direct I/O cannot begin or end --------------------------------------------------------------------------------

  /** Reads whole blocks, of which only what was asked for goes to the caller. */
  #readAround(transfer: Transfer, place: number, shape: Shape, callback: Callback | undefined): Result {
    const { engine, target } = this.#handle;
    const { bytes, options, buffer } = transfer;
    const lead = place % this.#unit;
    const trail = (this.#unit - ((lead + bytes) % this.#unit)) % this.#unit;
    this.#scrap ??= new Uint8Array(this.#unit);
    const pieces = transfer.pieces();
    // Memory that went away while the request waited for its turn: what should go there must go nowhere else, and so fails with EFAULT.
    const whole = pieces.reduce((sum, piece) => sum + piece.byteLength, 0) === bytes;
    const views = [this.#scrap.subarray(0, lead), ...pieces, this.#scrap.subarray(0, whole ? trail : 0)];
    const moved = (count: number): number => Math.min(Math.max(count - lead, 0), bytes);
    return engine.transferVector(
      IOCB_CMD_PREAD,
      target,
      views,
      lead + bytes + trail,
      place - lead,
      options,
      (count, given) => shape(moved(count), given),
      buffer,
      callback && ((error, count, given) => (error ? callback(error) : callback(null, moved(count ?? 0), given))),
    );
  }

  /** Writes directly where something is written through the page cache. */
  async #writeDirect(transfer: Transfer, place: number): Promise<number> {
    return await this.#apart(transfer, place, place + transfer.bytes, false, () =>
      transfer.start(this.#handle.target, place, countShape, undefined),
    );
  }

  /** Writes through the page cache, while nobody writes directly beside it. */
  async #writeCached(transfer: Transfer, place: number): Promise<number> {
    const { ranges } = this.#handle;
    const moved = await this.#throughCache(transfer, place, place, place + transfer.bytes);
    ranges.reached(place + moved);
    return moved;
  }

  /**
   * Appends by direct I/O, in its turn. Only the kernel knows where the file ends when it is carried out: if not where direct I/O can begin,
   * it answers EINVAL.
   */
  async #appendDirect(transfer: Transfer): Promise<number> {
    if (transfer.bytes % this.#unit === 0) {
      try {
        return await this.#apart(transfer, 0, Number.POSITIVE_INFINITY, false, () =>
          transfer.start(this.#handle.target, 0, countShape, undefined),
        );
      } catch (error) {
        if ((error as { errno?: number }).errno !== -EINVAL) throw error;
      }
    }
    return await this.#throughCache(transfer, 0, 0, Number.POSITIVE_INFINITY);
  }

  async #throughCache(transfer: Transfer, place: number, from: number, to: number): Promise<number> {
    const cached = await this.#handle.cached();
    cached.hold();
    try {
      return await this.#apart(transfer, from, to, true, () => transfer.start(cached, place, countShape, undefined));
    } finally {
      cached.release();
    }
  }

  /** Runs a write while none of the other kind touches its range. */
  async #apart(transfer: Transfer, from: number, to: number, cached: boolean, write: () => Result): Promise<number> {
    const { ranges } = this.#handle;
    const { signal, nowait } = transfer.options ?? {};
    if (nowait === true && !ranges.free) throw this.#wouldWait(transfer);
    if (!cached && ranges.free) return (await write()) as number;
    const leave = await ranges.enter(from, to, cached, signal);
    try {
      return (await write()) as number;
    } finally {
      // An aborted write may still land.
      if (signal !== undefined && isAborted(signal)) this.#landed(cached).then(leave, leave);
      else leave();
    }
  }

  #wouldWait({ read }: Transfer): Error {
    return systemError(-EAGAIN, read ? 'read' : 'write', { path: this.#handle.target.path });
  }

  /** Resolves when the kernel is done with the writes of this kind that were made so far. */
  #landed(cached: boolean): Promise<void> {
    return cached ? this.#handle.cachedWritten() : this.#handle.engine.written(this.#handle.target);
  }

  #mayTransfer(options: RequestOptions | undefined): void {
    const { kind, nonblocking } = this.#nature;
    // The kernel's own answer would be EINVAL, which explains nothing.
    if (kind === 'directory') {
      const remedy = 'A directory can be opened to sync it; fs.readdir reads it';
      throw systemError(-EISDIR, 'read', { path: this.#handle.target.path, remedy });
    }
    if (kind !== 'stream' || nonblocking || options?.nowait === true) return;
    throw aioError(
      'ERR_AIO_WOULD_BLOCK',
      'This is a pipe, a socket, a terminal, an eventfd or a device like them: a read or write could wait for ever, and with it the ' +
        'thread. Open it with O_NONBLOCK and wait with context.poll(); where the kernel knows RWF_NOWAIT for it, not for a FIFO, ' +
        '{ nowait: true } will do as well',
    );
  }
}

/** What is asked for nothing comes to, without the kernel. */
function nothing(shape: Shape, buffer: unknown, callback: Callback | undefined): Result {
  if (callback === undefined) return Promise.resolve(shape(0, buffer));
  nextTick(callback, null, 0, buffer);
  return undefined;
}
