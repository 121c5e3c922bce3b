import { AsyncResource } from 'node:async_hooks';
import type { PathLike } from 'node:fs';
import { Engine } from '../engine/engine.ts';
import type { PoolBuffer } from '../engine/pool.ts';
import type { AioStats } from '../engine/stats.ts';
import { invalidArgType, naming, outOfRange } from '../errors.ts';
import { IOCB_CMD_POLL } from '../layout/constants.ts';
import { binding } from '../raw/binding.ts';
import { checkOptions } from './arguments.ts';
import { forget, watchForDrop } from './dropped.ts';
import type { AioFile } from './file.ts';
import { inspectAs } from './inspect.ts';
import { type AttachOptions, attachFile, descriptorTarget, type FileOptions, openFile } from './open.ts';

const DEFAULT_DEPTH = 128;
const MAX_DEPTH = 65535;
const DEFAULT_MEMORY_BYTES = 64 * 1024 * 1024;
const MIN_MEMORY_BYTES = 64 * 1024;
const MAX_MEMORY_BYTES = 65535 * 65536;

/** Who makes the default context: its wake-ups would keep the asynchronous context of whoever asked first alive, and show it to subscribers. */
const nobody = new AsyncResource('AIOCONTEXT');

/** Options of {@link AioContext}. */
export interface AioContextOptions {
  /** Requests in flight at once, 1 to 65535; default 128. More wait in queues. They count against fs.aio-max-nr. */
  depth?: number;
  /**
   * Bytes of memory for buffers, 65536 to 4294901760; default 64 MiB. It takes address space at once and memory as it is touched. A
   * quarter of it, at most 16 MiB, is kept for copying buffers from elsewhere.
   */
  memory?: number;
  /** Ask for transparent huge pages; default true. */
  hugePages?: boolean;
  /** Measure how long every request takes: `stats().latency`. It costs about 25 ns a request; default false. */
  latency?: boolean;
}

/** Options of {@link AioContext.poll}. */
export interface PollOptions {
  /** Ends the wait: the promise rejects with AbortError. */
  signal?: AbortSignal;
}

/**
 * A kernel context (io_setup(2)) with its memory. Most programs need one, {@link AioContext.default}; a second one has a queue and a
 * quota of its own. It belongs to the thread that made it. Close it when you are done: one that is dropped is closed with a warning when
 * it is collected, and at the end of its thread in any case.
 *
 * @example
 * ```ts
 * import { AioContext } from 'kaio';
 *
 * await using context = new AioContext({ depth: 256, memory: 256 * 1024 * 1024 });
 * await using file = await context.open('data.bin', 'r+');
 * using buffer = context.allocate(65536);
 * await file.read(buffer, 0, 65536, 0);
 * ```
 */
export class AioContext implements AsyncDisposable {
  static #default: AioContext | undefined;
  readonly #engine: Engine;

