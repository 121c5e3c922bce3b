import { expect } from 'vitest';
import { runNode } from './child.ts';

interface Verdict {
  flat: boolean;
  faults: readonly string[];
  counts: Readonly<Record<string, number>>;
}

/** What a run must have done, or it shows nothing. */
const did = ['read', 'write', 'readv', 'writev', 'sync', 'datasync', 'poll', 'reopen', 'renew', 'aborted', 'checked'];

/**
 * Runs the mixed load of test/long/soak for a time, on at most so many processor cores, and expects it to end with every byte right and
 * everything flat. Returns what it printed, a line of JSON each.
 */
export async function soak(folder: string, seconds: number, cores: number): Promise<string> {
  const { code, signal, stdout, stderr, timedOut } = await runNode(new URL('../long/soak/main.js', import.meta.url), {
    args: [folder],
    env: { KAIO_SOAK_SECONDS: String(seconds), KAIO_SOAK_CORES: String(cores) },
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
  return stdout;
}
