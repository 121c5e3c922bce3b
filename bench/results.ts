import { readdirSync, readFileSync } from 'node:fs';
import type { Group } from './figures.ts';
import type { Plan } from './interleave.ts';
import type { Machine } from './machine.ts';

/** What a run of a suite leaves in bench/results. */
export interface SuiteResult {
  readonly machine: Machine;
  readonly plan: Plan;
  /** The command that ran every peer, or nothing. */
  readonly prefix: string;
  readonly groups: readonly Group[];
}

/** The results of a suite, one a Node version, the oldest Node first. */
export function readResults(folder: string, suite: 'figures' | 'matrix'): SuiteResult[] {
  const pattern = new RegExp(`^${suite}-node(\\d+)\\.json$`);
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort((a, b) => Number(pattern.exec(a)![1]) - Number(pattern.exec(b)![1]))
    .map((name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as SuiteResult);
}
