/** Facts that C programs find out: what Node cannot do, such as fork, clone, mmap, limits and epoll. */
import { spawnSync } from 'node:child_process';
import { compile, hasCommand } from './compile.ts';

/** Why no helper can be compiled here; undefined where one can. */
export const noCompiler: string | undefined = hasCommand('cc') ? undefined : 'there is no C compiler (cc)';

/** What a helper saw, by name: counts, and errors by their names. */
export type Facts = Readonly<Record<string, number | string>>;

/** Runs `test/support/c/<name>.c` and reads the facts that it prints, one `name value` a line. */
export function observe(name: string, ...args: readonly string[]): Facts {
  // _GNU_SOURCE counts only before the first header, and a formatter sorts those.
  const helper = compile(name, ['-pthread', '-D_GNU_SOURCE']);
  // A sanitizer that is preloaded for Node is not meant for helpers: ThreadSanitizer's clone(2) kills a child that shares its memory.
  const { LD_PRELOAD: _, ...env } = process.env;
  const { status, signal, stdout, stderr } = spawnSync(helper, args, { encoding: 'utf8', env, timeout: 120_000 });
  if (status !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${status ?? signal}: ${stderr}`);
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => {
        const [fact, value] = line.split(' ') as [string, string];
        return [fact, Number.isNaN(Number(value)) ? value : Number(value)];
      }),
  );
}
