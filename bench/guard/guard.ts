import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compare } from '../compare.ts';
import type { Surroundings, Workload } from '../peers.ts';
import { hasValgrind, instructionsPerRound } from './callgrind.ts';

/** What the guard holds: figures that do not depend on the speed of the machine. */
interface Guarded {
  /** CPU of a request over the fake kernel, relative to the yardstick in the same run. */
  promise: number;
  callback: number;
  /** Of the native module, for a submit of 32 requests and a reap. */
  instructions: number;
}

/** By how much each may grow. */
const TOLERANCE: Guarded = { promise: 1.25, callback: 1.25, instructions: 1.03 };
const BASELINE = fileURLToPath(new URL('../../guard/baseline.json', import.meta.url));
// Many short slices: on a busy machine some of them are left alone.
const PLAN = { rounds: 30, sliceMs: 40, warmUpMs: 500 };

/** Measures and compares with the baseline. Returns what has become too slow; `update` makes this run the baseline. */
export async function guard(
  scratch: string,
  around: Surroundings,
  { slow, update }: { slow: boolean; update: boolean },
): Promise<string[]> {
  const measured = { ...(await userSpace(around, slow)), ...native(scratch, slow) };
  console.log(JSON.stringify(measured));
  if (update) {
    writeFileSync(BASELINE, `${JSON.stringify(measured, undefined, 2)}\n`);
    return [];
  }
  const baseline = JSON.parse(readFileSync(BASELINE, 'utf8')) as Guarded;
  return Object.entries(measured).flatMap(([name, value]) => {
    const key = name as keyof Guarded;
    const ratio = value / baseline[key];
    if (ratio <= TOLERANCE[key]) return [];
    return [`${name}: ${value.toFixed(2)} is ${ratio.toFixed(2)} times the baseline; ${TOLERANCE[key]} is allowed`];
  });
}

async function userSpace(around: Surroundings, slow: boolean): Promise<Pick<Guarded, 'promise' | 'callback'>> {
  const load: Workload = {
    path: '',
    targetBytes: 2 ** 36,
    bytes: 4096,
    depth: 32,
    pattern: 'random',
    seed: 1,
    workers: 1,
    extra: { slow: Number(slow) },
  };
  const names = ['yardstick-promise', 'fake-promise', 'fake-callback'];
  const results = await compare(names, load, PLAN, around, () => {});
  const [yardstick, promise, callback] = results.map(({ cpuUs }) => Math.min(...cpuUs));
  return { promise: promise! / yardstick!, callback: callback! / yardstick! };
}

function native(scratch: string, slow: boolean): Partial<Pick<Guarded, 'instructions'>> {
  if (hasValgrind()) return { instructions: instructionsPerRound(scratch, slow) };
  console.log('instructions: skipped, valgrind is not installed');
  return {};
}
