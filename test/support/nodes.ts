/** Other Node.js than the one that runs the tests: npm has the programs of every version as packages. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, root } from '../package/installed.ts';

/** The oldest that `engines` allows, and the newest of every line that is alive; in long runs also the oldest of the second line. */
export const VERSIONS: readonly string[] = [
  '20.19.0',
  '22',
  '24',
  '26',
  ...(process.env['KAIO_LONG'] ? ['22.12.0'] : []),
];

/** The path of a version's program, which is kept for the next time. */
export function nodeProgram(version: string, arch: string = process.arch): string {
  const name = `node-linux-${arch}@${version}`;
  const folder = join(root, 'node_modules/.cache/kaio', name);
  const program = join(folder, 'package/bin/node');
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const tarball = join(folder, mustRun('npm', ['pack', name, '--silent'], folder).trim());
  mustRun('tar', ['xzf', tarball, 'package/bin/node'], folder);
  rmSync(tarball);
  return program;
}
