import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

const { KAIO_LONG, KAIO_SEED } = process.env;

/** How a campaign is repeated. */
export interface Repetition {
  /** All of it. */
  command: string;
  /** One of its runs. */
  replay: string;
}

/** The command for one file of campaigns. */
export const campaignCommand = (file: string): string => `npm run test:campaigns ${file}`;

/** That of a long run, and that of what the long run does with one of its seeds. */
export const repetitionOf = (command: string, seed = 1): Repetition => ({
  command: `KAIO_LONG=1 ${command}`,
  replay: `KAIO_LONG=1 KAIO_SEED=${seed} ${command}`,
});

export const machine = { node: process.version, kernel: release(), cores: availableParallelism() };

/**
 * Writes what a long run came to, for docs/reliability.md, to test/campaigns/results/`campaign`.json: how to repeat it, where it was, its
 * figures by name, and a line for each of its runs. Neither a short run nor one of a single seed counts. Of the same machine stays what
 * this run says nothing of, so that one part of a campaign can be repeated by itself.
 */
export function keepResults(
  campaign: string,
  repetition: Repetition,
  figures: object,
  runs: readonly object[] = [],
): void {
  if (KAIO_LONG === undefined || KAIO_SEED !== undefined || Object.keys(figures).length === 0) return;
  const path = fileURLToPath(new URL(`../campaigns/results/${campaign}.json`, import.meta.url));
  const known = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {};
  const stays = isDeepStrictEqual(known.machine, machine) ? known : {};
  const { runs: before = [], ...head } = { ...stays, campaign, ...repetition, machine, ...figures };
  writeFileSync(path, format(head, runs.length > 0 ? runs : before));
}

/** As JSON, with a line for each run. */
function format(head: object, runs: readonly object[]): string {
  const text = JSON.stringify(head, null, 2);
  if (runs.length === 0) return `${text}\n`;
  const lines = runs.map((run) => `    ${JSON.stringify(run)}`).join(',\n');
  return `${text.slice(0, -2)},\n  "runs": [\n${lines}\n  ]\n}\n`;
}
