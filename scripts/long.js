// npm run test:long: everything in its long form. Guests with other kernels share nothing with this one but its processors, and run beside
// the rest. So does the soak beside the campaigns; the tests come after it, because one of them takes all contexts that the kernel allows.
// What fails does not keep the others from running.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { createInterface } from 'node:readline';

const env = { ...process.env, KAIO_LONG: '1' };
const LONG = ['--config', 'vitest.long.config.ts'];
const CAMPAIGNS = ['--config', 'vitest.campaigns.config.ts'];
const SOAK = 'test/long/soak.test.ts';
const KERNELS = 'test/campaigns/kernels.test.ts';
/** Guests give way to the tests here, which have time limits for a machine that is not emulated. */
const GIVES_WAY = 5;

let passed = true;

/** Runs vitest, each line behind a name. */
async function vitest(name, args, nice = 0) {
  const child = spawn('npx', ['vitest', 'run', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  setPriority(child.pid, Math.max(getPriority(), nice));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => console.log(`${name} | ${line}`));
  }
  const [code] = await once(child, 'close');
  if (code !== 0) passed = false;
}

async function host() {
  const soak = vitest('soak', [...LONG, SOAK]);
  await vitest('campaigns', [...CAMPAIGNS, '--exclude', KERNELS]);
  await soak;
  await vitest('long', [...LONG, '--exclude', SOAK]);
  await vitest('tests', ['--no-file-parallelism']);
}

await Promise.all([vitest('kernels', [...CAMPAIGNS, KERNELS], GIVES_WAY), host()]);
// Holds docs/reliability.md against what the campaigns came to, and writes it there.
await vitest('figures', ['test/unit/reliability.test.ts']);
process.exit(passed ? 0 : 1);
