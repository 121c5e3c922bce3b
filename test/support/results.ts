import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';
import { fileURLToPath } from 'node:url';

const { KAIO_LONG, KAIO_RESULTS } = process.env;

/** Where figures go: nowhere in a short run, unless KAIO_RESULTS names a folder. */
const folder: string | undefined =
  KAIO_RESULTS ??
  (KAIO_LONG === undefined ? undefined : fileURLToPath(new URL('../campaigns/results', import.meta.url)));

/** Writes what a campaign did to test/campaigns/results/`name`.json, with the machine that did it. */
export function keepResults(name: string, figures: object): void {
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  const machine = { node: process.version, kernel: release(), cores: availableParallelism() };
  writeFileSync(`${folder}/${name}.json`, `${JSON.stringify({ machine, ...figures }, null, 2)}\n`);
}
