import { Fifo, type Request } from './request.ts';
import type { Turn } from './round.ts';

/**
 * Who submits a file's requests: `'auto'` tries on the event loop what will not wait and gives the rest to threads, `'inline'` submits
 * everything on the event loop, `'offload'` every transfer on threads. docs/architecture.md says what each promises.
 */
export type SubmitMode = 'auto' | 'inline' | 'offload';

/** What can be expected of a file's storage: memory answers at once, local storage in time, a network or FUSE when it likes. */
export type Storage = 'memory' | 'local' | 'remote';

/** What is remembered of how the kernel took RWF_NOWAIT, for one direction of one file. */
export class Memory {
  /** The kernel does not know the flag for this file. */
  flagOff = false;
  /** Attempts to skip after the next refusal, 1, 3, 7 ... 31. */
  backoff = 0;
  skip = 0;

  refused(): void {
    this.backoff = Math.min(this.backoff * 2 + 1, 31);
    this.skip = this.backoff;
  }

  accepted(): void {
    this.backoff = 0;
    this.skip = 0;
  }
}

export interface TargetOptions {
  fd: number;
  path: string | undefined;
  direct: boolean;
  /** Opened with O_APPEND: writes go one after another. */
  append: boolean;
  /** Bytes, as far as we know; Infinity for devices, which do not grow. */
  size: number;
  storage: Storage;
  submit: SubmitMode;
  /** Bytes that the address of a direct request's memory must be a multiple of; 1 where any will do. */
  memoryAlign: number;
  /** The same for the length of each piece of its memory. */
  lengthAlign: number;
}

/** One open descriptor as the engine sees it: its queues, and what it knows about it. */
export class Target {
  readonly fd: number;
  readonly path: string | undefined;
  readonly direct: boolean;
  readonly append: boolean;
  readonly storage: Storage;
  readonly submit: SubmitMode;
  readonly memoryAlign: number;
  readonly lengthAlign: number;
  size: number;
  readonly reads: Memory = new Memory();
  readonly writes: Memory = new Memory();
  /** Until then (performance.now) everything of this file goes off-thread: a submit took too long. 0 where it did not. */
  guardedUntilMs = 0;

  /** What may be tried on the event loop, and what a thread must submit. */
  readonly ready: Fifo = new Fifo();
  readonly slow: Fifo = new Fifo();
  /** Its places in the submitter's rounds. */
  readonly readyTurn: Turn = { in: false, next: undefined };
  readonly slowTurn: Turn = { in: false, next: undefined };
  /** Jobs of this file that threads have, and how many it may have at once. */
  jobs = 0;
  readonly maxJobs: number;

  /** The kernel or a thread has a write that appends. */
  appending = false;

  /** Requests that were made and are not finished, and the writes among them. */
  open = 0;
  openWrites = 0;
  /** The number that new writes get. A sync ends an epoch: it waits for the writes of it and of all before. */
  epoch = 0;
  /** Syncs that wait for earlier writes. */
  readonly barriers: Request[] = [];
  /** Writes that were aborted in flight and may still land, and the writes that wait because they overlap with one. */
  readonly stray: Request[] = [];
  readonly held: Request[] = [];
  /** What is open but waits for the rest to be over; and what to do when nothing else is open any more. */
  behind = 0;
  onQuiet: (() => void) | undefined = undefined;
  #idle: (() => void)[] = [];

  constructor(options: TargetOptions) {
    this.fd = options.fd;
    this.path = options.path;
    this.direct = options.direct;
    this.append = options.append;
    this.size = options.size;
    this.storage = options.storage;
    this.submit = options.submit;
    this.memoryAlign = options.memoryAlign;
    this.lengthAlign = options.lengthAlign;
    this.maxJobs = options.append || options.storage === 'remote' ? 1 : 2;
  }

  /** Resolves when nothing of this file is queued or in flight. */
  idle(): Promise<void> {
    return this.open === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Nothing is queued or in flight but what waits for that. */
  get quiet(): boolean {
    return this.open === this.behind;
  }

  /** Something of this file begins that must be waited for, and ends. */
  hold(): void {
    this.open++;
  }

  release(): void {
    this.open--;
    if (this.onQuiet !== undefined && this.quiet) this.onQuiet();
    if (this.open > 0 || this.#idle.length === 0) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }
}
