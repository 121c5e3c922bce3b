// npm run test:soak. Two processes side by side, each with workers of its own: one on the kernel as it is, one on a kernel that a
// preloaded library makes worse. KAIO_SOAK_OUTPUT names the folder for soak.json and soak.svg; an hour or more writes them by itself.
import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { machine } from '../support/results.ts';
import { scratchFolder } from '../support/scratch.ts';
import { shimSkip } from '../support/shim.ts';
import { soak } from '../support/soak.ts';
import { plotSoak } from './soak/plot.ts';

const seconds = Number(process.env.KAIO_SOAK_SECONDS ?? '3600');
const cores = Number(process.env.KAIO_SOAK_CORES ?? '0.4');
const workers = Number(process.env.KAIO_SOAK_WORKERS ?? '4');
const seed = Number(process.env.KAIO_SOAK_SEED ?? '1');
const output = process.env.KAIO_SOAK_OUTPUT ?? (seconds >= 3600 ? 'test/campaigns/results' : undefined);

const folder = scratchFolder();
const noShim = shimSkip();

test(
  `${seconds} s of mixed load with aborts, closes, restarts and faults leave nothing behind`,
  async ({ skip }) => {
    skip(noShim !== false, String(noShim));
    const load = { seconds, cores: cores / 2, workers, seed };
    // Both to their end, so that one that fails leaves no other behind.
    const settled = await Promise.allSettled([
      soak({ ...load, folder: `${folder}/kernel` }),
      soak({ ...load, folder: `${folder}/faults`, faults: true }),
    ]);
    for (const one of settled) if (one.status === 'rejected') throw one.reason;
    const [kernel, faults] = settled.map((one) => (one.status === 'fulfilled' ? one.value : undefined));
    expect.assert(kernel !== undefined && faults !== undefined);
    if (output === undefined) return;
    mkdirSync(output, { recursive: true });
    const { quiet: _k, ...onKernel } = kernel;
    const { quiet: _f, ...withFaults } = faults;
    const command = `KAIO_SOAK_SECONDS=${seconds} npm run test:soak`;
    const replay = `KAIO_SOAK_SEED=${seed} ${command}`;
    const figures = {
      campaign: 'soak',
      command,
      replay,
      machine,
      seconds,
      cores,
      workers,
      seed,
      runs: { kernel: onKernel, faults: withFaults },
    };
    writeFileSync(`${output}/soak.json`, `${JSON.stringify(figures, null, 2)}\n`);
    writeFileSync(`${output}/soak.svg`, plotSoak({ kernel: kernel.quiet, faults: faults.quiet }));
  },
  (seconds * 1.2 + 150) * 1000,
);
