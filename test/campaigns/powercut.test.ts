// What was acknowledged as durable is there after a power cut, on a disk that loses, tears and reorders whatever no flush has made stable.
//
//   npm run test:powercut                  a few cuts; with KAIO_LONG=1 500, whose figures go to results/powercut.json
//   KAIO_SEED=79 npm run test:powercut     one seed: the same requests and the same cut, but the kernel's own timing is new each time
import { afterAll, describe, expect, test } from 'vitest';
import { powerCutSkip } from '../support/powercut.ts';
import { controlOf, logPlanOf, type Plan, planOf } from './powercut/plan.ts';
import { keep, tally } from './powercut/results.ts';
import { type Outcome, PowerCuts } from './powercut/run.ts';

const { KAIO_LONG, KAIO_SEED } = process.env;
const long = KAIO_LONG === '1';
const FILE_CUTS = long ? 400 : 10;
const LOG_CUTS = long ? 100 : 3;

/** Seeds from 0 on, or the one that was asked for. */
function seedsUpTo(most: number): number[] {
  return KAIO_SEED === undefined ? Array.from({ length: most }, (_, seed) => seed) : [Number(KAIO_SEED)];
}

const controls = [
  ['a disk that ignores flushes', 'ignore-flush'],
  ['a writer that takes a write for durable', 'write'],
  ['a writer whose sync does not wait for its writes', 'other-file'],
] as const;

const cuts = new PowerCuts();
const outcomes: Outcome[] = [];
const losing: Record<string, { cuts: number; losing: number }> = {};

afterAll(() => {
  cuts.close();
  if (outcomes.length === FILE_CUTS + LOG_CUTS) keep(outcomes, losing);
});

/** Cuts the power of a run and expects everything to be there. */
async function survives(plan: Plan): Promise<void> {
  const outcome = await cuts.run(plan);
  outcomes.push(outcome);
  const { lost, foreign, unreadable, failed } = outcome;
  const few = { lost: lost.slice(0, 5), foreign: foreign.slice(0, 5), unreadable, failed };
  const right = { lost: [], foreign: [], unreadable: undefined, failed: [] };
  expect(few, `KAIO_SEED=${plan.seed} npm run test:powercut\n${JSON.stringify(plan)}`).toEqual(right);
}

describe.skipIf(powerCutSkip())('a power cut loses nothing that was acknowledged', () => {
  test.each(seedsUpTo(FILE_CUTS))('seed %i', async (seed) => {
    await survives(planOf(seed));
  });

  describe('by the write-ahead log', () => {
    test.each(seedsUpTo(LOG_CUTS))('seed %i', async (seed) => {
      await survives(logPlanOf(seed));
    });
  });

  test('and there was much to lose', ({ skip }) => {
    skip(KAIO_SEED !== undefined, 'one run may have had nothing to lose');
    const { acknowledged, inFlight, lost } = tally(outcomes);
    expect(Math.min(acknowledged, inFlight, lost)).toBeGreaterThan(0);
  });
});

describe.skipIf(powerCutSkip())('a power cut loses what was acknowledged', () => {
  test.each(controls)('with %s', { timeout: 3_600_000 }, async (_, wrong) => {
    const runs: Outcome[] = [];
    for (const seed of seedsUpTo(long ? 30 : 3)) runs.push(await cuts.run(controlOf(seed, wrong)));
    losing[wrong] = { cuts: runs.length, losing: tally(runs).losses };
    expect(tally(runs).losses, 'runs that lost something').toBeGreaterThan(runs.length / 2);
  });
});
