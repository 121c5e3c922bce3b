import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root: string = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, 'node_modules/.cache/kaio/node-linux-s390x');
/** The last release of Node that npm has for s390x. */
const PACKAGE = 'node-linux-s390x@20.11.0';

/** A big-endian Node, fetched once from the npm registry; a sentence that says why where it cannot be had. */
export function nodeS390x(): { node: string } | { reason: string } {
  const node = join(cache, 'package/bin/node');
  if (existsSync(node)) return { node };
  mkdirSync(cache, { recursive: true });
  const { status, stdout, stderr } = spawnSync('npm', ['pack', PACKAGE, '--silent'], { cwd: cache, encoding: 'utf8' });
  if (status !== 0) return { reason: `npm cannot fetch ${PACKAGE}: ${stderr.trim().split('\n')[0]}` };
  const { status: unpacked } = spawnSync('tar', ['xzf', stdout.trim(), 'package/bin/node'], { cwd: cache });
  return unpacked === 0 ? { node } : { reason: `${PACKAGE} does not unpack` };
}

/** The user-mode emulator with the s390x C library; undefined where it, the library or the compiler is missing. */
export const emulator: readonly string[] = ['qemu-s390x-static', '-L', '/usr/s390x-linux-gnu'];

/** Why nothing of s390x can run here; undefined where it can. */
export function noEmulator(): string | undefined {
  if (spawnSync(emulator[0]!, ['--version']).status !== 0)
    return 'qemu-s390x-static is not installed (qemu-user-static)';
  if (spawnSync('s390x-linux-gnu-gcc', ['--version']).status !== 0) return 's390x-linux-gnu-gcc is not installed';
  if (!existsSync('/usr/s390x-linux-gnu/lib/libstdc++.so.6')) return 'libstdc++6-s390x-cross is not installed';
  return undefined;
}
