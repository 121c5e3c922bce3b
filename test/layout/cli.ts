import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The command as the package carries it. */
export const main: string = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `kaio` with these arguments and waits for its end. */
export function kaio(args: readonly string[], input: string | Uint8Array = '', env: NodeJS.ProcessEnv = {}): Ran {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    input,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 26,
  });
  return { status, stdout, stderr };
}
