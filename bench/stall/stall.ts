import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describeMachine, type Machine } from '../machine.ts';
import { median } from '../statistics.ts';
import type { StallResult, StallSpec } from './child.ts';
import { Files } from './files.ts';
import { makePlace } from './places.ts';
import { type Place, ROWS, type Row } from './rows.ts';

const ENGINE_NAMES = ['naive', 'fs', 'kaio'] as const;

/** A row as measured: the medians of its trials, or why there are none. */
export interface StallRow {
  readonly row: Row;
  readonly engines: Readonly<Record<string, StallResult | string>>;
}

export interface StallTable {
  readonly machine: Machine;
  readonly trials: number;
  readonly rows: readonly StallRow[];
}

export interface StallPlan {
  readonly trials: number;
  /** Only rows whose place and name have this. */
  readonly only: string;
  readonly prefix: readonly string[];
}

const child = fileURLToPath(new URL('child.js', import.meta.url));

/** Measures every row with every engine, prints what came out and writes stall.json. */
export async function stall(scratch: string, plan: StallPlan): Promise<void> {
  const rows: StallRow[] = [];
  for (const place of new Set(ROWS.map((row) => row.place))) rows.push(...(await rowsAt(place, scratch, plan)));
  const table: StallTable = { machine: describeMachine(scratch, process.execPath), trials: plan.trials, rows };
  writeFileSync(`${scratch}/stall.json`, `${JSON.stringify(table, undefined, 1)}\n`);
}

async function rowsAt(place: Place, scratch: string, plan: StallPlan): Promise<StallRow[]> {
  const wanted = ROWS.filter((row) => row.place === place && `${place} ${row.name}`.includes(plan.only));
  if (wanted.length === 0) return [];
  let made: Awaited<ReturnType<typeof makePlace>>;
  try {
    made = await makePlace(place, scratch);
  } catch (error) {
    const why = `there is no ${place} here: ${firstLine(error)}`;
    console.log(why);
    return wanted.map((row) => ({ row, engines: Object.fromEntries(ENGINE_NAMES.map((name) => [name, why])) }));
  }
  // What is mounted must not outlive the run, however it ends.
  const ended = (): void => {
    made.remove();
    process.exit(130);
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, ended);
  try {
    const files = new Files(made.folder);
    const rows: StallRow[] = [];
    for (const row of wanted) {
      rows.push(measureRow(row, files, plan));
      await nextTurn();
    }
    return rows;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM']) process.removeListener(signal, ended);
    made.remove();
  }
}

function measureRow(row: Row, files: Files, { trials, prefix }: StallPlan): StallRow {
  const results = new Map<string, StallResult[] | string>(ENGINE_NAMES.map((name) => [name, []]));
  for (let trial = 0; trial < trials; trial++) {
    for (const [engine, list] of results) {
      if (typeof list === 'string') continue;
      try {
        const measure = (probe: boolean): StallResult => {
          const rehearsal = files.prepare(row, 'rehearsal-');
          return runTrial({ row, engine, paths: files.prepare(row), rehearsal, probe }, prefix);
        };
        const rate = measure(false);
        const probe = measure(true);
        list.push({ ...probe, mibPerSecond: rate.mibPerSecond, cpuUs: rate.cpuUs });
      } catch (error) {
        results.set(engine, firstLine(error));
      }
    }
  }
  const entries = [...results].map(([name, list]) => [name, typeof list === 'string' ? list : medians(list)] as const);
  console.log(`\n${row.place}: ${row.name}`);
  for (const [name, result] of entries) console.log(`  ${name.padEnd(6)} ${text(result)}`);
  return { row, engines: Object.fromEntries(entries) };
}

function runTrial(spec: StallSpec, prefix: readonly string[]): StallResult {
  const [file, ...args] = [...prefix, process.execPath, child, JSON.stringify(spec)];
  return JSON.parse(execFileSync(file!, args, { encoding: 'utf8', timeout: 120000 })) as StallResult;
}

/** The medians, but the longest of all the sleeps: one would be too many. */
function medians(results: readonly StallResult[]): StallResult {
  const keys = Object.keys(results[0]!) as (keyof StallResult)[];
  const values = (key: keyof StallResult): number[] => results.map((result) => result[key]!);
  const entries = keys.map((key) => [key, key === 'sleeps' ? Math.max(...values(key)) : median(values(key))] as const);
  return Object.fromEntries(entries) as unknown as StallResult;
}

function text(result: StallResult | string): string {
  if (typeof result === 'string') return result;
  const { longestTurnSubmitMs, sleeps, longestTurnMs, mibPerSecond, cpuUs, inlineShare } = result;
  const share = inlineShare === undefined ? '' : `, ${(inlineShare * 100).toFixed(1)} % inline`;
  return (
    `submits of a turn ${longestTurnSubmitMs.toFixed(2)} ms, slept ${sleeps} times, longest turn ${longestTurnMs.toFixed(2)} ms, ` +
    `${mibPerSecond.toFixed(1)} MiB/s, ${cpuUs.toFixed(1)} µs CPU${share}`
  );
}

function firstLine(error: unknown): string {
  const lines = String((error as Error).message).split('\n');
  return lines.find((line) => /Error: /.test(line)) ?? lines[0]!;
}
