// What the scripts that build the native module have in common: running node-gyp, and putting the result where the package has it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
/** Where binding.gyp is: not at the root, where package managers compile what has one. */
export const native = `${root}native`;
export const prebuilds = `${native}/prebuilds`;

/** Runs a program in a folder; where it fails, this process ends as it did. */
function run(command, args, cwd, env) {
  const { status, error } = spawnSync(command, args, { cwd, env, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Copies the module's sources, without what was compiled of them. */
export function copySources(folder) {
  cpSync(native, folder, { recursive: true, filter: (path) => !/\/(build|prebuilds)$/.test(path) });
}

/** Compiles the module in the folder of its sources, to build/Release/kaio.node there. */
export function compile(folder, args = [], env = process.env) {
  const gyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  run(process.execPath, [gyp, 'configure', 'build', '--silent', ...args], folder, env);
}

/** Puts a stripped copy where node-gyp-build looks. `libc` is in the name, for no module runs with the C library of another. */
export function place(folder, target, libc, strip = 'strip') {
  const parent = `${prebuilds}/${target}`;
  // A new file, not new bytes in the old one: a running process may have that mapped.
  rmSync(parent, { recursive: true, force: true });
  mkdirSync(parent, { recursive: true });
  copyFileSync(`${folder}/build/Release/kaio.node`, `${parent}/kaio.${libc}.node`);
  run(strip, ['--strip-unneeded', `${parent}/kaio.${libc}.node`], folder, process.env);
}
