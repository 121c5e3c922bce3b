import { close as closeCallback, closeSync } from 'node:fs';
import { promisify } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import type { Closable, Engine } from '../engine/engine.ts';
import type { Target } from '../engine/target.ts';
import { everyOne, naming } from '../errors.ts';
import { openCached } from './cached.ts';
import { Line } from './line.ts';
import { Ranges } from './ranges.ts';

const closeDescriptor = promisify(closeCallback);

/**
 * The descriptor behind an AioFile, and the only thing of it that the engine knows: so an AioFile that nobody holds any more can be
 * collected, and its descriptor closed.
 */
export class Handle implements Closable {
  readonly engine: Engine;
  readonly target: Target;
  /** Which parts of the file are written through the page cache just now, by all its AioFiles. */
  readonly ranges: Ranges;
  readonly line: Line;
  /** The same file through the page cache, once it was needed. */
  #cached: Target | undefined;
  #openingCached: Promise<Target> | undefined;
  /** We opened the descriptor, so we close it. */
  readonly #owned: boolean;
  #closing: Promise<void> | undefined;
  #closed = false;
  /** Calls of fs and fallocate that have the descriptor's number. */
  #calls = new Set<Promise<unknown>>();
  #onClosed: (() => void) | undefined;

  constructor(engine: Engine, target: Target, inode: string, owned: boolean) {
    this.engine = engine;
    this.target = target;
    this.ranges = Ranges.join(inode, target, engine);
    this.line = new Line(target);
    this.#owned = owned;
    engine.addFile(this);
  }

  get closing(): boolean {
    return this.#closing !== undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Throws {@link fileClosed} once close() was called. */
  assertOpen(syscall: string): void {
    if (this.closing) throw fileClosed(syscall);
  }

  /** Runs something with the descriptor that is no request of the engine. It is waited for like one. */
  async with<T>(call: (fd: number) => Promise<T>): Promise<T> {
    const running = call(this.target.fd);
    this.#calls.add(running);
    try {
      return await naming(running);
    } finally {
      this.#calls.delete(running);
    }
  }

  /** Runs something that changes the file's size: once the requests made earlier are done, and before those made later begin. */
  async exclusively(run: (fd: number) => Promise<void>): Promise<void> {
    await this.with((fd) => this.line.exclusively(() => this.#changeSize(fd, run)));
  }

  async #changeSize(fd: number, run: (fd: number) => Promise<void>): Promise<void> {
    // Writes there that were aborted count no more, and may still land.
    await this.#cached?.idle();
    if (!this.target.direct) return await run(fd);
    // The kernel clears the rest of the last page in the page cache, which meets direct writes there as a write of a few bytes does.
    const leave = await this.ranges.enter(0, Number.POSITIVE_INFINITY, true, undefined);
    try {
      await run(fd);
    } finally {
      leave();
    }
  }

  /** The same file through the page cache: opened when it is first needed, closed with the file. */
  async cached(): Promise<Target> {
    this.#openingCached ??= openCached(this.target);
    try {
      this.#cached = await this.#openingCached;
      return this.#cached;
    } catch (error) {
      // What stood in the way may be gone the next time.
      this.#openingCached = undefined;
      throw error;
    }
  }

  /** Whether the kernel may still carry out a write through the page cache, even an aborted one. */
  get cachedBusy(): boolean {
    return this.#cached !== undefined && this.#cached.open > 0;
  }

  /** Resolves when the writes through the page cache that were requested so far are finished. */
  async cachedWritten(): Promise<void> {
    if (this.#cached !== undefined) await this.engine.written(this.#cached);
  }

  /** Resolves when nothing of the file is queued or in flight. */
  async drain(): Promise<void> {
    do {
      await Promise.allSettled(this.#calls);
      await this.#idle();
    } while (this.#calls.size > 0);
  }

  async #idle(): Promise<void> {
    await this.target.idle();
    await this.#cached?.idle();
  }

  /** Called once the descriptor is closed, whoever asked for it. */
  set onClosed(listener: () => void) {
    this.#onClosed = listener;
  }

  /** Waits for what was requested, then closes the descriptor: one that is used again can never receive an old write. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.drain();
    this.#closed = true;
    this.engine.removeFile(this);
    this.ranges.leave(this.target);
    const ours = [this.#cached, this.#owned ? this.target : undefined].filter((target) => target !== undefined);
    try {
      await everyOne(ours.map(closeOwned));
    } finally {
      // Linux lets go of a descriptor also where close(2) fails.
      this.#onClosed?.();
    }
  }
}

/** What Node's FileHandle rejects with once it is closed. */
export function fileClosed(syscall: string): Error {
  const error = new Error('file closed: make the request before close(), or open the file again');
  return Object.assign(error, { code: 'EBADF', syscall, errno: -9 });
}

/**
 * A worker that ends cancels calls of fs that wait for a thread, fs.close among them, and then nobody closes the descriptor (Node.js 20;
 * test/lifecycle/descriptors.test.ts). So workers close at once where close(2) does not wait for a server.
 */
async function closeOwned({ fd, storage }: Target): Promise<void> {
  if (isMainThread || storage === 'remote') await closeDescriptor(fd);
  else closeSync(fd);
}
