// The short form of test/long/soak.test.ts: what leaks with every close, abort or end of a worker shows in seconds.
import { test } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';
import { soak } from '../support/soak.ts';

const folder = scratchFolder();

test('fifteen seconds of mixed load with aborts, closes and restarts leave nothing behind', async () => {
  await soak({ folder: `${folder}/soak`, seconds: 15, cores: 1, workers: 2, seed: 1 });
}, 150_000);
