import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Latencies } from './latencies.ts';
import type { LoadSpec, Tally } from './load.ts';
import type { BenchOptions, EngineName } from './options.ts';
import type { BenchTarget } from './target.ts';

/** What one engine came to. */
export interface EngineResult {
  readonly engine: EngineName;
  requests: number;
  wallMs: number;
  /** CPU of the whole process while this engine ran, in microseconds. */
  userUs: number;
  systemUs: number;
  readonly latencies: Latencies;
  /** Requests per second of each slice, in order. */
  readonly perSecond: number[];
}

/** Engines take turns of this length, so that what else the machine does meets them all. */
const SLICE_MS = 500;
const WARM_UP_MS = 250;

/** Runs every engine for its time, in turns. `live` hears after each slice how it went. */
export async function runEngines(
  options: BenchOptions,
  target: BenchTarget,
  live: (result: EngineResult, share: number) => void,
): Promise<EngineResult[]> {
  const crews: Crew[] = [];
  try {
    for (const engine of options.engines) crews.push(await Crew.start(engine, options, target));
    for (const crew of crews) await crew.run(WARM_UP_MS);
    const results = crews.map(({ engine }) => emptyResult(engine));
    const slices = Math.max(1, Math.ceil(options.runtimeMs / SLICE_MS));
    const sliceMs = options.runtimeMs / slices;
    for (let slice = 0; slice < slices; slice++) {
      for (const [i, crew] of crews.entries()) {
        await measure(crew, sliceMs, results[i]!);
        live(results[i]!, (slice * crews.length + i + 1) / (slices * crews.length));
      }
    }
    return results;
  } finally {
    await Promise.all(crews.map((crew) => crew.end()));
  }
}

function emptyResult(engine: EngineName): EngineResult {
  return { engine, requests: 0, wallMs: 0, userUs: 0, systemUs: 0, latencies: new Latencies(), perSecond: [] };
}

async function measure(crew: Crew, milliseconds: number, result: EngineResult): Promise<void> {
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const tallies = await crew.run(milliseconds);
  const wallMs = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpu);
  const requests = tallies.reduce((sum, tally) => sum + tally.requests, 0);
  for (const tally of tallies) result.latencies.merge(new Latencies(tally.latencies));
  result.requests += requests;
  result.wallMs += wallMs;
  result.userUs += user;
  result.systemUs += system;
  result.perSecond.push((requests / wallMs) * 1000);
}

/** The workers of one engine. */
class Crew {
  readonly engine: EngineName;
  readonly #workers: readonly Worker[];
  /** Each has exited or failed. It listens from the first moment on: a worker may end before anybody waits for that. */
  readonly #gone: Promise<unknown>;

  private constructor(engine: EngineName, workers: readonly Worker[]) {
    this.engine = engine;
    this.#workers = workers;
    this.#gone = Promise.allSettled(workers.map((worker) => once(worker, 'exit')));
  }

  static async start(engine: EngineName, options: BenchOptions, target: BenchTarget): Promise<Crew> {
    const { mode, blockBytes, depth } = options;
    const workers = Array.from({ length: options.workers }, (_, i) => {
      const workerData: LoadSpec = {
        engine,
        path: target.path,
        mode,
        blockBytes,
        targetBytes: target.bytes,
        depth,
        seed: i + 1,
      };
      return new Worker(new URL('./worker.js', import.meta.url), { workerData });
    });
    const crew = new Crew(engine, workers);
    try {
      await Promise.all(workers.map((worker) => once(worker, 'message')));
    } catch (error) {
      // Those that did start would wait for orders for ever, and the process for them.
      await crew.end();
      throw error;
    }
    return crew;
  }

  run(milliseconds: number): Promise<Tally[]> {
    return Promise.all(
      this.#workers.map(async (worker) => {
        const answer = once(worker, 'message');
        worker.postMessage(milliseconds);
        const [tally] = await answer;
        return tally as Tally;
      }),
    );
  }

  async end(): Promise<void> {
    for (const worker of this.#workers) worker.postMessage('close');
    await this.#gone;
  }
}
