// The short form of test/long/soak.test.ts: what leaks with every close, abort or end of a worker shows in seconds.
import { test } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';
import { soak } from '../support/soak.ts';

const SECONDS = 15;
const CORES = 1;

const folder = scratchFolder();

test('fifteen seconds of mixed load with aborts, closes and restarts leave nothing behind', async () => {
  await soak(folder, SECONDS, CORES);
}, 150_000);
