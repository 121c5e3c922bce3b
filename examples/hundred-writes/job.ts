import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { AioContext } from 'kaio';
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
 * What comes before anything is measured: HTTP for a while, and a few files with each engine. Else whoever is first would pay for the
 * compilation of everybody's code.
 */
const WARM_UP_MS = 1000;
const WARM_UP_FILES = 4;

/** Does the same writes with each engine, and answers with what was measured. */
export async function runJob(job: Job, client: Client): Promise<{ results: Result[]; submits: SubmitStats }> {
  const paths = Array.from({ length: job.files }, (_, index) => join(job.folder, `file-${index}`));
  const context = new AioContext({ memory: job.files * job.size + COPY_BYTES });
  try {
    progress('Making the data');
    const data = paths.map((_, index) => {
      const buffer = context.allocate(job.size);
      fillSeeded(buffer, index);
      return buffer;
    });
    const checksums = data.map(checksum);
    const writes = engines(context).map((engine) => ({ engine, context, paths, data, checksums, client }));
    progress('Warming up');
    await setTimeout(WARM_UP_MS);
    for (const write of writes) await runEngine({ ...write, paths: paths.slice(0, WARM_UP_FILES) });
    const results: Result[] = [];
    for (const write of writes) results.push(await runEngine(write));
    const { submits, submittedInline, jobs, submittedOffThread, longestSubmitMs } = context.stats();
    return { results, submits: { submits, submittedInline, jobs, submittedOffThread, longestSubmitMs } };
  } finally {
    await context.close();
  }
}

/** How kaio submitted: in how many calls, from where, and how long the longest call on the event loop took. */
export interface SubmitStats {
  submits: number;
  submittedInline: number;
  jobs: number;
  submittedOffThread: number;
  longestSubmitMs: number;
}

interface Writes {
  engine: Engine;
  context: AioContext;
  paths: string[];
  data: Buffer[];
  checksums: string[];
  client: Client;
}

async function runEngine({ engine, context, paths, data, checksums, client }: Writes): Promise<Result> {
  progress(`${engine.name}: reserving space`);
  await reserve(context, paths, data[0]!.length);
  const targets: Target[] = [];
  let measured: Measurement;
  try {
    for (const path of paths) targets.push(await engine.open(path));
    progress(`${engine.name}: writing`);
    measured = await measure(engine, targets, data, client);
  } finally {
    await allDone(targets.map((target) => target.close()));
  }
  progress(`${engine.name}: reading back`);
  const right = await countRight(paths, checksums);
  for (const path of paths) await rm(path);
  return { ...measured, checksums: { right, wrong: paths.length - right } };
}

/** Makes the files with all their space, the same way for every engine: writes that must find space first wait in the file system. */
async function reserve(context: AioContext, paths: string[], size: number): Promise<void> {
  for (const path of paths) {
    const file = await context.open(path, 'wx+');
    try {
      await file.preallocate(0, size);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

async function countRight(paths: string[], checksums: string[]): Promise<number> {
  let right = 0;
  for (const [index, path] of paths.entries()) {
    if (checksum(await readFile(path)) === checksums[index]) right++;
  }
  return right;
}
