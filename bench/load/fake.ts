import { AioContext, type AioFile } from 'kaio';
import { type Binding, binding, type KernelContext } from '../internals.ts';
import type { TrialSpec } from '../protocol.ts';
import { PAGE_BYTES } from '../target.ts';
import { byCallback, byPromise, countersOf } from './kaio.ts';
import { type Load, placeOf } from './load.ts';

// Words of struct iocb and struct io_event that the fake reads and writes (assembly/iocb.ts and event.ts draw them).
const IOCB_BUF = 6;
const IOCB_BYTES = 8;
const IOCB_OFFSET = 10;
const EVENT_WORDS = 8;

/**
 * A kernel that completes every read at once, with the right first and last word of data. It is written for speed: what is measured
 * with it should be kaio's own cost. Little-endian hosts only.
 */
class FakeKernel {
  readonly #words: Int32Array;
  readonly #pool: Int32Array;
  readonly #controlBase: number;
  readonly #poolBase: number;
  readonly #pointers: number;
  readonly #events: number;
  readonly #report: number;
  readonly #onWake: Parameters<Binding['createContext']>[10];
  readonly #completed: Int32Array;
  #count = 0;
  #waking = false;

  constructor(real: Binding, args: Parameters<Binding['createContext']>) {
    const [control, pool, depth, pointersAt, eventsAt, reportAt] = args;
    this.#words = new Int32Array(control);
    this.#pool = new Int32Array(pool);
    // Only the lower halves are needed: neither memory is larger than 4 GiB.
    this.#controlBase = Number(real.addressOf(control) & 0xffffffffn) | 0;
    this.#poolBase = Number(real.addressOf(pool) & 0xffffffffn) | 0;
    this.#pointers = pointersAt / 4;
    this.#events = eventsAt / 4;
    this.#report = reportAt / 4;
    this.#onWake = args[10];
    this.#completed = new Int32Array(depth);
  }

  readonly submit = (first: number, count: number, most: number): void => {
    this.#take(first, count);
    const words = this.#words;
    words[this.#report] = count;
    words[this.#report + 1] = most === 0 ? 0 : this.reap();
    words[this.#report + 2] = 0;
  };

  #take(first: number, count: number): void {
    const words = this.#words;
    for (let i = first; i < first + count; i++) {
      this.#completed[this.#count++] = (words[this.#pointers + i * 2]! - this.#controlBase) >>> 2;
    }
    if (!this.#waking) {
      this.#waking = true;
      setImmediate(this.#wake);
    }
  }

  readonly reap = (): number => {
    const words = this.#words;
    const count = this.#count;
    let event = this.#events;
    for (let i = 0; i < count; i++, event += EVENT_WORDS) {
      const iocb = this.#completed[i]!;
      this.#transfer(iocb);
      words[event] = words[iocb]!;
      words[event + 1] = words[iocb + 1]!;
      words[event + 2] = (iocb << 2) + this.#controlBase;
      words[event + 3] = words[this.#pointers + 1]!;
      words[event + 4] = words[iocb + IOCB_BYTES]!;
      words[event + 5] = 0;
      words[event + 6] = 0;
      words[event + 7] = 0;
    }
    this.#count = 0;
    return count;
  };

  #transfer(iocb: number): void {
    const words = this.#words;
    const bytes = words[iocb + IOCB_BYTES]!;
    const at = (words[iocb + IOCB_BUF]! - this.#poolBase) >>> 2;
    const page = (words[iocb + IOCB_OFFSET]! >>> 12) | (words[iocb + IOCB_OFFSET + 1]! << 20);
    this.#pool[at] = page;
    this.#pool[at + bytes / 4 - 2] = page + bytes / PAGE_BYTES - 1;
  }

  readonly #wake = (): void => {
    this.#waking = false;
    const count = this.reap();
    if (count > 0) this.#onWake(count, true);
  };

  context(): KernelContext {
    return {
      eventfd: 0,
      submit: this.submit,
      reap: this.reap,
      offload: (first, count) => {
        this.#take(first, count);
        return 0;
      },
      cancel: () => 0,
      sleeps: () => 0,
      ref: () => {},
      unref: () => {},
      destroy: (callback) => setImmediate(callback),
    };
  }
}

/** kaio over a kernel that costs nothing: what is left is its own work in user space. */
export async function fakeLoad(spec: TrialSpec, style: 'promise' | 'callback'): Promise<Load> {
  const native = binding() as { -readonly [K in keyof Binding]: Binding[K] };
  native.createContext = (...args) => new FakeKernel(native, args).context();
  const { depth, bytes } = spec;
  const memory = Math.max(64 * 1024 * 1024, depth * bytes * 2);
  const context = new AioContext({ depth: spec.extra?.contextDepth ?? Math.max(depth, 128), memory });
  // Any file with direct I/O will do: nobody reads it. The time a real kernel takes is not there, so neither is a reason to go off-thread.
  const files: AioFile[] = [];
  for (let i = 0; i < (spec.extra?.files ?? 1); i++) {
    files.push(await context.open(process.execPath, 'r', { direct: 'auto', submit: 'inline' }));
  }
  if (spec.extra?.slow) slowDown(files[0]!);
  const places = Array.from({ length: depth }, () => placeOf(context.allocate(bytes)));
  const close = (): Promise<void> => context.close();
  const load = style === 'promise' ? byPromise(spec, places, files, close) : byCallback(spec, places, files, close);
  return { ...load, counters: () => countersOf(context.stats()) };
}

/** The regression that the guard must catch: each read does some work more, about half of what it costs. */
function slowDown(file: AioFile): void {
  const { read } = file as unknown as { read: (...args: unknown[]) => unknown };
  let waste = 1;
  const slow = (...args: unknown[]): unknown => {
    for (let i = 0; i < 60; i++) waste = Math.imul(waste, 0x9e3779b1) ^ (waste >>> 15);
    if (waste === 0) throw new Error('never');
    return read.apply(file, args);
  };
  Object.defineProperty(file, 'read', { value: slow });
}
