import { existsSync, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { compile, hasCommand, libraryFlags } from './compile.ts';

/** What goes wrong between the program and the kernel; c/aio_shim.c says how. `every` counts from 1: 3 is the 3rd, 6th, 9th... */
export interface Faults {
  setupErrno?: number;
  setupEvery?: number;
  watchErrno?: number;
  failEvery?: number;
  failErrno?: number;
  partial?: number | 'random';
  refuseEvery?: number;
  refuseErrno?: number;
  resEvery?: number;
  resErrno?: number | 'all';
  shortEvery?: number;
  shortUnit?: number;
  delayEvery?: number;
  delayBeforeUs?: number;
  delayAfterUs?: number;
  completeDelayUs?: number;
  reorder?: 0 | 1;
  ring?: 0 | 1;
  eintrEvery?: number;
  seed?: number;
  /** File for the counters that `readReport` reads. */
  report?: string;
}

/** How often each fault happened, in the order of `struct report`. */
const counters = [
  'submits',
  'failed',
  'partial',
  'refused',
  'errors',
  'shortened',
  'delayed',
  'reordered',
  'interrupted',
  'submitted',
  'delivered',
] as const;

export type Report = Record<(typeof counters)[number], number>;

/** Why no library can be preloaded on this machine, or false where one can. */
export function shimSkip(): string | false {
  if (process.platform !== 'linux') return 'preloading a library this way needs Linux';
  return hasCommand('cc') ? false : 'there is no C compiler';
}

/** The environment of a child process that meets these faults. */
export function withFaults(faults: Faults): Record<string, string> {
  const library = compile('aio_shim', ['-shared', '-fPIC', '-pthread', '-ldl']);
  const settings = Object.entries(faults).map(([name, value]) => [
    `AIO_SHIM_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
    String(value),
  ]);
  // A sanitizer's library, if the tests run under one, has to come first.
  const { LD_PRELOAD = '' } = process.env;
  return { LD_PRELOAD: `${LD_PRELOAD} ${library}`.trim(), ...Object.fromEntries(settings) };
}

/** Reads the counters of a child that ran with `report`, however it ended. */
export function readReport(path: string): Report {
  const bytes = readFileSync(path);
  return Object.fromEntries(
    counters.map((name, at) => [name, Number(bytes[`readBigUInt64${endianness()}`](at * 8))]),
  ) as Report;
}

/** Why no filter of system calls can be made on this machine, or false where one can. */
export function seccompSkip(): string | false {
  if (!existsSync('/proc/sys/kernel/seccomp')) return 'the kernel has no seccomp';
  const library = libraryFlags('libseccomp');
  return 'missing' in library ? library.missing : false;
}

/** The launcher that runs a program in which these system calls fail with this error number, or end it (SIGSYS). */
export function refusingLauncher(errno: number | 'kill', ...syscalls: string[]): string[] {
  const library = libraryFlags('libseccomp');
  if ('missing' in library) throw new Error(library.missing);
  return [compile('seccomp_run', library.flags), String(errno), syscalls.join(',')];
}
