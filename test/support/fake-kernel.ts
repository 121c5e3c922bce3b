import { constants } from 'node:os';
import { Engine } from '../../src/engine/engine.ts';
import type { EngineOptions } from '../../src/engine/setup.ts';
import { Target, type TargetOptions } from '../../src/engine/target.ts';
import type { Binding, KernelContext } from '../../src/raw/binding.ts';

/** An iocb as the fake kernel reads it from the control memory, written by nobody but the packer. */
export interface Submitted {
  at: number;
  data: bigint;
  opcode: number;
  fd: number;
  rwFlags: number;
  reqprio: number;
  buffer: number;
  nbytes: number;
  position: number;
  /** Its completion signals the eventfd (IOCB_FLAG_RESFD). */
  signals: boolean;
  offThread: boolean;
}

/** What a call of io_submit answers; undefined takes everything. */
export type SubmitRule = (batch: readonly Submitted[]) => number | undefined;

const CONTROL_BASE = 0x5500_0000_0000n;
const POOL_BASE = 0x6600_0000_0000n;

/** A kernel in JavaScript that does nothing until it is told to: tests decide what completes, when, and how. */
export class FakeKernel {
  /** What was accepted and has not completed, in order of submission. */
  readonly inFlight: Submitted[] = [];
  /** Sizes of the io_submit calls that were made on the event loop. */
  readonly calls: number[] = [];
  /** Everything that was ever accepted. */
  readonly history: Submitted[] = [];
  rule: SubmitRule = () => undefined;
  /** Whether requests have completed when the call that submits them returns, as those to memory have; or what those of the call come to. */
  prompt: boolean | ((iocb: Submitted) => number) = false;
  /** What a job for a thread is answered: 0, or a negated errno where none can be made. */
  offloaded = 0;
  /** How often this thread has slept: rules that stand still count it up. */
  sleeps = 0;
  destroyed = false;
  referenced = false;
  readonly cancelled: Submitted[] = [];
  #control = new DataView(new ArrayBuffer(0));
  #pool = new ArrayBuffer(0);
  #pointersAt = 0;
  #eventsAt = 0;
  #reportAt = 0;
  #ready: { data: bigint; obj: bigint; res: number; res2: number }[] = [];
  #wakeMost = 1;
  #onWake: (count: number, first: boolean) => void = () => {};
  #woken = false;

  get binding(): Binding {
    const refuse = (): never => {
      throw new Error('the fake kernel has no such call');
    };
    return {
      io_setup: refuse,
      io_destroy: refuse,
      io_submit: refuse,
      io_getevents: refuse,
      io_pgetevents: refuse,
      io_cancel: refuse,
      eventfd: refuse,
      io_uring_setup: refuse,
      readRing: refuse,
      statx: refuse,
      fallocate: refuse,
      lseek: refuse,
      statusFlags: refuse,
      madvise: () => 0,
      MADV_DONTFORK: 10,
      MADV_HUGEPAGE: 14,
      addressOf: (view) => (view === this.#control.buffer ? CONTROL_BASE : POOL_BASE),
      createContext: (
        control,
        pool,
        _depth,
        pointersAt,
        eventsAt,
        reportAt,
        _ring,
        _threads,
        _atExit,
        wakeMost,
        onWake,
      ) => {
        this.#control = new DataView(control);
        this.#pool = pool;
        this.#pointersAt = pointersAt;
        this.#eventsAt = eventsAt;
        this.#reportAt = reportAt;
        this.#wakeMost = wakeMost;
        this.#onWake = onWake;
        return this.#context();
      },
    };
  }

  #context(): KernelContext {
    return {
      eventfd: 99,
      submit: (first, count, most) => {
        const begun = performance.now();
        const taken = this.#submit(first, count);
        const tookUs = (performance.now() - begun) * 1000;
        const reaped = taken === count && most > 0 ? this.#flush(most) : 0;
        new Int32Array(this.#control.buffer, this.#reportAt, 3).set([taken, reaped, tookUs]);
      },
      offload: (first, count) => {
        if (this.offloaded !== 0) return this.offloaded;
        for (const iocb of this.#read(first, count)) this.#accept({ ...iocb, offThread: true });
        return 0;
      },
      reap: () => this.#flush(128),
      cancel: (index) => {
        const [iocb] = this.#read(index, 1);
        if (!this.inFlight.some(({ data }) => data === iocb!.data)) return -constants.errno.EINVAL;
        this.cancelled.push(iocb!);
        return -constants.errno.EINPROGRESS;
      },
      sleeps: () => this.sleeps,
      ref: () => {
        this.referenced = true;
      },
      unref: () => {
        this.referenced = false;
      },
      // The native one hears of it once, too.
      destroy: (callback) => {
        if (!this.destroyed) setImmediate(callback);
        this.destroyed = true;
      },
    };
  }

  #submit(first: number, count: number): number {
    const batch = this.#read(first, count);
    this.calls.push(count);
    const answer = this.rule(batch) ?? count;
    const taken = batch.slice(0, Math.max(answer, 0));
    for (const iocb of taken) this.#accept(iocb);
    if (this.prompt === true) this.completeAll();
    else if (this.prompt) for (const iocb of taken) this.complete(iocb, this.prompt(iocb));
    return answer;
  }

  #accept(iocb: Submitted): void {
    this.inFlight.push(iocb);
    this.history.push(iocb);
  }