  /**
   * @throws `ERR_AIO_UNSUPPORTED` where there is no native module, `ERR_AIO_NO_MEMORY` where the address space does not suffice,
   * `ERR_INVALID_ARG_TYPE` and `ERR_OUT_OF_RANGE` for wrong options, and the system error of io_setup or eventfd with the remedy in its
   * message: EAGAIN (fs.aio-max-nr is reached), ENOSYS, EPERM, ENOMEM, EMFILE.
   */
  constructor(options: AioContextOptions = {}) {
    if (typeof options !== 'object' || options === null) throw invalidArgType('options', 'of type object', options);
    const { depth = DEFAULT_DEPTH, memory = DEFAULT_MEMORY_BYTES, hugePages = true, latency = false } = options;
    checkNumber('options.depth', depth, 1, MAX_DEPTH);
    checkNumber('options.memory', memory, MIN_MEMORY_BYTES, MAX_MEMORY_BYTES);
    if (typeof hugePages !== 'boolean') throw invalidArgType('options.hugePages', 'of type boolean', hugePages);
    if (typeof latency !== 'boolean') throw invalidArgType('options.latency', 'of type boolean', latency);
    this.#engine = new Engine(
      { depth, memory, hugePages, latency, ring: process.env.KAIO_REAP !== 'io_getevents' },
      binding(),
    );
    const engine = this.#engine;
    watchForDrop(this, 'An AioContext', () => engine.close());
  }

  /**
   * The context of this thread, made on first use with the default options, and anew after it was closed. It never keeps an idle program
   * alive and need not be closed. Throws what the constructor does.
   */
  static get default(): AioContext {
    if (AioContext.#default === undefined || AioContext.#default.#engine.closing)
      AioContext.#default = nobody.runInAsyncScope(() => new AioContext());
    return AioContext.#default;
  }

  /**
   * Opens a file, as `fs.promises.open`, by default for direct I/O.
   *
   * @param flags As for `fs.open`; default `'r'`.
   * @param options {@link FileOptions}, or just the mode.
   * @returns The file, which is yours to close; closing the context closes it too.
   * @throws (rejects) the system error of open(2); `ERR_AIO_DIRECT_UNSUPPORTED` where direct I/O was asked for and there is none;
   * `ERR_AIO_CONTEXT_CLOSED`; Node's argument errors.
   */
  async open(
    path: PathLike,
    flags: string | number = 'r',
    options: FileOptions | number | string = {},
  ): Promise<AioFile> {
    const given = typeof options === 'object' && options !== null ? options : { mode: options };
    return await naming(openFile(this, this.#engine, path, flags, given));
  }

  /**
   * Takes part in a descriptor that somebody else opened and goes on to own: closing the AioFile leaves it open. Keep it open until that
   * close has resolved, or a request could meet another file under its number. Flags such as O_DIRECT and O_APPEND are those it has.
   *
   * @throws (rejects) EBADF where this is no open descriptor; `ERR_AIO_CONTEXT_CLOSED`; Node's argument errors.
   */
  async attach(fd: number, options: AttachOptions = {}): Promise<AioFile> {
    checkNumber('fd', fd, 0, 0x7fffffff);
    return await naming(attachFile(this, this.#engine, fd, options));
  }

  /**
   * Memory for requests: zeroed, aligned to 4096 bytes, and in place until you dispose it, whatever the garbage collector does. The
   * kernel reads and writes it without a copy. A buffer that is in flight when it is disposed is given back at its event.
   *
   * @param byteLength At least 1; it takes a multiple of 4096 from the context's memory.
   * @throws `ERR_AIO_NO_MEMORY` where no free run is long enough, `ERR_AIO_CONTEXT_CLOSED`, `ERR_OUT_OF_RANGE`.
   */
  allocate(byteLength: number): PoolBuffer {
    this.#engine.assertOpen();
    return this.#engine.pool.allocate(byteLength);
  }

  /** Whether `close` has been called. */
  get closed(): boolean {
    return this.#engine.closing;
  }

  /**
   * Waits until a descriptor is ready, once (IOCB_CMD_POLL, Linux 4.19): any that poll(2) takes, such as pipes, sockets, eventfds.
   *
   * The descriptor must stay open until then. Closing the context ends it with `ERR_AIO_CONTEXT_CLOSED`.
   *
   * @param events What to wait for, as in <poll.h>, 1 to 65535: 1 POLLIN, 4 POLLOUT, ...; POLLERR and POLLHUP always count. `POLLIN` and the
   * others are in `kaio/layout`.
   * @returns The events that are there.
   * @throws (rejects) EBADF; EINVAL where the kernel cannot poll it (a pseudo-terminal); an AbortError.
   */
  async poll(fd: number, events: number, options: PollOptions = {}): Promise<number> {
    checkNumber('fd', fd, 0, 0x7fffffff);
    checkNumber('events', events, 1, 0xffff);
    const checked = checkOptions(options);
    const shape = (ready: number): number => ready;
    return (await this.#engine.command(
      IOCB_CMD_POLL,
      descriptorTarget(fd),
      events,
      checked,
      shape,
      undefined,
    )) as number;
  }

  /** What this context has done and is doing, as of now: a snapshot, but for the histogram of latencies, which goes on. */
  stats(): AioStats {
    return this.#engine.stats();
  }

  /** Requests in flight keep the event loop alive: so it is at first. */
  ref(): this {
    this.#engine.keepAlive(true);
    return this;
  }

  /** Requests in flight no longer keep the event loop alive. */
  unref(): this {
    this.#engine.keepAlive(false);
    return this;
  }

  /**
   * Refuses new requests, ends polls, waits for the requests that were made, closes the files and gives the kernel's context back, which takes
   * about 30 ms. Safe to call again. Buffers of the context can still be looked at afterwards. Streams are not ended by it, as they are by
   * {@link AioFile.close}: one that still has something to read or write fails with EBADF.
   *
   * @throws (rejects) the first system error with which a file did not close. Everything else is closed by then all the same.
   */
  close(): Promise<void> {
    forget(this);
    return this.#engine.close();
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

inspectAs(AioContext, (context) => {
  const { depth, queued, inFlight, freeBytes } = context.stats();
  return { closed: context.closed, depth, queued, inFlight, freeBytes };
});

function checkNumber(name: string, value: unknown, least: number, most: number): void {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value);
  if (!Number.isInteger(value) || value < least || value > most)
    throw outOfRange(name, `an integer >= ${least} && <= ${most}`, value);
}
