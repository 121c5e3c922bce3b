// `kaio bench` ends whatever becomes of its workers, and takes what it has made with it.
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';
import { shimSkip, withFaults } from '../support/shim.ts';

const EAGAIN = 11;
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
