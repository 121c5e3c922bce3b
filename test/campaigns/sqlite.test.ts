// SQLite with its database and journals on kaio, killed at any moment. The judges are SQLite's own: integrity_check of the next process,
// and of another SQLite that has never heard of kaio.
//
//   KAIO_SEED=N npm run test:campaigns sqlite     repeats a run, but for the kernel's timing
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { type ChildResult, runNode } from '../support/child.ts';
import { hasCommand } from '../support/compile.ts';
import { Random } from '../support/random.ts';
import { reapings } from '../support/reaping.ts';
import { campaignCommand, keepResults, repetitionOf } from '../support/results.ts';
import { scratchFolder } from '../support/scratch.ts';

const { KAIO_LONG, KAIO_SEED } = process.env;
const KILLS = KAIO_LONG === undefined ? 3 : 60;
const TRANSACTIONS = KAIO_LONG === undefined ? 20 : 100;
const seed = Number(KAIO_SEED ?? '1');
const program = new URL('sqlite/workload.js', import.meta.url);
const HOUR_MS = 3_600_000;

const folder = scratchFolder();
const figures: Record<string, object> = {};
afterAll(() => keepResults('sqlite', repetitionOf(campaignCommand('sqlite')), figures));

interface Opened {
  check: string;
  sum: number;
  expected: number;
  last: number;
}

function opened(stdout: string): Opened {
  return JSON.parse(/^open (.*)$/m.exec(stdout)?.[1] ?? 'null') as Opened;
}

/** The last transaction whose COMMIT has answered. */
function acknowledged(stdout: string): number {
  return Number([...stdout.matchAll(/^ack (\d+)$/gm)].at(-1)?.[1] ?? 0);
}

async function work(job: object, at: number, killAfterMs?: number): Promise<ChildResult> {
  const env = { KAIO_REAP: reapings[at % reapings.length]! };
  let killing = false;
  return await runNode(program, {
    args: [JSON.stringify(job)],
    env,
    execArgv: ['--no-warnings'],
    timeLimitMs: 600_000,
    onOutput: (stdout, child) => {
      if (killAfterMs === undefined || killing || !stdout.includes('open ')) return;
      killing = true;
      sleep(killAfterMs).then(() => child.kill('SIGKILL'));
    },
  });
}

/** What Python's SQLite says of a copy, with the journal that may be beside it. */
function otherOpinion(dir: string, note: string): void {
  for (const name of ['bank.db', 'bank.db-journal']) {
    if (existsSync(`${dir}/${name}`)) copyFileSync(`${dir}/${name}`, `${dir}/copy-${name}`);
  }
  const code = `import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute('PRAGMA integrity_check').fetchone()[0], db.execute('SELECT sum(money) - 1000 * count(*) FROM account').fetchone()[0])`;
  expect(execFileSync('python3', ['-c', code, `${dir}/copy-bank.db`], { encoding: 'utf8' }).trim(), note).toBe('ok 0');
}

describe('SQLite on kaio', () => {
  test.each(['DELETE', 'PERSIST', 'TRUNCATE'])(
    'with journal mode %s loses nothing that it committed when it is killed',
    async (journal) => {
      const random = new Random(seed);
      const dir = `${folder}/${journal}`;
      mkdirSync(dir);
      let last = 0;
      let commits = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const job = { folder: dir, journal, seed: seed * 1000 + kill, transactions: 1_000_000 };
        const { stdout, stderr, signal } = await work(job, kill, random.below(KAIO_LONG === undefined ? 1500 : 3000));
        const note = `${JSON.stringify(job)}: ${stdout}${stderr}`;
        expect({ signal, stderr }, note).toEqual({ signal: 'SIGKILL', stderr: '' });
        const found = opened(stdout);
        expect(found, note).toMatchObject({ check: 'ok', sum: found.expected });
        // The one whose COMMIT had not answered yet may be there or not.
        expect([last, last + 1], note).toContain(found.last);
        last = Math.max(found.last, acknowledged(stdout));
        commits += last - found.last;
        if (hasCommand('python3')) otherOpinion(dir, note);
      }
      const { stdout, stderr, code } = await work({ folder: dir, journal, seed, transactions: TRANSACTIONS }, KILLS);
      expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
      expect(opened(stdout)).toMatchObject({ check: 'ok' });
      expect([last, last + 1], stdout).toContain(opened(stdout).last);
      if (hasCommand('python3')) otherOpinion(dir, stdout);
      commits += acknowledged(stdout) - opened(stdout).last;
      expect(commits).toBeGreaterThan(KILLS);
      figures[journal] = { seed, kills: KILLS, commits };
    },
    HOUR_MS,
  );
});
