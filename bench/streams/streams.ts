import { execFileSync, spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describeMachine, type Machine } from '../machine.ts';
import { median } from '../statistics.ts';
import type { StreamResult, StreamSpec, Task } from './protocol.ts';

const BYTES = 2 ** 31;
const MEBIBYTE = 2 ** 20;

const child = fileURLToPath(new URL('child.js', import.meta.url));

export interface StreamPlan {
  readonly rounds: number;
  /** Only tasks whose name has this. */
  readonly only: string;
  readonly prefix: readonly string[];
  /** Of the results file. */
  readonly name: string;
}

/** The runs of one peer, a round each. */
export interface StreamRow {
  readonly task: Task;
  readonly peer: string;
  readonly results: readonly StreamResult[];
}

export interface StreamTable {
  readonly machine: Machine;
  readonly rounds: number;
  readonly prefix: string;
  readonly bytes: number;
  readonly rows: readonly StreamRow[];
}

/** Files that are read and written, all on the disk but for what dd writes from. */
interface Files {
  readonly source: string;
  readonly target: string;
  readonly memory: string;
}

const dd = (from: string, to: string, ...more: string[]): string[] => [
  'dd',
  `if=${from}`,
  `of=${to}`,
  'status=none',
  ...more,
];

/** Everybody who does a task: an array is a command, a name a peer of child.ts. What is written counts only once it is on the disk. */
function peersOf(
  task: Task,
  { source, target, memory }: Files,
): Readonly<Record<string, readonly string[] | undefined>> {
  if (task === 'write') {
    const direct = ['oflag=direct', 'conv=fsync'];
    return {
      kaio: undefined,
      'kaio, preallocate': undefined,
      fs: undefined,
      'fs, 1 MiB chunks': undefined,
      'dd direct, 1 MiB': dd(memory, target, 'bs=1M', ...direct),
      'dd direct, 16 MiB': dd(memory, target, 'bs=16M', ...direct),
      'dd, page cache': dd(memory, target, 'bs=1M', 'conv=fsync'),
    };
  }
  if (task === 'copy') {
    const direct = ['iflag=direct', 'oflag=direct', 'conv=fsync'];
    return {
      kaio: undefined,
      'cp, then sync': ['sh', '-c', 'cp "$0" "$1" && sync "$1"', source, target],
      'dd direct, 1 MiB': dd(source, target, 'bs=1M', ...direct),
      'dd direct, 16 MiB': dd(source, target, 'bs=16M', ...direct),
    };
  }
  return {
    kaio: undefined,
    'kaio, zeroCopy': undefined,
    fs: undefined,
    'fs, 1 MiB chunks': undefined,
    'dd direct, 1 MiB': dd(source, '/dev/null', 'bs=1M', 'iflag=direct'),
    'dd direct, 16 MiB': dd(source, '/dev/null', 'bs=16M', 'iflag=direct'),
    'dd, page cache': dd(source, '/dev/null', 'bs=1M'),
  };
}

/** Measures every task with every peer in turn, prints what came out and writes the results file. */
export function streams(scratch: string, plan: StreamPlan): void {
  const files = {
    source: `${scratch}/stream-source.bin`,
    target: `${scratch}/stream-target.bin`,
    memory: `/dev/shm/kaio-bench-${process.pid}`,
  };
  const remove = (): void => {
    for (const path of Object.values(files)) rmSync(path, { force: true });
  };
  process.once('exit', remove);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  makeSource(files.source);
  execFileSync('cp', [files.source, files.memory]);
  const tasks = (['read', 'read warm', 'write', 'copy'] as const).filter((task) => task.includes(plan.only));
  const rows = tasks.flatMap((task) => measureTask(task, files, plan));
  const machine = describeMachine(scratch, process.execPath);
  const table: StreamTable = { machine, rounds: plan.rounds, prefix: plan.prefix.join(' '), bytes: BYTES, rows };
  writeFileSync(`${scratch}/${plan.name}.json`, `${JSON.stringify(table, undefined, 1)}\n`);
}

