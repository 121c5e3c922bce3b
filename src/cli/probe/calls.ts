import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { getSystemErrorMap } from 'node:util';
import { readText } from './proc.ts';

/** Whether a family of system calls may be made here: the kernel was asked. */
export interface Allowed {
  readonly allowed: boolean;
  /** The first call that may not be made. */
  readonly call?: string;
  /** What it answers: `EPERM`, `EACCES` or `ENOSYS`, or `SIGSYS` where making it ends the process. */
  readonly error?: string;
  /** Why, as far as anybody but the policy's author can tell. */
  readonly reason?: string;
}

const { EACCES, ENOSYS, EPERM } = constants.errno;
/** What a kernel without the call and a policy against it answer. Whatever else it is, it comes from the call itself. */
const REFUSALS = [-EACCES, -ENOSYS, -EPERM];

/** Makes the calls of a family in a process of its own. */
export async function tryCalls(family: 'aio' | 'io_uring'): Promise<Allowed> {
  const lines = (await answers(family)).trim().split('\n');
  for (const line of lines) {
    const [call, answer] = line.split(' ') as [string, string?];
    if (answer === undefined)
      return { allowed: false, call, error: 'SIGSYS', reason: 'a seccomp policy ends who calls it' };
    if (REFUSALS.includes(Number(answer))) return refusal(call, Number(answer));
  }
  return { allowed: true };
}

function answers(family: string): Promise<string> {
  const program = fileURLToPath(new URL('./call.js', import.meta.url));
  const child = spawn(process.execPath, [program, family], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0 || signal === 'SIGSYS') resolve(output);
      else reject(new Error(`the process that tries the system calls ended with ${signal ?? `code ${code}`}`));
    });
  });
}

function refusal(call: string, errno: number): Allowed {
  const error = getSystemErrorMap().get(errno)![0];
  return { allowed: false, call, error, reason: reasonOf(call, errno) };
}

function reasonOf(call: string, errno: number): string {
  const filtered = /^Seccomp:\s*2$/m.test(readText('/proc/self/status') ?? '');
  const disabled = readText('/proc/sys/kernel/io_uring_disabled');
  if (call === 'io_uring_setup' && errno === -EPERM && disabled !== undefined && disabled !== '0') {
    return `kernel.io_uring_disabled is ${disabled}`;
  }
  if (filtered) return 'a seccomp filter is in force, usually that of a container';
  return errno === -ENOSYS ? 'the kernel is built without it' : 'a security module denies it';
}
