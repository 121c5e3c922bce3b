import { spawnSync } from 'node:child_process';

/** Runs a program to its end and returns what it printed; throws what it complained of where it fails. */
export function run(command: string, args: readonly string[], cwd?: string): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, maxBuffer: 2 ** 30, encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr || stdout}`);
  return stdout;
}
