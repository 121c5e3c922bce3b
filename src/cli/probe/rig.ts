import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { setupError } from '../../engine/limits.ts';
import { systemError } from '../../errors.ts';
import {
  decodeIoEvents,
  encodeBatch,
  IOCB_CMD_PREAD,
  IOCB_CMD_PWRITE,
  IOCB_FLAG_RESFD,
  layoutOf,
  RWF_NOWAIT,
} from '../../layout/index.ts';
import { Arena } from '../../raw/arena.ts';
import { binding, type KernelContext } from '../../raw/binding.ts';

/** How many requests a rig has room for. */
export const RIG_REQUESTS = 32;
/** What the native module reports of a submit, in 32-bit words. */
const REPORT_WORDS = 3;
/** What does not complete for so long is lost: nothing more can be measured. */
const PATIENCE_MS = 30_000;

/** A request as kaio would make it, but without any of kaio's decisions. */
export interface Transfer {
  readonly fd: number;
  readonly write: boolean;
  /** Bytes from the start of the file, and how many. */
  readonly position: number;
  readonly bytes: number;
  /** With RWF_NOWAIT. */
  readonly nowait?: boolean;
  /** Bytes by which its memory misses a multiple of 65536. */
  readonly skew?: number;
}

/** What became of one request. */
export interface Round {
  /** Bytes, or the name of the error: of io_submit itself, or of the event. */
  readonly result: number | string;
  /** How long io_submit held the thread, and how long it was until the event was seen. */
  readonly submitUs: number;
  readonly totalUs: number;
  /** The event was not there when io_submit returned: the kernel went on without the thread. */
  readonly pending: boolean;
  /** The thread slept in io_submit: it waited there for something else than a processor. */
  readonly slept: boolean;
  /** It lost its processor there: what is done by then may have been done by another thread. */
  readonly preempted: boolean;
}

/** A context of the kernel and a piece of memory, for requests that are made one at a time or all at once, and timed. */
export class Rig {
  readonly memory: Buffer;
  readonly #kernel: KernelContext;
  readonly #arena: Arena;
  readonly #iocbs: Buffer;
  readonly #pointers: Buffer;
  readonly #events: Buffer;
  /** Of the last submit: how many were taken or a negated errno, and how many events were there when it returned. */
  readonly #report: Int32Array;
  #woken: (count: number) => void = () => {};
  #lost = false;

  /**
   * @param bytes Of memory, all that its requests transfer.
   * @throws ERR_AIO_NO_MEMORY, or the system error of io_setup or eventfd, with its remedy.
   */
  constructor(bytes: number) {
    this.#arena = new Arena(2 * bytes + RIG_REQUESTS * 256 + 3 * 65536);
    // Touched, so that no page has to be made while it is timed; not all the same, so that nothing can be stored smaller.
    this.memory = this.#aligned(bytes);
    for (let at = 0; at < bytes; at += 4) this.memory.writeUInt32LE(Math.imul(at + 1, 0x9e3779b1) >>> 0, at);
    const size = (struct: 'iocb' | 'iocbp' | 'io_event'): number => RIG_REQUESTS * layoutOf(struct).size;
    this.#iocbs = this.#arena.allocate(size('iocb'));
    this.#pointers = this.#arena.allocate(size('iocbp'));
    this.#events = this.#arena.allocate(size('io_event'));
    const { buffer } = this.#arena;
    this.#report = new Int32Array(buffer, this.#arena.allocate(REPORT_WORDS * 4).byteOffset, REPORT_WORDS);
    const kernel = binding().createContext(
      buffer,
      buffer,
      RIG_REQUESTS,
      this.#pointers.byteOffset,
      this.#events.byteOffset,
      this.#report.byteOffset,
      true,
      1,
      false,
      RIG_REQUESTS,
      (count) => this.#woken(count),
    );
    if ('errno' in kernel) throw setupError(kernel, RIG_REQUESTS);
    this.#kernel = kernel;
  }

