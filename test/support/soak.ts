import { expect } from 'vitest';
import { runNode } from './child.ts';
import { type Faults, type Report, readReport, withFaults } from './shim.ts';

interface Latency {
  requests: number;
  p999Ms: number;
}

/** What the process had when everything was closed and collected: megabytes, and numbers of things. */
export interface Quiet {
  seconds: number;
  rss: number;
  heap: number;
  external: number;
  arrayBuffers: number;
  address: number;
  descriptors: number;
  contexts: number;
  threads: number;
  aioNr: number;
  done: number;
  /** Of the requests since the last such sample, by the way in which their context reaps. */
  latency: Readonly<Record<'ring' | 'io_getevents', Latency>>;
  /** Of what a process without kaio read and wrote meanwhile. */
  machine: Latency;
}

interface Verdict {
  flat: boolean;
  faults: readonly string[];
  counts: Readonly<Record<string, number>>;
}

export interface Soak {
  verdict: Verdict;
  quiet: readonly Quiet[];
  /** How often each fault was injected. */
  injected?: Report;
}

export interface SoakOptions {
  /** Where its files are. */
  folder: string;
  seconds: number;
  /** Processor cores it may use. */
  cores: number;
  /** Threads beside the main one. */
  workers: number;
  seed: number;
  /** A preloaded library answers in the kernel's place now and then. */
  faults?: boolean;
}

/** Rare enough that most requests still do what they should, and that no run of a few seconds is without any. */
const FAULTS: Faults = {
  failEvery: 97,
  partial: 'random',
  refuseEvery: 499,
  resEvery: 251,
  resErrno: 5,
  shortEvery: 211,
  delayEvery: 401,
  delayAfterUs: 1000,
  reorder: 1,
  eintrEvery: 5,
};

/** What a run must have done, or it shows nothing. */
const did = ['read', 'write', 'readv', 'writev', 'sync', 'datasync', 'poll', 'reopen', 'renew', 'aborted', 'checked'];
const met = ['failed', 'partial', 'refused', 'errors', 'shortened', 'delayed', 'reordered'] as const;

/**
 * Runs the mixed load of test/long/soak for a time, and expects it to end with every byte right and everything flat. Half of the contexts
 * reap from the ring, half by io_getevents.
 */
export async function soak({ folder, seconds, cores, workers, seed, faults = false }: SoakOptions): Promise<Soak> {
  const report = `${folder}.report`;
  const { code, signal, stdout, stderr, timedOut } = await runNode(new URL('../long/soak/main.js', import.meta.url), {
    args: [folder],
    env: {
      KAIO_SOAK_SECONDS: String(seconds),
      KAIO_SOAK_CORES: String(cores),
      KAIO_SOAK_WORKERS: String(workers),
      KAIO_SOAK_SEED: String(seed),
      ...(faults ? { KAIO_SOAK_INJECTED: 'EIO,EINVAL', ...withFaults({ ...FAULTS, seed, report }) } : {}),
    },
    execArgv: ['--expose-gc'],
    timeLimitMs: (seconds * 1.2 + 120) * 1000,
  });
  const lines = stdout.trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  expect({ stderr, signal, timedOut }, last).toEqual({ stderr: '', signal: null, timedOut: false });
  const verdict = JSON.parse(last) as Verdict;
  expect(verdict, stdout).toMatchObject({ flat: true, faults: [] });
  for (const name of did) expect(verdict.counts[name], name).toBeGreaterThan(0);
  expect(code).toBe(0);
  const quiet = lines
    .map((line) => JSON.parse(line) as Quiet & { kind: string })
    .filter(({ kind }) => kind === 'quiet');
  if (!faults) return { verdict, quiet };
  const injected = readReport(report);
  for (const name of met) expect(injected[name], name).toBeGreaterThan(0);
  return { verdict, quiet, injected };
}
