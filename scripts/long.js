// npm run test:long: everything in its long form, one after another. What fails does not keep the others from running.
import { spawnSync } from 'node:child_process';

const runs = [
  ['--config', 'vitest.long.config.ts'],
  ['--config', 'vitest.campaigns.config.ts'],
  // The last, because it holds docs/reliability.md against what the campaigns came to; and one file at a time, because one of them takes
  // all contexts that the kernel allows.
  ['--no-file-parallelism'],
];

const env = { ...process.env, KAIO_LONG: '1' };
const statuses = runs.map((args) => spawnSync('npx', ['vitest', 'run', ...args], { env, stdio: 'inherit' }).status);
process.exit(statuses.every((status) => status === 0) ? 0 : 1);
