// The short form of test/long/soak.test.ts: what leaks with every close, abort or end of a worker shows in seconds.
import { test } from 'vitest';
import { patience } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';
import { soak } from '../support/soak.ts';

const folder = scratchFolder();

/** Each round starts every worker once: where that takes seconds, there is one. */
const size = patience === 1 ? { seconds: 15, workers: 2 } : { seconds: 40, workers: 1 };

test(
  'seconds of mixed load with aborts, closes and restarts leave nothing behind',
  async () => {
    await soak({ folder: `${folder}/soak`, ...size, cores: 1, seed: 1 });
  },
  150_000 * patience,
);
