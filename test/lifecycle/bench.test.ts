// `kaio bench` ends whatever becomes of its workers and whoever ends it, and leaves nothing behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { dist, patience, runNode } from '../support/child.ts';
import { contextCount, eventually } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';
import { shimSkip, withFaults } from '../support/shim.ts';

const EAGAIN = 11;
const START_MS = 10_000;
const folder = scratchFolder();
const cli = new URL('cli/main.js', dist);

test('where only one of two workers gets a context, it says why and ends', async ({ skip }) => {
  skip(shimSkip() !== false, String(shimSkip()));
  const args = ['bench', folder, '--size', '1m', '--runtime', '0.1', '--workers', '2', '--engine', 'fs,kaio'];
  const child = await runNode(cli, { args, env: withFaults({ setupErrno: EAGAIN, setupEvery: 2 }) });
  expect(child, child.stderr).toMatchObject({ code: 2, timedOut: false, stdout: '' });
  expect(child.stderr).toMatch(/^kaio bench: EAGAIN: .*io_setup/);
  expect(readdirSync(folder)).toEqual([]);
});

test('a page that cannot be made is an error before anything is measured', async () => {
  const args = ['bench', folder, '--size', '1m', '--runtime', '60', '--html', `${folder}/no/such.html`];
  const child = await runNode(cli, { args });
  expect(child, child.stderr).toMatchObject({ code: 2, timedOut: false, stdout: '' });
  expect(child.stderr).toMatch(/^kaio bench: ENOENT: .*such\.html/);
  expect(readdirSync(folder)).toEqual([]);
});

test('a page that cannot be written leaves the figures', async () => {
  const args = ['bench', folder, '--size', '1m', '--runtime', '0.1', '--engine', 'fs', '--html', '/dev/full'];
  const child = await runNode(cli, { args });
  expect(child, child.stderr).toMatchObject({ code: 2, stdout: expect.stringMatching(/^engine +requests\/s/) });
  expect(child.stderr).toMatch(/^kaio bench: ENOSPC: /);
});

const moments = {
  'is being filled': { size: '1g', has: (_: number, dir: string) => bytesIn(dir) > 0 },
  'is measured': { size: '1m', has: (pid: number) => contextCount(pid) > 0 },
};

function bytesIn(dir: string): number {
  return readdirSync(dir).reduce((sum, name) => sum + statSync(`${dir}/${name}`).size, 0);
}

test.each(
  (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).flatMap((signal) =>
    (['is being filled', 'is measured'] as const).map((moment) => ({ signal, moment })),
  ),
)('$signal while the file $moment takes it away', async ({ signal, moment }) => {
  const { size, has } = moments[moment];
  const dir = mkdtempSync(`${folder}/`);
  const args = [cli.pathname, 'bench', dir, '--size', size, '--runtime', '60', '--engine', 'kaio'];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  const ended = once(child, 'exit');
  expect(await eventually(() => has(child.pid!, dir), START_MS * patience)).toBe(true);
  child.kill(signal);
  expect(await ended).toEqual([128 + constants.signals[signal], null]);
  expect(readdirSync(dir)).toEqual([]);
});
