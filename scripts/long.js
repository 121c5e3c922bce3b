// npm run test:long: everything in its long form. Guests with other kernels share nothing with this one but its processors, and the soak
// takes less than half of one, so both run beside the rest. What fails does not keep the others from running.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { createInterface } from 'node:readline';

const env = { ...process.env, KAIO_LONG: '1' };
const LONG = ['--config', 'vitest.long.config.ts'];
const CAMPAIGNS = ['--config', 'vitest.campaigns.config.ts'];
const SOAK = 'test/long/soak.test.ts';
const KERNELS = 'test/campaigns/kernels.test.ts';
/** Guests give way to the tests here, which have time limits for a machine that is not emulated. */
const GIVES_WAY = 5;

const lanes = {
  soak: { runs: [[...LONG, SOAK]] },
  kernels: { runs: [[...CAMPAIGNS, KERNELS]], nice: GIVES_WAY },
  // The last one file at a time, because one of them takes all contexts that the kernel allows.
  rest: {
    runs: [[...LONG, '--exclude', SOAK], [...CAMPAIGNS, '--exclude', KERNELS], ['--no-file-parallelism']],
  },
};

/** Runs vitest, each line behind the lane's name. Whether all passed. */
async function vitest(lane, args, nice) {
  const child = spawn('npx', ['vitest', 'run', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  if (nice !== undefined) setPriority(child.pid, nice);
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => console.log(`${lane} | ${line}`));
  }
  const [code] = await once(child, 'close');
  return code === 0;
}

async function lane([name, { runs, nice }]) {
  let passed = true;
  for (const args of runs) passed = (await vitest(name, args, nice)) && passed;
  return passed;
}

const passed = await Promise.all(Object.entries(lanes).map(lane));
// Holds docs/reliability.md against what the campaigns came to, and writes it there.
const documented = spawnSync('npx', ['vitest', 'run', 'test/unit/reliability.test.ts'], { env, stdio: 'inherit' });
process.exit(passed.every(Boolean) && documented.status === 0 ? 0 : 1);
