// What file systems do with direct I/O beside everything else that can be done to a file: no stale data, no lost write, right sizes.
//
//   KAIO_SEED=N npm run test:campaigns filesystem -- -t ext4     repeats a run
import { afterAll, describe, expect, test } from 'vitest';
import { hasCommand } from '../support/compile.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { Random } from '../support/random.ts';
import { withReaping } from '../support/reaping.ts';
import { campaignCommand, keepResults, repetitionOf } from '../support/results.ts';
import { type Exercise, exercise } from './filesystem/exerciser.ts';
import { makeStale, race, races } from './filesystem/races.ts';

const { KAIO_LONG, KAIO_SEED } = process.env;
const seedsTo = (count: number) =>
  KAIO_SEED === undefined ? Array.from({ length: count }, (_, at) => at + 1) : [Number(KAIO_SEED)];
const OPERATIONS = KAIO_LONG === undefined ? 1500 : 5000;
const exerciseSeeds = seedsTo(KAIO_LONG === undefined ? 2 : 20);
const raceSeeds = seedsTo(KAIO_LONG === undefined ? 2 : 30);
const HOUR_MS = 3_600_000;
const options = { depth: 64, memory: 16 << 20 };

/** What was done on each file system. */
const exercised: Record<string, object> = {};
const raced: Record<string, object> = {};
afterAll(() => {
  const kinds = Object.keys(exercised).filter((kind) => kind in raced);
  const figures = kinds.map((kind) => [kind, { exercised: exercised[kind], raced: raced[kind] }]);
  keepResults('filesystem', repetitionOf(campaignCommand('filesystem')), Object.fromEntries(figures));
});

/** Of all seeds together. */
function sum(runs: readonly Exercise[]): object {
  const counts: Record<string, number> = {};
  for (const run of runs) {
    for (const [name, count] of Object.entries(run.counts)) counts[name] = (counts[name] ?? 0) + count;
  }
  return { seeds: runs.map(({ seed }) => seed), operationsEach: OPERATIONS, counts, missing: runs[0]?.missing };
}

const noCompiler = hasCommand('cc') ? false : 'there is no C compiler';

describe.each(['ext4', 'xfs', 'btrfs', 'tmpfs'] as const)('on %s', (kind) => {
  const reason = noCompiler || fileSystemSkip(kind);

  test(
    'direct, buffered and mapped I/O, truncation, holes and reflinks are what a model says',
    async ({ skip }) => {
      skip(reason !== false, String(reason));
      await withFileSystem(kind, async (folder) => {
        const runs: Exercise[] = [];
        for (const seed of exerciseSeeds) {
          runs.push(await withReaping(seed, options, (context) => exercise(context, folder, seed, OPERATIONS)));
        }
        exercised[kind] = sum(runs);
        for (const { counts } of runs) {
          expect(Math.min(counts['directWrite'] ?? 0, counts['mappedRead'] ?? 0)).toBeGreaterThan(10);
        }
      });
    },
    HOUR_MS,
  );

  test(
    'races with truncation, holes, allocation and reflinks show no stale data and lose no write',
    async ({ skip }) => {
      skip(reason !== false, String(reason));
      await withFileSystem(kind, async (folder) => {
        if (kind !== 'tmpfs') makeStale(folder);
        for (const seed of raceSeeds) {
          await withReaping(seed, options, async (context) => {
            const path = `${folder}/raced`;
            for (const name of Object.keys(races)) await race(name, { context, path, random: new Random(seed) });
          });
        }
        raced[kind] = { seeds: raceSeeds, races: Object.keys(races) };
      });
    },
    HOUR_MS,
  );
});