  /** A request by itself. */
  async one(transfer: Transfer): Promise<Round> {
    this.#pack([transfer]);
    const done = this.#completions(1);
    const slept = this.#kernel.sleeps();
    const preempted = preemptions();
    const began = performance.now();
    this.#kernel.submit(0, 1, 1);
    const returned = performance.now();
    const [taken, there] = this.#outcome();
    const sleptAfter = this.#kernel.sleeps();
    const preemptedAfter = there > 0 ? preemptions() : preempted;
    const ended = taken < 1 || there > 0 ? returned : await this.#wait(done);
    const result = taken < 1 ? taken : Number(decodeIoEvents(this.#events)[0]!.res);
    return {
      result: result < 0 ? systemError(result, 'io_submit').code : result,
      submitUs: (returned - began) * 1000,
      totalUs: (ended - began) * 1000,
      pending: taken === 1 && there === 0,
      slept: sleptAfter !== slept,
      preempted: preemptedAfter !== preempted,
    };
  }

  /** Requests that are submitted together: how long until the last has completed, in microseconds. */
  async all(transfers: readonly Transfer[]): Promise<number> {
    this.#pack(transfers);
    const began = performance.now();
    this.#kernel.submit(0, transfers.length, transfers.length);
    const [taken, there] = this.#outcome();
    if (taken < 1) throw systemError(taken, 'io_submit');
    const done = this.#completions(taken);
    this.#woken(there);
    return ((await this.#wait(done)) - began) * 1000;
  }

  /** Gives all back; not where a request is lost, for which that would wait. */
  close(): Promise<void> {
    return this.#lost ? Promise.resolve() : new Promise((resolve) => this.#kernel.destroy(resolve));
  }

  /** Memory whose address is a multiple of 65536, the largest block there is, with as much again for what is skewed. */
  #aligned(bytes: number): Buffer {
    const room = this.#arena.allocate(bytes + 2 * 65536);
    const skip = Number(-this.#arena.addressOf(room) & 0xffffn);
    return room.subarray(skip, skip + bytes + 65536);
  }

  #outcome(): [taken: number, there: number] {
    const [taken, there] = this.#report;
    return [taken!, there!];
  }

  #pack(transfers: readonly Transfer[]): void {
    const address = this.#arena.addressOf(this.memory);
    let at = 0;
    const requests = transfers.map(({ fd, write, position, bytes, nowait, skew = 0 }) => {
      const aio_buf = address + BigInt(at + skew);
      at += bytes;
      return {
        aio_lio_opcode: write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
        aio_fildes: fd,
        aio_buf,
        aio_nbytes: bytes,
        aio_offset: position,
        aio_rw_flags: nowait ? RWF_NOWAIT : 0,
        aio_flags: IOCB_FLAG_RESFD,
        aio_resfd: this.#kernel.eventfd,
      };
    });
    const { iocbs, pointers } = encodeBatch(requests, this.#arena.addressOf(this.#iocbs));
    this.#iocbs.set(iocbs);
    this.#pointers.set(pointers);
  }

  /** Resolves, at the moment it happens, to the time at which so many events have come. */
  #completions(wanted: number): Promise<number> {
    let left = wanted;
    return new Promise((resolve) => {
      this.#woken = (count) => {
        left -= count;
        if (left <= 0) resolve(performance.now());
      };
    });
  }

  async #wait(done: Promise<number>): Promise<number> {
    const patience = new AbortController();
    this.#kernel.ref();
    try {
      const late = sleep(PATIENCE_MS, undefined, { signal: patience.signal }).catch(() => undefined);
      const ended = await Promise.race([done, late]);
      if (ended !== undefined) return ended;
      this.#lost = true;
      throw systemError(-110, 'io_getevents', { remedy: `Nothing has completed for ${PATIENCE_MS / 1000} s` });
    } finally {
      this.#kernel.unref();
      patience.abort();
    }
  }
}

/** How often this thread has lost its processor to another, so far; always 0 where /proc does not say. */
function preemptions(): number {
  try {
    const status = readFileSync('/proc/thread-self/status', 'latin1');
    return Number(/^nonvoluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
