// What file systems do with direct I/O beside everything else that can be done to a file: no stale data, no lost write, right sizes.
//
//   KAIO_SEED=N npx vitest run --config vitest.campaigns.config.ts test/campaigns/filesystem.test.ts -t ext4     repeats a run
import { afterAll, describe, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { hasCommand } from '../support/compile.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { keepResults } from '../support/results.ts';
import { type Exercise, exercise } from './filesystem/exerciser.ts';

const { KAIO_LONG, KAIO_SEED } = process.env;
const RUNS = KAIO_LONG === undefined ? 2 : 40;
const OPERATIONS = KAIO_LONG === undefined ? 1500 : 10_000;
const seeds = KAIO_SEED === undefined ? Array.from({ length: RUNS }, (_, at) => at + 1) : [Number(KAIO_SEED)];

const exercised: Record<string, readonly Exercise[]> = {};
afterAll(() => keepResults('filesystem', { operations: OPERATIONS, exercised: sums() }));

/** Of all seeds together. */
function sums(): object {
  return Object.fromEntries(
    Object.entries(exercised).map(([kind, runs]) => {
      const counts: Record<string, number> = {};
      for (const run of runs)
        for (const [name, count] of Object.entries(run.counts)) counts[name] = (counts[name] ?? 0) + count;
      return [kind, { seeds: runs.map(({ seed }) => seed), counts, missing: runs[0]?.missing }];
    }),
  );
}

const noCompiler = hasCommand('cc') ? false : 'there is no C compiler';

describe.each(['ext4', 'xfs', 'btrfs', 'tmpfs'] as const)('on %s', (kind) => {
  const reason = noCompiler || fileSystemSkip(kind);

  test('direct, buffered and mapped I/O, truncation, holes and reflinks are what a model says', async ({ skip }) => {
    skip(reason !== false, String(reason));
    await withFileSystem(kind, async (folder) => {
      const context = new AioContext({ depth: 64, memory: 16 << 20 });
      const runs: Exercise[] = [];
      for (const seed of seeds) runs.push(await exercise(context, folder, seed, OPERATIONS));
      await context.close();
      exercised[kind] = runs;
      for (const { counts } of runs)
        expect(Math.min(counts.directWrite ?? 0, counts.mappedRead ?? 0)).toBeGreaterThan(10);
    });
  });
});
