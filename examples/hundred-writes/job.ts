import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { AioContext, type AioStats } from 'kaio';
import type { Client } from './client.ts';
import { checksum, fillSeeded } from './data.ts';
import { type Engine, engines, type Target } from './engines.ts';
import { allDone, type Measurement, measure } from './measure.ts';
import { progress } from './report.ts';

/** What one engine did, and whether the files then held what was written. */
export interface Result extends Measurement {
  checksums: { right: number; wrong: number };
}

export interface Job {
  /** A folder of our own. */
  folder: string;
  files: number;
  size: number;
}

/** Room that the context keeps for copying, which `allocate` does not hand out. */
const COPY_BYTES = 32 * 1024 ** 2;

/**
 * What comes before anything is measured, as in a server that has been running for a while: HTTP for a second, then each engine writes
 * a few files and reads them again and again. Else whoever is first would pay for the compilation of everybody's code.
 */
const WARM_UP_MS = 1000;
const WARM_UP_FILES = 4;
const WARM_UP_ROUNDS = 25;

/** Does the same writes with each engine, and answers with what was measured. */
export async function runJob(job: Job, client: Client): Promise<{ results: Result[]; submits: SubmitStats }> {
  const names = (name: string, count: number) =>
    Array.from({ length: count }, (_, index) => join(job.folder, `${name}-${index}`));
  const paths = names('file', job.files);
  const context = new AioContext({ memory: job.files * job.size + COPY_BYTES });
  // A context of its own, so that the other's counters are about what is measured.
  const reserver = new AioContext({ memory: 65536 });
  try {
    progress('Making the data');
    const data = paths.map((_, index) => {
      const buffer = context.allocate(job.size);
      fillSeeded(buffer, index);
      return buffer;
    });
    const checksums = data.map(checksum);
    const writes = engines(context).map((engine) => ({ engine, reserver, paths, data, checksums, client }));
    progress('Warming up');
    await setTimeout(WARM_UP_MS);
    for (const write of writes) await warmUp({ ...write, paths: names('warm-up', Math.min(WARM_UP_FILES, job.files)) });
    const before = context.stats();
    const results: Result[] = [];
    for (const write of writes) results.push(await runEngine(write));
    return { results, submits: submitsSince(before, context.stats()) };
  } finally {
    await allDone([context.close(), reserver.close()]);
  }
}

/** How kaio submitted: in how many calls, from where, and how long the longest call on the event loop took, the warm-up's included. */
export type SubmitStats = Pick<
  AioStats,
  'submits' | 'submittedInline' | 'jobs' | 'submittedOffThread' | 'longestSubmitMs'
>;

function submitsSince(before: AioStats, after: AioStats): SubmitStats {
  return {
    submits: after.submits - before.submits,
    submittedInline: after.submittedInline - before.submittedInline,
    jobs: after.jobs - before.jobs,
    submittedOffThread: after.submittedOffThread - before.submittedOffThread,
    longestSubmitMs: after.longestSubmitMs,
  };
}

interface Writes {
  engine: Engine;
  /** Makes the files. */
  reserver: AioContext;
  paths: string[];
  data: Buffer[];
  checksums: string[];
  client: Client;
}

async function runEngine(writes: Writes): Promise<Result> {
  const { engine, paths, data, checksums, client } = writes;
  const measured = await withFiles(writes, (targets) => {
    progress(`${engine.name}: writing`);
    return measure(engine, targets, data, client);
  });
  progress(`${engine.name}: reading back`);
  const right = await countRight(paths, checksums);
  for (const path of paths) await rm(path);
  return { ...measured, checksums: { right, wrong: paths.length - right } };
}

async function warmUp(writes: Writes): Promise<void> {
  const { engine, paths, data, client } = writes;
  await withFiles(writes, async (targets) => {
    await measure(engine, targets, data, client);
    for (let round = 0; round < WARM_UP_ROUNDS; round++) {
      // What is read is what is there already.
      await allDone(targets.map((target, index) => target.read(data[index]!, 0, data[index]!.length, 0)));
    }
  });
  for (const path of paths) await rm(path);
}

/** Makes the files, opens them with the engine for as long as `use` takes, and closes them. */
async function withFiles<T>(writes: Writes, use: (targets: Target[]) => Promise<T>): Promise<T> {
  const { engine, reserver, paths, data } = writes;
  progress(`${engine.name}: reserving space`);
  await reserve(reserver, paths, data[0]!.length);
  const targets: Target[] = [];
  try {
    for (const path of paths) targets.push(await engine.open(path));
    return await use(targets);
  } finally {
    await allDone(targets.map((target) => target.close()));
  }
}

/** Makes the files with all their space, the same way for every engine: writes that must find space first wait in the file system. */
async function reserve(context: AioContext, paths: string[], size: number): Promise<void> {
  const reserveOne = async (path: string) => {
    const file = await context.open(path, 'wx+');
    try {
      await file.preallocate(0, size);
      await file.sync();
    } finally {
      await file.close();
    }
  };
  await allDone(paths.map(reserveOne));
}

async function countRight(paths: string[], checksums: string[]): Promise<number> {
  let right = 0;
  for (const [index, path] of paths.entries()) {
    if (checksum(await readFile(path)) === checksums[index]) right++;
  }
  return right;
}
