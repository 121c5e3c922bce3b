import { spawn } from 'node:child_process';
import { hasCommand } from './compile.ts';

/** Where the built package is: what a child program imports. */
export const dist: string = new URL('../../dist/', import.meta.url).href;

/** How much slower than real ones this machine is, being emulated: children get so much more time. */
export const patience: number = Number(process.env.KAIO_PATIENCE ?? 1);

export interface ChildOptions {
  args?: readonly string[];
  /** On top of this process's environment. */
  env?: Readonly<Record<string, string>>;
  /** Options of node itself. */
  execArgv?: readonly string[];
  /** Its working directory, by default that of this process. */
  cwd?: string | undefined;
  /** The program that runs node, such as strace or a launcher, with its arguments. */
  launcher?: readonly string[];
  /** The child is killed after so long. Default 20 s. */
  timeLimitMs?: number;
  /** Called once the child is started. */
  onStart?: (child: { kill(signal: NodeJS.Signals): void }) => void;
  /** Called with the child's standard output so far, whenever there is more. */
  onOutput?: (stdout: string, child: { pid: number; kill(signal: NodeJS.Signals): void }) => void;
}

export interface ChildResult {
  stdout: string;
  stderr: string;
  /** Exit code, or null where a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  /** It did not end by itself within the time limit. */
  timedOut: boolean;
  durationMs: number;
}

/** Runs an ES module, given as its source text or as the URL of its file, in a Node process of its own. It never rejects. */
export function runNode(program: string | URL, options: ChildOptions = {}): Promise<ChildResult> {
  const { args = [], env = {}, execArgv = [], cwd, launcher = [], timeLimitMs = 20_000, onStart, onOutput } = options;
  const script = typeof program === 'string' ? ['--input-type=module', '--eval', program] : [program.pathname];
  const [command, ...rest] = [...launcher, process.execPath, ...execArgv, ...script, ...args];
  const started = performance.now();
  const child = spawn(command!, rest, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const result: ChildResult = { stdout: '', stderr: '', code: null, signal: null, timedOut: false, durationMs: 0 };
  const timer = setTimeout(() => {
    result.timedOut = true;
    child.kill('SIGKILL');
  }, timeLimitMs * patience);
  onStart?.({ kill: (signal) => child.kill(signal) });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    result.stdout += text;
    onOutput?.(result.stdout, { pid: child.pid!, kill: (signal) => child.kill(signal) });
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    result.stderr += text;
  });
  return new Promise((resolve) => {
    child.on('error', (error) => {
      result.stderr += String(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ ...result, code, signal, durationMs: performance.now() - started });
    });
  });
}

/** The launcher that runs a program under strace with these options, writing what it traces to a file. */
export function straceLauncher(output: string, ...options: string[]): string[] {
  return ['strace', '-f', '--seccomp-bpf', '-o', output, ...options];
}

/** Why nothing can be traced on this machine, or false where it can. */
export function straceSkip(): string | false {
  return hasCommand('strace') ? false : 'strace is not installed';
}
