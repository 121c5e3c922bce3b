import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeMachine, type Machine } from '../machine.ts';
import { median } from '../statistics.ts';

/** One thing that kaio is held to here. */
export interface StartupFigure {
  readonly name: string;
  /** `value` may be at most this. */
  readonly must: number;
  readonly unit: string;
  readonly value: number;
  /** What it is made of. */
  readonly from: string;
}

export interface StartupTable {
  readonly machine: Machine;
  readonly trials: number;
  readonly prefix: string;
  readonly figures: readonly StartupFigure[];
}

export interface StartupPlan {
  readonly trials: number;
  readonly node: string;
  readonly prefix: readonly string[];
  /** Of the results file. */
  readonly name: string;
}

/** Where a file is in memory, whatever the disk is. */
const MEMORY = '/dev/shm';
const FILE_BYTES = 2 ** 20;
const KIB = 1024;
const GC = ['--expose-gc'];

/** Measures all of it, each trial in a process of its own, prints what came out and writes the results. */
export function startup(scratch: string, plan: StartupPlan): void {
  const path = `${MEMORY}/kaio-bench-${process.pid}`;
  writeFileSync(path, Buffer.alloc(FILE_BYTES, 1));
  try {
    const figures = [firstFigure(plan), idleFigure(plan), ...growthFigures(plan, path)];
    for (const { name, value, unit, must, from } of figures) {
      console.log(`${name}: ${value.toFixed(2)}${unit} (must be at most ${mustText(must, unit)}); ${from}`);
    }
    const machine = describeMachine(scratch, plan.node);
    const table: StartupTable = { machine, trials: plan.trials, prefix: plan.prefix.join(' '), figures };
    writeFileSync(`${scratch}/${plan.name}.json`, `${JSON.stringify(table, undefined, 1)}\n`);
  } finally {
    rmSync(path);
  }
}

/** A figure's limit in words: a third is no decimal. */
export function mustText(must: number, unit: string): string {
  return must === 1 / 3 ? 'a third' : `${must}${unit}`;
}

/** Flags of V8 only where they are needed: with any, Node's own code is compiled anew, and everything takes longer to load. */
function trials<T>(name: string, flags: readonly string[], plan: StartupPlan, ...args: string[]): T[] {
  const { trials: count, node, prefix } = plan;
  const program = fileURLToPath(new URL(`${name}.js`, import.meta.url));
  const [file, ...rest] = [...prefix, node, ...flags, program, ...args];
  const one = (): T => JSON.parse(execFileSync(file!, rest, { encoding: 'utf8', timeout: 120_000 })) as T;
  // The first finds neither Node nor kaio in the page cache.
  one();
  return Array.from({ length: count }, one);
}

function firstFigure(plan: StartupPlan): StartupFigure {
  const all = trials<{ nodeMs: number; importMs: number; contextMs: number }>('first', [], plan);
  const of = (key: 'nodeMs' | 'importMs' | 'contextMs'): string => median(all.map((one) => one[key])).toFixed(1);
  return {
    name: 'import and first context, of the time that Node.js takes to start',
    must: 1 / 3,
    unit: '',
    value: median(all.map(({ nodeMs, importMs, contextMs }) => (importMs + contextMs) / nodeMs)),
    from: `Node.js ${of('nodeMs')} ms, import ${of('importMs')} ms, context ${of('contextMs')} ms`,
  };
}

function idleFigure(plan: StartupPlan): StartupFigure {
  const all = trials<{ firstBytes: number; eachBytes: number }>('idle', GC, plan);
  return {
    name: 'resident memory of an idle context',
    must: KIB,
    unit: ' KiB',
    value: median(all.map(({ eachBytes }) => eachBytes)) / KIB,
    from: `the first of a process, with the code that it loads: ${(median(all.map(({ firstBytes }) => firstBytes)) / KIB).toFixed(0)} KiB`,
  };
}

interface Cost {
  readonly cpuUs: number;
  readonly wallUs: number;
}

interface Heap {
  readonly heapBytes: number;
  readonly outsideBytes: number;
}

interface Growth {
  readonly few: readonly Cost[];
  readonly many: Cost;
  readonly before: Heap;
  readonly after: Heap;
}

/** The heap is where it was if what is left of a million requests is less than what V8's own bookkeeping moves. */
const HEAP_KIB = 64;

function growthFigures(plan: StartupPlan, path: string): StartupFigure[] {
  const all = trials<Growth>('growth', GC, plan, path);
  const kib = (key: keyof Heap): number => median(all.map(({ before, after }) => after[key] - before[key])) / KIB;
  const ratio = (key: keyof Cost): number =>
    median(all.map(({ few, many }) => many[key] / median(few.map((run) => run[key]))));
  const us = median(all.map(({ many }) => many.cpuUs)).toFixed(2);
  return [
    {
      name: 'growth of the heap over a million requests',
      must: HEAP_KIB,
      unit: ' KiB',
      value: kib('heapBytes'),
      from: `of ${(median(all.map(({ before }) => before.heapBytes)) / KIB).toFixed(0)} KiB; outside the heap ${kib('outsideBytes').toFixed(0)} KiB`,
    },
    {
      name: 'CPU of a request, of a million against ten thousand',
      must: 1.1,
      unit: '',
      value: ratio('cpuUs'),
      from: `${us} µs a request, with the kernel's part; time ${ratio('wallUs').toFixed(2)}`,
    },
  ];
}
