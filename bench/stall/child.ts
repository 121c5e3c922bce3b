import { randomBlocks } from '../offsets.ts';
import { ENGINES, type Step } from './engines.ts';
import { NO_SUBMITS, watchSubmits, watchTurns } from './probe.ts';
import { fileBytes, type Row } from './rows.ts';

/** One trial of a row. With `probe` the event loop is watched, which costs CPU; without it rate and CPU are measured. */
export interface StallSpec {
  readonly row: Row;
  readonly engine: string;
  readonly paths: readonly string[];
  /** As many other files in the same state, for a rehearsal: a program that has run for a while is measured, not the compiler. */
  readonly rehearsal: readonly string[];
  readonly probe: boolean;
}

export interface StallResult {
  readonly longestSubmitMs: number;
  readonly longestTurnSubmitMs: number;
  readonly sleeps: number;
  readonly longestTurnMs: number;
  readonly mibPerSecond: number;
  readonly cpuUs: number;
  /** kaio: the share that was submitted on the event loop. */
  readonly inlineShare?: number;
}

const { row, engine: name, paths, rehearsal, probe } = JSON.parse(process.argv[2]!) as StallSpec;

const REHEARSAL_MS = 500;

function stepsOf(): Step[] {
  const { files, requests, bytes, random } = row;
  const next = randomBlocks(fileBytes(row) / bytes, 7);
  return Array.from({ length: files * requests }, (_, i) => {
    const file = Math.floor(i / requests);
    return { file, at: i * bytes, position: (random ? next() : i % requests) * bytes };
  });
}

/** The whole row on other files, again and again. */
async function rehearse(): Promise<void> {
  const rehearsed = await ENGINES[name]!(row, rehearsal, steps.length * row.bytes);
  if (row.touched) rehearsed.memory.fill(1);
  const end = performance.now() + REHEARSAL_MS;
  do await rehearsed.run(steps);
  while (performance.now() < end);
  await rehearsed.close();
}

const steps = stepsOf();
// Watched from the start: what the compiler has learned must hold for what is measured.
const submits = watchSubmits(probe);
await rehearse();
Object.assign(submits, NO_SUBMITS);
const engine = await ENGINES[name]!(row, paths, steps.length * row.bytes);
if (row.touched) engine.memory.fill(1);
// What starting up has left to do should not count.
await new Promise((resolve) => setTimeout(resolve, 50));
const endOfTurns = probe ? watchTurns() : () => 0;
const cpu = process.cpuUsage();
const begin = performance.now();
await engine.run(steps);
const tookMs = performance.now() - begin;
const { user, system } = process.cpuUsage(cpu);
const stats = engine.stats?.();
const result: StallResult = {
  longestSubmitMs: submits.longestMs,
  longestTurnSubmitMs: submits.longestTurnMs,
  sleeps: submits.sleeps,
  longestTurnMs: endOfTurns(),
  mibPerSecond: (steps.length * row.bytes) / 2 ** 20 / (tookMs / 1000),
  cpuUs: (user + system) / steps.length,
  ...(stats && { inlineShare: stats.submittedInline / (stats.submittedInline + stats.submittedOffThread) }),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
await engine.close();