/** Random data: nothing on the way can make it smaller. */
function makeSource(path: string): void {
  const fd = openSync(path, 'w');
  const data = randomFillSync(Buffer.alloc(32 * MEBIBYTE));
  for (let at = 0; at < BYTES; at += data.length) {
    // No two pieces are the same, in case somebody below looks for that.
    for (let page = 0; page < data.length; page += 4096) data.writeDoubleLE(at + page, page);
    writeSync(fd, data, 0, data.length, at);
  }
  fsyncSync(fd);
  closeSync(fd);
}

function measureTask(task: Task, files: Files, { rounds, prefix }: StreamPlan): StreamRow[] {
  const peers = Object.entries(peersOf(task, files));
  const results = new Map<string, StreamResult[]>(peers.map(([peer]) => [peer, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [peer, command] of peers) {
      prepare(task, files);
      const spec: StreamSpec = { task, peer, source: files.source, target: files.target, bytes: BYTES };
      results.get(peer)!.push(command === undefined ? runChild(spec, prefix) : runCommand(command, prefix));
      if ((task === 'write' || task === 'copy') && statSync(files.target).size !== BYTES)
        throw new Error(`${peer}: short`);
    }
  }
  for (const [peer, runs] of results) console.log(line(task, peer, runs));
  return peers.map(([peer]) => ({ task, peer, results: results.get(peer)! }));
}

/** Nothing of it is cached, or all of it; and each writes a new file. */
function prepare(task: Task, { source, target }: Files): void {
  rmSync(target, { force: true });
  execFileSync('sync');
  writeFileSync('/proc/sys/vm/drop_caches', '3');
  if (task === 'read warm') execFileSync('dd', [`if=${source}`, 'of=/dev/null', 'bs=1M', 'status=none']);
}

function runChild(spec: StreamSpec, prefix: readonly string[]): StreamResult {
  const [file = '', ...args] = [...prefix, process.execPath, child, JSON.stringify(spec)];
  return JSON.parse(
    execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  ) as StreamResult;
}

/** The shell's own clock knows what its child used. */
function runCommand(command: readonly string[], prefix: readonly string[]): StreamResult {
  const script = 'TIMEFORMAT="%R %U %S"; time "$@"';
  const { status, stderr } = spawnSync('bash', ['-c', script, 'bash', ...prefix, ...command], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
  const [real, user, system] = stderr.trim().split('\n').at(-1)!.split(' ').map(Number) as [number, number, number];
  return { wallMs: real * 1000, cpuMs: (user + system) * 1000 };
}

/** MB/s (10^6) of the best run and of the median, and CPU of the median for each MiB. */
export function figuresOf(results: readonly StreamResult[]): {
  best: number;
  middle: number;
  cpuUs: number;
  peakMiB: number;
  poolMiB: number;
} {
  const rates = results.map(({ wallMs }) => BYTES / wallMs / 1000);
  return {
    best: Math.max(...rates),
    middle: median(rates),
    cpuUs: median(results.map(({ cpuMs }) => (cpuMs * 1000) / (BYTES / MEBIBYTE))),
    peakMiB: Math.max(...results.map(({ peakMiB = Number.NaN }) => peakMiB)),
    poolMiB: Math.max(...results.map(({ poolMiB = Number.NaN }) => poolMiB)),
  };
}

function line(task: Task, peer: string, results: readonly StreamResult[]): string {
  const { best, middle, cpuUs, peakMiB, poolMiB } = figuresOf(results);
  const memory = Number.isNaN(peakMiB) ? '' : `${peakMiB.toFixed(0)} MiB at most, pool ${poolMiB.toFixed(1)}`;
  return `${task.padEnd(10)}${peer.padEnd(20)}${best.toFixed(0).padStart(6)} MB/s (${middle.toFixed(0).padStart(5)})  ${cpuUs.toFixed(0).padStart(5)} µs/MiB  ${memory}`;
}
