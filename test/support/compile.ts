import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const sources = fileURLToPath(new URL('c/', import.meta.url));
const cache = fileURLToPath(new URL('../../node_modules/.cache/kaio-test/', import.meta.url));

/**
 * Compiles test/support/c/`name`.c with the machine's C compiler and returns the path of the result. The name of that file is a hash
 * of source, headers and flags, so that each is compiled once, however many test processes ask for it.
 */
export function compile(name: string, flags: readonly string[] = []): string {
  const source = `${sources}${name}.c`;
  const headers = readdirSync(sources).filter((file) => file.endsWith('.h'));
  const texts = [source, ...headers.map((file) => sources + file)].map((file) => readFileSync(file, 'utf8'));
  const hash = createHash('sha256')
    .update(JSON.stringify([texts, flags]))
    .digest('hex');
  const result = `${cache}${name}-${hash.slice(0, 16)}`;
  if (existsSync(result)) return result;
  mkdirSync(cache, { recursive: true });
  // Two test processes may be here at once: each writes a file of its own, and the rename is atomic.
  const own = `${result}.${process.pid}`;
  execFileSync('cc', ['-O1', '-g', '-Wall', '-Wextra', '-Werror', '-o', own, source, ...flags], { stdio: 'pipe' });
  renameSync(own, result);
  return result;
}

/** Whether a command can be found on the PATH. */
export function hasCommand(name: string): boolean {
  const { PATH = '' } = process.env;
  return PATH.split(':').some((folder) => existsSync(`${folder}/${name}`));
}

/** The flags that pkg-config gives for a library, or why there are none. */
export function libraryFlags(library: string): { flags: string[] } | { missing: string } {
  if (!hasCommand('cc')) return { missing: 'there is no C compiler' };
  if (!hasCommand('pkg-config')) return { missing: 'pkg-config is not installed' };
  try {
    const flags = execFileSync('pkg-config', ['--cflags', '--libs', library], { encoding: 'utf8', stdio: 'pipe' });
    return { flags: flags.trim().split(/\s+/) };
  } catch {
    return { missing: `the headers of ${library} are not installed` };
  }
}
