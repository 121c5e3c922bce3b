import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { TrialSpec } from '../protocol.ts';
import type { Load, Tally } from './load.ts';

/** The same load in several worker threads, each with a context of its own. */
export async function workersLoad(spec: TrialSpec): Promise<Load> {
  const workers = Array.from({ length: spec.workers }, (_, i) => {
    const workerData: TrialSpec = { ...spec, workers: 1, seed: spec.seed + i };
    return new Worker(new URL('../worker.js', import.meta.url), { workerData });
  });
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  return {
    async run(milliseconds) {
      const tallies = workers.map(async (worker): Promise<Tally> => {
        const answer = once(worker, 'message');
        worker.postMessage(milliseconds);
        return (await answer)[0] as Tally;
      });
      const all = await Promise.all(tallies);
      return {
        requests: all.reduce((sum, { requests }) => sum + requests, 0),
        samplesNs: all.flatMap(({ samplesNs }) => samplesNs),
      };
    },
    async close() {
      const ends = workers.map((worker) => once(worker, 'exit'));
      for (const worker of workers) worker.postMessage('close');
      await Promise.all(ends);
    },
  };
}