  #read(first: number, count: number): Submitted[] {
    return Array.from({ length: count }, (_, i) => {
      const pointer = this.#control.getBigUint64(this.#pointersAt + (first + i) * 8, true);
      const at = Number(pointer - CONTROL_BASE);
      const view = this.#control;
      return {
        at,
        data: view.getBigUint64(at, true),
        rwFlags: view.getUint32(at + 12, true),
        opcode: view.getUint16(at + 16, true),
        reqprio: view.getInt16(at + 18, true),
        fd: view.getUint32(at + 20, true),
        buffer: Number(view.getBigUint64(at + 24, true) - POOL_BASE),
        nbytes: Number(view.getBigUint64(at + 32, true)),
        position: Number(view.getBigInt64(at + 40, true)),
        signals: (view.getUint32(at + 56, true) & 1) === 1,
        offThread: false,
      };
    });
  }

  /** Bytes of the pool that a request reads from or writes to. */
  bytesOf({ buffer, nbytes }: Submitted): Uint8Array {
    return new Uint8Array(this.#pool, buffer, nbytes);
  }

  /** Completes a request; the engine hears of it in the next turn of the event loop, or when it looks. */
  complete(iocb: Submitted, res: number, res2 = 0): void {
    const index = this.inFlight.indexOf(iocb);
    if (index === -1) throw new Error('this request is not in flight');
    this.inFlight.splice(index, 1);
    this.post(iocb.data, CONTROL_BASE + BigInt(iocb.at), res, res2, iocb.signals);
  }

  /** Completes all with their full length, the last one first if asked so. */
  completeAll(reverse = false): void {
    const all = [...this.inFlight];
    for (const iocb of reverse ? all.reverse() : all) this.complete(iocb, iocb.nbytes);
  }

  /** An event as the kernel would write it, also one that it never would. */
  post(data: bigint, obj: bigint, res: number, res2 = 0, signals = true): void {
    this.#ready.push({ data, obj, res, res2 });
    if (this.#woken || !signals) return;
    this.#woken = true;
    setImmediate(() => {
      this.#woken = false;
      this.#wake(true);
    });
  }

  /** The loop turns within whatever runs now, as it does for a program that waits so (deasync): what has completed is told of at once. */
  turnNow(): void {
    this.#wake(true);
  }

  /** In pieces, as the native module does: what one brings about, in microtasks and in ticks, is done before the next. */
  #wake(first: boolean): void {
    const count = this.#flush(this.#wakeMost);
    if (count === 0) return;
    this.#onWake(count, first);
    queueMicrotask(() => process.nextTick(() => this.#wake(false)));
  }

  #flush(most: number): number {
    const events = this.#ready.splice(0, most);
    for (const [i, { data, obj, res, res2 }] of events.entries()) {
      const at = this.#eventsAt + i * 32;
      this.#control.setBigUint64(at, data, true);
      this.#control.setBigUint64(at + 8, obj, true);
      this.#control.setBigInt64(at + 16, BigInt(res), true);
      this.#control.setBigInt64(at + 24, BigInt(res2), true);
    }
    return events.length;
  }
}

/** An engine over a fake kernel. */
export function fakeEngine(options: Partial<EngineOptions> = {}): { kernel: FakeKernel; engine: Engine } {
  const kernel = new FakeKernel();
  const engine = new Engine(
    { depth: 128, memory: 16 << 20, hugePages: false, latency: false, ring: true, ...options },
    kernel.binding,
  );
  return { kernel, engine };
}

let nextFd = 1000;

/** A file of 1 GiB that takes everything inline. */
export function fakeTarget(options: Partial<TargetOptions> = {}): Target {
  return new Target({
    fd: nextFd++,
    path: '/fake',
    direct: true,
    append: false,
    size: 2 ** 30,
    storage: 'local',
    submit: 'auto',
    memoryAlign: 512,
    lengthAlign: 512,
    ...options,
  });
}

/**
 * Lets the event loop turn: what was requested is submitted, what was completed is settled. A few times, because the submitter's budget
 * spreads slices over several turns on a busy machine.
 */
export async function turn(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}
