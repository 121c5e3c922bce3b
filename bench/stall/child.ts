import { randomBlocks } from '../offsets.ts';
import { ENGINES, type Step } from './engines.ts';
import { watchSubmits, watchTurns } from './probe.ts';
import { fileBytes, type Row, WARM_UP_BYTES } from './rows.ts';

/** One trial of a row. With `probe` the event loop is watched, which costs CPU; without it rate and CPU are measured. */
export interface StallSpec {
  readonly row: Row;
  readonly engine: string;
  readonly paths: readonly string[];
  /** A file of WARM_UP_BYTES to warm the code up with. */
  readonly warmUp: string;
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

const { row, engine: name, paths, warmUp, probe } = JSON.parse(process.argv[2]!) as StallSpec;

function stepsOf(): Step[] {
  const { files, requests, bytes, random } = row;
  const next = randomBlocks(fileBytes(row) / bytes, 7);
  return Array.from({ length: files * requests }, (_, i) => {
    const file = Math.floor(i / requests);
    return { file, at: i * bytes, position: (random ? next() : i % requests) * bytes };
  });
}

/** A program that has run for a while: without this most of what is seen is the compiler. */
async function warm(): Promise<void> {
  const bytes = Math.min(row.bytes, 2 ** 20);
  const requests = WARM_UP_BYTES / bytes;
  const small: Row = { ...row, files: 1, requests, bytes, random: false };
  const engine = await ENGINES[name]!(small, [warmUp], WARM_UP_BYTES);
  const steps = Array.from({ length: requests }, (_, i) => ({ file: 0, at: i * bytes, position: i * bytes }));
  const end = performance.now() + 300;
  while (performance.now() < end) await engine.run(steps);
  await engine.close();
}

await warm();
const submits = watchSubmits(probe);
const steps = stepsOf();
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
