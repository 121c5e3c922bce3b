// npm run test:long: everything in its long form, which takes hours. Guests with other kernels come first, with nothing beside them: beside the
// soak and the campaigns, one that takes six minutes alone had not ended after fifty-five. The soak runs beside the campaigns; the others
// come after it, because one of them takes all contexts that the kernel allows. What fails does not keep the others from running.
//
// A run that was interrupted, or in which something failed, is continued by the next one while the package is the same: what has passed is not
// run again.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const PROGRESS = '.long/progress.json';
const LONG = ['--config', 'vitest.long.config.ts'];
const CAMPAIGNS = ['--config', 'vitest.campaigns.config.ts'];
const SOAK = 'test/long/soak.test.ts';
const KERNELS = 'test/campaigns/kernels.test.ts';

const testsIn = (folder, ...without) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `${folder}/${name}`)
    .filter((file) => !without.includes(file));

const guests = Object.keys(JSON.parse(readFileSync('test/campaigns/kernels/kernels.json', 'utf8'))).map((name) => ({
  name: `Linux ${name}`,
  args: [...CAMPAIGNS, KERNELS],
  env: { KAIO_KERNELS: name },
}));
const soak = { name: SOAK, args: [...LONG, SOAK] };
const campaigns = testsIn('test/campaigns', KERNELS).map((name) => ({ name, args: [...CAMPAIGNS, name] }));
const others = testsIn('test/long', SOAK).map((name) => ({ name, args: [...LONG, name] }));
const tests = readdirSync('test')
  .map((name) => `test/${name}`)
  .filter((name) => !['test/campaigns', 'test/long', 'test/support'].includes(name))
  // One file at a time, because one of them takes all contexts.
  .map((name) => ({ name, args: ['--no-file-parallelism', `${name}/`] }));

/** What the package is made of. Whoever mends a test repeats it, and not all the others. */
function sources() {
  const own = ['assembly', 'native', 'src', 'package.json', 'package-lock.json'];
  const git = (...args) => execFileSync('git', [...args, '--', ...own], { maxBuffer: 2 ** 28 });
  return createHash('sha256')
    .update(git('ls-tree', '-r', 'HEAD'))
    .update(git('diff', 'HEAD'))
    .digest('hex');
}

/** The minutes that each part took when it passed. */
function readProgress(of) {
  const kept = existsSync(PROGRESS) ? JSON.parse(readFileSync(PROGRESS, 'utf8')) : {};
  return kept.of === of ? kept : { of, minutes: {} };
}

const progress = readProgress(sources());
const failed = [];

/** Runs vitest, each line behind the part's name. Returns how many minutes it took, or undefined where it failed. */
async function vitest({ name, args, env = {} }) {
  const began = performance.now();
  const all = { ...process.env, KAIO_LONG: '1', ...env };
  const child = spawn('npx', ['vitest', 'run', ...args], { env: all, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => console.log(`${name} | ${line}`));
  }
  const [code] = await once(child, 'close');
  const minutes = Math.round((performance.now() - began) / 6000) / 10;
  console.log(`${name} | ${code === 0 ? 'passed' : 'failed'} after ${minutes} min`);
  if (code === 0) return minutes;
  failed.push(name);
  return undefined;
}

/** Runs a part that has not passed yet. */
async function run(part) {
  if (part.name in progress.minutes) return;
  const minutes = await vitest(part);
  if (minutes === undefined) return;
  progress.minutes[part.name] = minutes;
  mkdirSync('.long', { recursive: true });
  writeFileSync(PROGRESS, `${JSON.stringify(progress, undefined, 2)}\n`);
}

async function inTurn(parts) {
  for (const part of parts) await run(part);
}

async function host() {
  const soaked = run(soak);
  await inTurn(campaigns);
  await soaked;
  await inTurn([...others, ...tests]);
}

await inTurn(guests);
await host();
console.table(progress.minutes);
// Holds docs/reliability.md against what the campaigns came to, and writes it there.
await vitest({ name: 'figures', args: ['test/unit/reliability.test.ts'] });
if (failed.length === 0) rmSync(PROGRESS, { force: true });
else console.error(`Failed, and tried again by the next run:\n${failed.join('\n')}`);
process.exit(failed.length === 0 ? 0 : 1);
