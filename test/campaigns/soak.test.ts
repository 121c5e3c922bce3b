// A short form of npm run test:soak where the kernel's answers are made worse; test/lifecycle/soak.test.ts is the one without.
import { test } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';
import { shimSkip } from '../support/shim.ts';
import { soak } from '../support/soak.ts';

const folder = scratchFolder();
const noShim = shimSkip();

test('twenty seconds of mixed load in five threads with injected faults leave nothing behind', async ({ skip }) => {
  skip(noShim !== false, String(noShim));
  await soak({ folder: `${folder}/soak`, seconds: 20, cores: 1, workers: 4, seed: 1, faults: true });
});
