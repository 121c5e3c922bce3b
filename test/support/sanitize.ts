import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/sanitize.js', import.meta.url));
/** The script's exit code for a machine that lacks something. */
const SKIPPED = 77;

export interface Sanitized {
  /** What this machine lacks. */
  missing: string | undefined;
  /** Tests ran, all of them passed, and the sanitizer said nothing. */
  passed: boolean;
  /** How many passed. */
  tests: number;
  output: string;
}

/** Runs tests, in their short form, with the native module compiled for a sanitizer; see scripts/sanitize.js. */
export function sanitize(kind: 'address' | 'thread', args: readonly string[] = [], timeLimitMs = 200_000): Sanitized {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VITEST|KAIO_LONG$)/.test(name)));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, kind, ...args], {
    encoding: 'utf8',
    env,
    timeout: timeLimitMs,
    maxBuffer: 2 ** 28,
  });
  const output = stripVTControlCharacters(stdout + stderr);
  const tests = Number(/Tests .*\b(\d+) passed/.exec(output)?.[1] ?? 0);
  return { missing: status === SKIPPED ? output.trim() : undefined, passed: status === 0 && tests > 0, tests, output };
}
