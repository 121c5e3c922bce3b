import type { RecordableHistogram } from 'node:perf_hooks';
import type { CodedError } from '../errors.ts';
import { IOCB_CMD_POLL } from '../layout/constants.ts';
import type { Packer } from '../layout/packer.ts';
import type { KernelContext } from '../raw/binding.ts';
import { Loop } from './loop.ts';
import { isWrite } from './policy.ts';
import type { Pool } from './pool.ts';
import { type Request, RequestPool } from './request.ts';
import { Slots } from './slots.ts';
import { Counters } from './stats.ts';

/** Entries of the iovec table that belong to each slot. */
export const IOVECS_PER_SLOT = 8;

/** What the submitter and the completer of one context share. */
export class Core {
  readonly depth: number;
  readonly kernel: KernelContext;
  readonly packer: Packer;
  readonly pool: Pool;
  /** Decoded completions, as the packer leaves them: slot, res, res2. */
  readonly completions: Int32Array;
  readonly completionWords: number;
  /** Of the last submit: requests taken or a negated errno, events reaped, microseconds. */
  readonly report: Int32Array;
  readonly slots: Slots;
  readonly counters: Counters = new Counters();
  /** Latencies in nanoseconds, from the submit to the wake-up that brought the event; only if they were asked for. */
  readonly latency: RecordableHistogram | undefined;
  readonly requests: RequestPool = new RequestPool();
  readonly loop: Loop = new Loop();
  /** Requests with a slot whose completion will not wake the loop. */
  unheard = 0;
  /** Polls with a slot: they may never complete. */
  polls = 0;
  /** Bytes that the kernel and the threads have. */
  inFlightBytes = 0;
  /** Milliseconds of submits, and of copying for them, in this turn of the event loop. */
  spentMs = 0;
  /** When the present requests are submitted (performance.now), where latencies are measured; else 0. */
  nowMs = 0;
  /** Why nothing more is submitted and no event is taken: the context is closed, or something ended it before its time. */
  poison: CodedError | undefined = undefined;

  constructor(
    depth: number,
    kernel: KernelContext,
    packer: Packer,
    pool: Pool,
    completions: Int32Array,
    report: Int32Array,
    latency: RecordableHistogram | undefined,
  ) {
    this.depth = depth;
    this.kernel = kernel;
    this.packer = packer;
    this.pool = pool;
    this.completions = completions;
    this.report = report;
    this.completionWords = packer.completion_words.value;
    this.latency = latency;
    this.slots = new Slots(depth);
  }

  /** How busy the context is, as the messages of its channels say it. */
  get load(): { inFlight: number; inFlightBytes: number } {
    return { inFlight: this.slots.used, inFlightBytes: this.inFlightBytes };
  }

  /** Frees the slot of a request that the kernel is done with. */
  leave(request: Request): void {
    const { target } = request;
    this.slots.release(request);
    this.inFlightBytes -= request.length;
    if (target.append && isWrite(request.op)) target.appending = false;
    if (request.op === IOCB_CMD_POLL) this.polls--;
    if (!request.unheard) return;
    request.unheard = false;
    this.unheard--;
  }

  /** Frees all slots: the kernel's context has ended, and has nothing any more. */
  leaveAll(): void {
    for (let slot = 0; slot < this.depth; slot++) {
      const request = this.slots.at(slot);
      if (request !== undefined) this.leave(request);
    }
  }
}
