import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Group } from './figures.ts';
import { GOALS, type Goal, reached } from './goals.ts';
import type { HttpTable } from './http/http.ts';
import { httpSection } from './http/section.ts';
import type { Machine } from './machine.ts';
import { NOTES } from './notes.ts';
import { MEASURES, plot } from './plots.ts';
import { readResults, type SuiteResult } from './results.ts';
import { stallSection } from './stall/section.ts';
import type { StallTable } from './stall/stall.ts';
import { startupSection } from './startup/section.ts';
import type { StartupTable } from './startup/startup.ts';
import { median, type Ratio, ratio } from './statistics.ts';
import { streamSection } from './streams/section.ts';
import type { StreamTable } from './streams/streams.ts';
import { table } from './table.ts';

const docs = fileURLToPath(new URL('../../docs', import.meta.url));
const page = `${docs}/benchmarks.md`;

/** Writes docs/benchmarks.md and its plots from what is in the folder of results; a suite that has none there keeps its section. */
export async function report(folder: string): Promise<void> {
  const figures = readResults(folder, 'figures');
  const [first] = figures;
  if (first === undefined) throw new Error('there are no figures yet: npm run bench');
  const before = readFileSync(page, 'utf8').split(/\n(?=## )/);
  const kept = (heading: string): string[] =>
    before.filter((text) => text.startsWith(`## ${heading}\n`)).map((text) => text.trim());
  const section = <T>(suite: string, heading: string, write: (result: T) => string): string[] => {
    const path = `${folder}/${suite}.json`;
    return existsSync(path) ? [write(JSON.parse(readFileSync(path, 'utf8')) as T)] : kept(heading);
  };
  const matrix = readResults(folder, 'matrix');
  const sections = [
    NOTES.beginning,
    machineSection(first.machine, first),
    goalSection(figures),
    NOTES.misses,
    ...first.groups.map(groupSection),
    ...(matrix.length > 0 ? [plotSection(matrix)] : kept('Depth and block size')),
    ...section<StreamTable>('streams', 'Streams and copies', streamSection),
    ...section<StallTable>('stall', 'What submitting does to the event loop', stallSection),
    ...section<HttpTable>(
      'http',
      'An HTTP server that reads its answers from disk',
      (result) => `${httpSection(result)}\n\n${NOTES.http}`,
    ),
    ...section<StartupTable>(
      'startup',
      'Starting, idling, and going on for long',
      (result) => `${startupSection(result)}\n\n${NOTES.startup}`,
    ),
    NOTES.end,
  ];
  writeFileSync(page, `${sections.join('\n\n')}\n`);
}

function machineSection(machine: Machine, { plan, prefix }: SuiteResult): string {
  const { kernel, distribution, cpu, cores, memoryMiB, node, libuv, v8, fio, fileSystem, device, date } = machine;
  const rows = [
    ['kernel', kernel],
    ['system', distribution],
    ['processor', `${cpu}, ${cores} cores, ${memoryMiB} MiB`],
    ['disk', `${device}, ${fileSystem}`],
    ['Node', `${node} (libuv ${libuv}, V8 ${v8})`],
    ['fio', fio ?? 'not installed'],
    [
      'slices',
      `${plan.rounds} of ${plan.sliceMs} ms each, after a warm-up of ${plan.warmUpMs} ms, and ten of them for reads of 1 MiB`,
    ],
    ['every peer run by', prefix === '' ? 'nothing' : `\`${prefix}\``],
    ['measured', date.slice(0, 10)],
  ];
  return `## The machine\n\n${table(['', ''], rows)}`;
}

/** Every goal, one column a Node version. */
function goalSection(figures: readonly SuiteResult[]): string {
  const head = ['figure', 'must', 'aim', ...figures.map(({ machine }) => `Node ${machine.node}`)];
  const rows = GOALS.map((goal) => [
    goal.name,
    `${goal.more ? '' : '≤ '}${goal.must}`,
    `${goal.more ? '' : '≤ '}${goal.aim}`,
    ...figures.map(({ groups }) => goalText(goal, goal.measure(groups))),
  ]);
  return `## What kaio is held to\n\nBest slice against best slice; in brackets the median of the pairs.\n\n${table(head, rows)}`;
}

function goalText(goal: Goal, value: Ratio | undefined): string {
  if (value === undefined) return 'not measured';
  const verdict = reached(goal, value.best, goal.aim)
    ? 'aim'
    : reached(goal, value.best, goal.must)
      ? 'met'
      : '**missed**';
  return `${value.best.toFixed(2)} (${value.median.toFixed(2)}) ${verdict}`;
}

function groupSection({ title, target, results }: Group): string {
  const [first] = results;
  const head = [
    'peer',
    'best/s',
    'relative',
    'median (range)',
    'CPU µs',
    'relative',
    'user + system',
    'p50 µs',
    'p99 µs',
    'p99.9 µs',
  ];
  const rows = results.map(({ name, perSecond, cpuUs, userUs, systemUs, latencyUs }) => {
    const rate = ratio(perSecond, first!.perSecond, Math.max);
    const us = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
    return [
      name,
      Math.round(Math.max(...perSecond)).toString(),
      rate.best.toFixed(2),
      `${rate.median.toFixed(2)} (${rate.least.toFixed(2)}-${rate.greatest.toFixed(2)})`,
      Math.min(...cpuUs).toFixed(2),
      ratio(cpuUs, first!.cpuUs, Math.min).best.toFixed(2),
      `${median(userUs).toFixed(2)} + ${median(systemUs).toFixed(2)}`,
      us(latencyUs.p50),
      us(latencyUs.p99),
      us(latencyUs.p999),
    ];
  });
  return `### ${TARGETS[target]}: ${title}\n\n${table(head, rows)}`;
}

const TARGETS = { ram: 'RAM device', disk: 'Disk file', fake: 'Fake kernel' } as const;

function plotSection([matrix]: readonly SuiteResult[]): string {
  if (matrix === undefined) return '';
  mkdirSync(`${docs}/benchmarks`, { recursive: true });
  const images: string[] = [];
  for (const target of ['ram', 'disk'] as const) {
    for (const over of ['depth', 'bytes'] as const) {
      // The groups of the two kinds differ in their titles; 4 KiB at depth 16 is in both.
      const kind = over === 'depth' ? '4 KiB random reads, depth' : 'random reads, depth 16';
      const chosen = matrix.groups.filter((group) => group.target === target && group.title.includes(kind));
      if (chosen.length === 0) continue;
      for (const measure of MEASURES) {
        const title = `${TARGETS[target]}, ${over === 'depth' ? '4 KiB random reads' : 'random reads at depth 16'}: ${measure.label}`;
        const name = `${target}-${over}-${measure.key}.svg`;
        writeFileSync(`${docs}/benchmarks/${name}`, `${plot(title, chosen, over, measure)}\n`);
        images.push(`![${title}](benchmarks/${name})`);
      }
    }
  }
  return `## Depth and block size\n\n${images.join('\n\n')}`;
}
