import { createInterface } from 'node:readline';
import type { AioStats } from 'kaio';
import { randomBlocks } from '../offsets.ts';
import { ENGINES, type StallEngine, type Step } from './engines.ts';
import { prepare } from './files.ts';
import { NO_SUBMITS, watchSubmits, watchTurns } from './probe.ts';
import { fileBytes, type Row } from './rows.ts';

/** Who does a row where. With `probe` the event loop is watched, which costs CPU; without it rate and CPU are measured. */
export interface StallSpec {
  readonly row: Row;
  readonly engine: string;
  readonly folder: string;
  readonly probe: boolean;
}

/** What a child answers to each line: what doing the row came to. */
export interface StallRun {
  readonly tookMs: number;
  readonly mib: number;
  readonly requests: number;
  readonly cpuUs: number;
  readonly longestTurnSubmitMs: number;
  readonly sleeps: number;
  readonly longestTurnMs: number;
  /** kaio: requests that were submitted on the event loop, and all. */
  readonly inline?: number;
  readonly submitted?: number;
}

/** For so long what leaves nothing is repeated: what it costs to come back after the others had the processor should not count. */
const RUN_MS = 100;

const { row, engine: name, folder, probe } = JSON.parse(process.argv[2]!) as StallSpec;
const submits = watchSubmits(probe);
const steps = stepsOf();
const totalBytes = steps.length * row.bytes;
/** Whether the row can be done again at once: neither file, page cache nor memory is another one afterwards. */
const leavesNothing = row.before === 'written' && row.direct && row.touched;
let engine: StallEngine | undefined;

function stepsOf(): Step[] {
  const { files, requests, bytes, random } = row;
  const next = randomBlocks(fileBytes(row) / bytes, 7);
  return Array.from({ length: files * requests }, (_, i) => {
    const file = Math.floor(i / requests);
    return { file, at: i * bytes, position: (random ? next() : i % requests) * bytes };
  });
}

/** What the row is done with: the same every time, so that it is warm, but where untouched memory is asked for. */
async function engineOf(): Promise<StallEngine> {
  if (engine !== undefined && row.touched) return engine;
  await engine?.close();
  engine = ENGINES[name]!(row, totalBytes);
  if (row.touched) engine.memory.fill(1);
  return engine;
}

function shareOf(
  { submittedInline: inline, submittedOffThread }: AioStats,
  before: AioStats,
): Pick<StallRun, 'inline' | 'submitted'> {
  const more = inline - before.submittedInline;
  return { inline: more, submitted: more + submittedOffThread - before.submittedOffThread };
}

async function once(): Promise<StallRun> {
  const used = await engineOf();
  await used.open(prepare(row, folder));
  Object.assign(submits, NO_SUBMITS);
  const stats = used.stats?.();
  // What preparing has left to do should not count.
  await new Promise((resolve) => setTimeout(resolve, 5));
  const endOfTurns = probe ? watchTurns() : () => 0;
  const cpu = process.cpuUsage();
  const begin = performance.now();
  let repetitions = 0;
  do {
    await used.run(steps);
    repetitions++;
  } while (leavesNothing && performance.now() - begin < RUN_MS);
  const tookMs = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpu);
  const longestTurnMs = endOfTurns();
  const share = stats && shareOf(used.stats!(), stats);
  await used.shut();
  return {
    longestTurnSubmitMs: submits.longestTurnMs,
    sleeps: submits.sleeps,
    longestTurnMs,
    tookMs,
    mib: (repetitions * totalBytes) / 2 ** 20,
    cpuUs: user + system,
    requests: repetitions * steps.length,
    ...share,
  };
}

process.stdout.write('ready\n');
for await (const _ of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(await once())}\n`);
await engine?.close();
