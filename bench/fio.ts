import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { Workload } from './peers.ts';
import type { Slice } from './protocol.ts';
import type { Measured } from './trial.ts';

const run = promisify(execFile);

/** What fio reports, as far as it is used here. */
interface Report {
  jobs: readonly [
    {
      read: { total_ios: number; runtime: number; clat_ns: { percentile?: Record<string, number> } };
      usr_cpu: number;
      sys_cpu: number;
      job_runtime: number;
    },
  ];
}

/** The version of fio, or undefined where it is not installed. */
export function fioVersion(): string | undefined {
  const { stdout, status } = spawnSync('fio', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** fio at its defaults (one request a submit), as a process of its own for each slice: it has no way to pause. */
export class Fio implements Measured {
  readonly name: string;
  readonly #args: readonly string[];

  constructor(name: string, engine: 'libaio' | 'io_uring', load: Workload, prefix: readonly string[] = []) {
    this.name = name;
    this.#args = [
      ...prefix,
      'fio',
      '--name=kaio-bench',
      `--filename=${load.path}`,
      `--ioengine=${engine}`,
      `--rw=${load.pattern === 'random' ? 'randread' : 'read'}`,
      `--bs=${load.bytes}`,
      `--iodepth=${load.depth}`,
      `--size=${load.targetBytes}`,
      `--randseed=${load.seed}`,
      '--direct=1',
      // A map of the blocks that were read would take time of its own; nobody else keeps one.
      '--norandommap',
      '--time_based',
      '--output-format=json',
    ];
  }

  async slice(milliseconds: number): Promise<Slice> {
    const [file, ...args] = this.#args;
    const { stdout } = await run(file!, [...args, `--runtime=${milliseconds}ms`], { maxBuffer: 1 << 24 });
    const { jobs } = JSON.parse(stdout) as Report;
    const [{ read, usr_cpu, sys_cpu, job_runtime }] = jobs;
    return {
      requests: read.total_ios,
      wallMs: read.runtime,
      userUs: usr_cpu * 10 * job_runtime,
      systemUs: sys_cpu * 10 * job_runtime,
      samplesNs: samplesOf(read.clat_ns.percentile ?? {}),
    };
  }

  async end(): Promise<void> {}
}

/** fio gives percentiles and no samples: a hundred values that have those percentiles stand for them. */
function samplesOf(percentile: Readonly<Record<string, number>>): number[] {
  const known = Object.entries(percentile).map(([share, ns]) => [Number(share), ns] as const);
  return Array.from({ length: 1000 }, (_, i) => known.find(([share]) => share >= i / 10)?.[1] ?? 0).filter(
    (ns) => ns > 0,
  );
}
