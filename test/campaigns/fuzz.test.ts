// Calls and inputs that nobody thought of. test/campaigns/fuzz/api.js and coverage.js say how to repeat what fails: a failure names its seed.
import { mkdirSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { runNode } from '../support/child.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { campaignCommand, keepResults } from '../support/results.ts';
import { sanitize } from '../support/sanitize.ts';
import { scratchFolder } from '../support/scratch.ts';

const long = process.env['KAIO_LONG'] !== undefined;
const CALLS = 20_000;
const HOUR_MS = 3_600_000;
const INPUTS = long ? 100_000 : 5000;

interface Figures {
  door?: string;
  target?: string;
  failures: readonly unknown[];
}

/** By the door that was called, or by the target of the other fuzzer. */
const results: Record<string, Figures> = {};
afterAll(() => {
  const command = `KAIO_LONG=1 ${campaignCommand('fuzz')}`;
  const job = '{"door": "kaio", "dir": "FOLDER", "from": 1, "seeds": 1, "calls": 10000}';
  keepResults('fuzz', { command, replay: `node test/campaigns/fuzz/api.js '${job}'` }, results);
});

const folder = scratchFolder();

/** Runs one of the fuzzers in a process of its own, which must survive and have found nothing. */
async function fuzz(program: string, job: object, cwd?: string): Promise<void> {
  const script = new URL(`fuzz/${program}`, import.meta.url);
  const child = await runNode(script, {
    args: [JSON.stringify(job)],
    execArgv: ['--no-warnings'],
    timeLimitMs: HOUR_MS,
    cwd,
  });
  const note = `${program} '${JSON.stringify(job)}': ${child.stdout}${child.stderr}`;
  expect({ signal: child.signal, timedOut: child.timedOut }, note).toEqual({ signal: null, timedOut: false });
  const figures = JSON.parse(child.stdout.trim().split('\n').at(-1) ?? '') as Figures;
  expect(figures.failures, note).toEqual([]);
  expect(child.code, note).toBe(0);
  const { door, target } = figures;
  results[target ?? (door === 'kaio' ? door : `kaio/${door}`)] = figures;
}

describe.concurrent('values of every type', () => {
  test(
    'given to kaio/layout bring no error but such that say what is wrong',
    async () => {
      await fuzz('api.js', { door: 'layout', seeds: long ? 260 : 1, calls: CALLS });
    },
    HOUR_MS,
  );

  test(
    'given to kaio/raw are refused, and the process survives',
    async () => {
      await fuzz('api.js', { door: 'raw', dir: folder, seeds: long ? 240 : 1, calls: CALLS });
    },
    HOUR_MS,
  );

  test(
    'given to contexts and files are refused or answered, and nothing hangs or is left',
    async ({ skip }) => {
      // Files of any size, and all the room there is, may be asked for: not of the disk that others use.
      const reason = fileSystemSkip('ext4');
      skip(reason !== false, String(reason));
      await withFileSystem('ext4', (dir) =>
        fuzz('api.js', { door: 'kaio', dir, seeds: long ? 100 : 2, calls: CALLS / 2 }),
      );
    },
    HOUR_MS,
  );
});

describe.concurrent('under a fuzzer that looks for code which no input has reached', () => {
  test.each(['decode', 'layout', 'copy', 'bench'])(
    '%s refuses what it cannot read',
    async (target) => {
      const cwd = `${folder}/${target}`;
      mkdirSync(cwd);
      await fuzz('coverage.js', { target, seed: 1, runs: INPUTS }, cwd);
    },
    HOUR_MS,
  );
});

test(
  'the native module makes no mistake that AddressSanitizer sees',
  ({ skip }) => {
    skip(!long, 'only with KAIO_LONG=1: it compiles the module anew');
    const args = [
      '--config',
      'vitest.campaigns.config.ts',
      'test/campaigns/fuzz.test.ts',
      '-t',
      'values of every type',
    ];
    const { missing, passed, output } = sanitize('address', ['--', ...args], HOUR_MS);
    skip(missing !== undefined, missing);
    expect(passed, output).toBe(true);
  },
  HOUR_MS,
);
