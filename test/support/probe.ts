import { fileURLToPath } from 'node:url';
import type { Facts } from '../../src/cli/probe/facts.ts';
import type { Operation, OperationName } from '../../src/cli/probe/operations.ts';
import { type ChildOptions, type ChildResult, runNode } from './child.ts';

const main = new URL('../../dist/cli/main.js', import.meta.url);

/** Runs `kaio probe` as the package carries it. */
export function runProbe(args: readonly string[], options: ChildOptions = {}): Promise<ChildResult> {
  return runNode(main, { ...options, args: ['probe', ...args] });
}

/** What it says of a place as JSON, and its exit code. */
export async function factsOf(path: string, options?: ChildOptions): Promise<Facts & { code: number | null }> {
  const { stdout, stderr, code } = await runProbe(['--json', path], options);
  if (stdout === '') throw new Error(`kaio probe ${path} ended with ${code}: ${stderr}`);
  return { ...(JSON.parse(stdout) as Facts), code };
}

/** One kind of request that it has tried. */
export function operation({ measured }: Facts, name: OperationName): Operation {
  const found = measured?.operations.find((one) => one.name === name);
  if (found === undefined) throw new Error(`${name} was not tried`);
  return found;
}

/** How the kernel does each kind of request, by name. */
export function waysOf({ measured }: Facts): Record<string, string | undefined> {
  return Object.fromEntries(measured?.operations.map(({ name, how }) => [name, how]) ?? []);
}

/** Where the command lies, for a shell. */
export const probeCommand: string = `${process.execPath} ${fileURLToPath(main)} probe`;
