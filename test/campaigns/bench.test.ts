// The sections of npm run bench that start programs of their own, as short as they can be: that they measure, not what.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HttpTable } from '../../bench/http/http.ts';
import type { StartupTable } from '../../bench/startup/startup.ts';
import { directSkip } from '../support/direct.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const NAME = `test-${process.pid}`;
const results = `${root}bench/results/${NAME}.json`;

function bench<T>(...args: string[]): T {
  execFileSync(process.execPath, ['bench/out/main.js', ...args, '--name', NAME], { cwd: root, stdio: 'pipe' });
  return JSON.parse(readFileSync(results, 'utf8')) as T;
}

beforeAll(() => {
  execFileSync('npx', ['tsc', '-p', 'bench'], { cwd: root, stdio: 'pipe' });
});

afterAll(() => rmSync(results, { force: true }));

test('http: every server answers, rightly, with other work beside it too', ({ skip }) => {
  skip(directSkip() !== false, String(directSkip()));
  const { groups } = bench<HttpTable>('http', '--rounds', '2', '--slice', '250', '--warm', '50', '--only', 'of 4 KiB');
  expect(groups.map(({ beside }) => beside)).toEqual([false, true]);
  for (const { beside, results: peers } of groups) {
    expect(peers.map(({ name }) => name)).toEqual(['fs', 'fs, 64 threads', 'kaio']);
    for (const { perSecond, cpuUs, latencyUs, lookupMs, counters } of peers) {
      expect(perSecond).toHaveLength(2);
      expect(Math.min(...perSecond, ...cpuUs)).toBeGreaterThan(0);
      expect(latencyUs.p99).toBeGreaterThanOrEqual(latencyUs.p50);
      expect(lookupMs !== undefined).toBe(beside);
      expect(counters['hashes']! > 0).toBe(beside);
    }
  }
});

test('startup: contexts, the heap and the cost of a request are measured', ({ skip }) => {
  skip(!existsSync('/dev/shm'), 'there is no /dev/shm');
  const { figures } = bench<StartupTable>('startup', '--rounds', '1');
  expect(figures).toHaveLength(4);
  const [first, idle, heap, cost] = figures.map(({ value }) => value);
  expect(first).toBeGreaterThan(0);
  // These three hold on any machine, however busy it is.
  expect(idle).toBeLessThan(1024);
  expect(heap).toBeLessThan(1024);
  expect(cost).toBeGreaterThan(0);
});
