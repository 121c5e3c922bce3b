import { createHistogram } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';
import { bigEndian, instantiatePacker, type Packer } from '../layout/packer.ts';
import { reserveMemory } from '../raw/arena.ts';
import type { Binding, KernelContext } from '../raw/binding.ts';
import { Core, IOVECS_PER_SLOT } from './core.ts';
import { setupError } from './limits.ts';
import { MAX_THREADS, WAKE_REQUESTS } from './policy.ts';
import type { Pool } from './pool.ts';

const WASM_PAGE_BYTES = 65536;
const REPORT_WORDS = 3;

export interface EngineOptions {
  /** Requests in flight at once. */
  depth: number;
  /** Bytes of the data pool. */
  memory: number;
  hugePages: boolean;
  /** Measure the latency of every request. */
  latency: boolean;
  /** Read the completion ring in memory; otherwise by io_getevents. */
  ring: boolean;
}

/** Makes the kernel's context and the packer of its control memory. Throws what io_setup or eventfd answers, with the remedy. */
export function setUp(
  { depth, latency, ring }: EngineOptions,
  pool: Pool,
  binding: Binding,
  onWake: (count: number, first: boolean) => void,
): Core {
  const iovecs = depth * IOVECS_PER_SLOT;
  const [control, packer] = controlMemory(depth, iovecs);
  binding.madvise(control.buffer, binding.MADV_DONTFORK);
  const context = binding.createContext(
    control.buffer,
    pool.arena.buffer,
    depth,
    packer.pointersAt(depth),
    packer.eventsAt(depth),
    packer.reportAt(),
    ring,
    MAX_THREADS,
    // At the end of a process the kernel destroys what is left, and does it quicker; a worker's end must wait for it.
    !isMainThread,
    WAKE_REQUESTS,
    onWake,
  );
  if ('errno' in context) throw setupError(context, depth);
  const base = binding.addressOf(control.buffer);
  packer.init(depth, iovecs, base, pool.arena.address, context.eventfd, bigEndian ? 1 : 0);
  const words = depth * packer.completion_words.value;
  const completions = new Int32Array(control.buffer, packer.completionsAt(depth), words);
  const histogram = latency ? createHistogram() : undefined;
  const report = new Int32Array(control.buffer, packer.reportAt(), REPORT_WORDS);
  return new Core(depth, context as KernelContext, packer, pool, completions, report, histogram);
}

/** The packer's own memory. It is never handed to anybody: whoever can write an iocb can make the kernel write anywhere. */
function controlMemory(depth: number, iovecs: number): [{ readonly buffer: ArrayBuffer }, Packer] {
  const sizing = instantiatePacker(reserveMemory(1));
  const pages = Math.ceil(sizing.controlBytes(depth, iovecs) / WASM_PAGE_BYTES);
  const memory = reserveMemory(pages);
  return [memory, instantiatePacker(memory)];
}
