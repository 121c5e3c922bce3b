import { writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';
import { soak } from '../support/soak.ts';

const { KAIO_SOAK_SECONDS = '3600', KAIO_SOAK_CORES = '0.4', KAIO_SOAK_OUTPUT } = process.env;
const seconds = Number(KAIO_SOAK_SECONDS);

const folder = scratchFolder();

test(
  `${seconds} s of mixed load with aborts, closes and restarts leave nothing behind`,
  async () => {
    const output = await soak(folder, seconds, Number(KAIO_SOAK_CORES));
    if (KAIO_SOAK_OUTPUT !== undefined) writeFileSync(KAIO_SOAK_OUTPUT, output);
  },
  (seconds * 1.2 + 150) * 1000,
);
