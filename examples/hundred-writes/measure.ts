import type { Answers, Client } from './client.ts';
import type { Engine, Target } from './engines.ts';
import { LoopProbe, voluntarySwitches } from './loop.ts';

/** What one engine did, in milliseconds from the first call of `write`. */
export interface Measurement {
  engine: string;
  /** Until the code that asked for the writes ran on, with everything done that the engine does in the same turn. */
  controlBackMs: number;
  /** Until all writes and the `datasync` after them were done. */
  durableMs: number;
  http: Answers;
  longestPauseMs: number;
  /** Voluntary context switches of the event loop's thread in the turn that submits. */
  sleepsSubmitting: number;
  /** Of all threads of this process, the answering of HTTP requests included. */
  cpuMs: number;
}

/** Waits for all, then throws the first error: nothing is under way any more when a file is closed. */
export async function allDone<T>(promises: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

async function writeWhole(target: Target, data: Buffer): Promise<void> {
  const { bytesWritten } = await target.write(data, 0, data.length, 0);
  if (bytesWritten !== data.length) throw new Error(`Only ${bytesWritten} of ${data.length} bytes were written`);
}

/** Writes one buffer to each file in one turn of the event loop, makes all durable, and measures. */
export async function measure(engine: Engine, targets: Target[], data: Buffer[], client: Client): Promise<Measurement> {
  const cpu = process.cpuUsage();
  const probe = new LoopProbe();
  const sleeps = voluntarySwitches();
  const fromNs = process.hrtime.bigint();
  const sinceMs = (ns: bigint) => Number(ns - fromNs) / 1e6;

  const writes = targets.map((target, index) => writeWhole(target, data[index]!));
  // kaio submits at the end of the turn, in a tick it asked for during the first write. Ticks run in order: this one is after it.
  const submitted = new Promise<{ backNs: bigint; slept: number }>((resolve) => {
    process.nextTick(() => {
      const backNs = process.hrtime.bigint();
      resolve({ backNs, slept: voluntarySwitches() - sleeps });
    });
  });
  const { backNs, slept } = await submitted;
  await allDone(writes);
  await allDone(targets.map((target) => target.datasync()));

  const toNs = process.hrtime.bigint();
  const longestPauseMs = probe.stop();
  const { user, system } = process.cpuUsage(cpu);
  return {
    engine: engine.name,
    controlBackMs: sinceMs(backNs),
    durableMs: sinceMs(toNs),
    http: await client.answers({ fromNs, toNs }),
    longestPauseMs,
    sleepsSubmitting: slept,
    cpuMs: (user + system) / 1000,
  };
}
