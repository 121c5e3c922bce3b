import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

function run(...args: string[]): { status: number | null; stdout: string } {
  return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

beforeAll(() => {
  expect(run('node_modules/typescript/bin/tsc', '-p', 'bench').status).toBe(0);
});

// What is held does not depend on how fast or busy the machine is: instructions, and CPU relative to a yardstick of the same run.
test('kaio costs no more than the baseline allows', { timeout: 180_000 }, () => {
  const { status, stdout } = run('bench/out/main.js', 'guard');
  expect(stdout).not.toMatch(/allowed/);
  expect(status).toBe(0);
});

test('a kaio that is slower on purpose does not pass', { timeout: 180_000 }, () => {
  const { status, stdout } = run('bench/out/main.js', 'guard', '--slow');
  expect(stdout).toMatch(/promise: .* is allowed/);
  expect(stdout).toMatch(/callback: .* is allowed/);
  expect(status).toBe(1);
});
