import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeMachine, type Machine } from '../machine.ts';
import { median, type Ratio, ratio, ratioText } from '../statistics.ts';
import { Trial } from '../trial.ts';
import type { StallRun, StallSpec } from './child.ts';
import { makePlace } from './places.ts';
import { type Place, ROWS, type Row } from './rows.ts';

const ENGINE_NAMES = ['naive', 'fs', 'kaio'] as const;

const WARM_UP_MS = 500;
const ROUND_MS = 150;

/** One round of one peer: rates and CPU of all its runs, and what was longest or most in those that were watched. */
interface StallRound {
  readonly longestTurnSubmitMs: number;
  readonly sleeps: number;
  readonly longestTurnMs: number;
  readonly mibPerSecond: number;
  /** Of one request. */
  readonly cpuUs: number;
  /** kaio: the share of the requests that was submitted on the event loop. */
  readonly inlineShare?: number;
}

/** What the rounds of one peer came to. */
export interface StallResult extends StallRound {
  /** The rate beside the first peer's. */
  readonly relative: Ratio;
}

/** A row as measured, or why it was not. */
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
  /** Of the results file. */
  readonly name: string;
}

const child = fileURLToPath(new URL('child.js', import.meta.url));

/** Measures every row with every engine, prints what came out and writes the results file. */
export async function stall(scratch: string, plan: StallPlan): Promise<void> {
  const rows: StallRow[] = [];
  for (const place of new Set(ROWS.map((row) => row.place))) rows.push(...(await rowsAt(place, scratch, plan)));
  const table: StallTable = { machine: describeMachine(scratch, process.execPath), trials: plan.trials, rows };
  writeFileSync(`${scratch}/${plan.name}.json`, `${JSON.stringify(table, undefined, 1)}\n`);
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
    const rows: StallRow[] = [];
    for (const [i, row] of wanted.entries()) {
      const folder = `${made.folder}/${i}`;
      mkdirSync(folder);
      rows.push(await measureRow(row, folder, plan));
      rmSync(folder, { recursive: true });
    }
    return rows;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM']) process.removeListener(signal, ended);
    made.remove();
  }
}

async function measureRow(row: Row, folder: string, { trials, prefix }: StallPlan): Promise<StallRow> {
  const peers: Peer[] = [];
  const engines: Record<string, StallResult | string> = {};
  for (const name of ENGINE_NAMES) {
    try {
      peers.push(await startPeer(name, row, folder, prefix));
    } catch (error) {
      engines[name] = firstLine(error);
    }
  }
  for (let trial = 0; trial <= trials; trial++) {
    const rounds = await runInTurns(peers, trial === 0 ? WARM_UP_MS : ROUND_MS);
    // The first round is the warm-up.
    if (trial > 0) for (const [peer, round] of rounds) peer.rounds.push(round);
  }
  for (const { name, rate, probe, rounds } of peers) {
    await Promise.all([rate.end(), probe.end()]);
    engines[name] = summary(rounds, peers[0]!.rounds);
  }
  console.log(`\n${row.place}: ${row.name}`);
  for (const [name, result] of Object.entries(engines)) console.log(`  ${name.padEnd(6)} ${text(result)}`);
  return { row, engines };
}

/** Who does a row: one process of it is measured, another one watched, since that costs CPU. */
interface Peer {
  readonly name: string;
  readonly rate: Trial;
  readonly probe: Trial;
  readonly rounds: StallRound[];
}

async function startPeer(name: string, row: Row, folder: string, prefix: readonly string[]): Promise<Peer> {
  const start = (probe: boolean): Promise<Trial> => {
    const spec: StallSpec = { row, engine: name, folder, probe };
    return Trial.start({ name, file: process.execPath, args: [child, JSON.stringify(spec)] }, prefix);
  };
  return { name, rate: await start(false), probe: await start(true), rounds: [] };
}

/** One round: every peer does the row once, A B A B, so that what the machine does meanwhile meets them all. */
async function runInTurns(peers: readonly Peer[], milliseconds: number): Promise<Map<Peer, StallRound>> {
  const runs = new Map(peers.map((peer) => [peer, { rates: [] as StallRun[], probes: [] as StallRun[] }]));
  for (let tookMs = 0; tookMs < milliseconds * peers.length; ) {
    for (const [{ rate, probe }, { rates, probes }] of runs) {
      const run = await rate.ask<StallRun>('run');
      tookMs += run.tookMs;
      rates.push(run);
      probes.push(await probe.ask<StallRun>('run'));
    }
  }
  return new Map([...runs].map(([peer, { rates, probes }]) => [peer, roundOf(rates, probes)]));
}

function roundOf(rates: readonly StallRun[], probes: readonly StallRun[]): StallRound {
  const total = (key: keyof StallRun): number => rates.reduce((sum, run) => sum + run[key]!, 0);
  const most = (key: keyof StallRun): number => Math.max(...probes.map((run) => run[key]!));
  return {
    longestTurnSubmitMs: most('longestTurnSubmitMs'),
    sleeps: most('sleeps'),
    longestTurnMs: most('longestTurnMs'),
    mibPerSecond: (total('mib') / total('tookMs')) * 1000,
    cpuUs: total('cpuUs') / total('requests'),
    ...(rates[0]!.submitted !== undefined && { inlineShare: total('inline') / total('submitted') }),
  };
}

/** The medians of the rounds, but the most of the sleeps: one would be too many. */
function summary(rounds: readonly StallRound[], yardstick: readonly StallRound[]): StallResult {
  const of = (key: keyof StallRound): number[] => rounds.map((round) => round[key]!);
  return {
    longestTurnSubmitMs: median(of('longestTurnSubmitMs')),
    sleeps: Math.max(...of('sleeps')),
    longestTurnMs: median(of('longestTurnMs')),
    mibPerSecond: median(of('mibPerSecond')),
    relative: ratio(
      of('mibPerSecond'),
      yardstick.map((round) => round.mibPerSecond),
      Math.max,
    ),
    cpuUs: median(of('cpuUs')),
    ...(rounds[0]!.inlineShare !== undefined && { inlineShare: median(of('inlineShare')) }),
  };
}

function text(result: StallResult | string): string {
  if (typeof result === 'string') return result;
  const { longestTurnSubmitMs, sleeps, longestTurnMs, mibPerSecond, relative, cpuUs, inlineShare } = result;
  const share = inlineShare === undefined ? '' : `, ${(inlineShare * 100).toFixed(1)} % inline`;
  return (
    `submits of a turn ${longestTurnSubmitMs.toFixed(2)} ms, slept ${sleeps} times, longest turn ${longestTurnMs.toFixed(2)} ms, ` +
    `${mibPerSecond.toFixed(1)} MiB/s, relative ${ratioText(relative)}, best ${relative.best.toFixed(2)}, ${cpuUs.toFixed(1)} µs CPU${share}`
  );
}

function firstLine(error: unknown): string {
  const lines = String((error as Error).message).split('\n');
  return lines.find((line) => /Error: /.test(line)) ?? lines[0]!;
}
