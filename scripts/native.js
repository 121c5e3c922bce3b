// Builds the native module and puts a stripped copy where the package carries it. Elsewhere than on Linux there is nothing to
// build: kaio/layout works without it and support() says why the rest does not.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

if (process.platform === 'linux') {
  run(process.execPath, [
    createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js'),
    'configure',
    'build',
    '--silent',
  ]);
  const folder = `${root}prebuilds/${process.platform}-${process.arch}`;
  mkdirSync(folder, { recursive: true });
  // A new file, not new bytes in the old one: a running process may have that mapped.
  rmSync(`${folder}/kaio.node`, { force: true });
  copyFileSync(`${root}build/Release/kaio.node`, `${folder}/kaio.node`);
  run('strip', ['--strip-unneeded', `${folder}/kaio.node`]);
}
