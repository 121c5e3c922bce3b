import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type AbiName, abis } from '../../src/layout/index.ts';

/** A compiler for an ABI together with kernel headers for it. */
export interface Target {
  readonly abi: AbiName;
  readonly command: readonly [compiler: string, ...args: string[]];
}

/** clang compiles for them all; Debian's package linux-libc-dev-ARCH-cross puts the headers into /usr/TRIPLET/include. */
function clang(abi: AbiName, headers: string, target: string = headers): Target {
  return { abi, command: ['clang', `--target=${target}`, '-isystem', `/usr/${headers}/include`] };
}

export const targets: readonly Target[] = [
  clang('x86_64', 'x86_64-linux-gnu'),
  clang('i386', 'i686-linux-gnu'),
  clang('x32', 'x86_64-linux-gnux32'),
  clang('aarch64', 'aarch64-linux-gnu'),
  clang('aarch64_be', 'aarch64-linux-gnu', 'aarch64_be-linux-gnu'),
  clang('arm', 'arm-linux-gnueabihf'),
  clang('armeb', 'arm-linux-gnueabi', 'armeb-linux-gnueabi'),
  clang('riscv64', 'riscv64-linux-gnu'),
  clang('riscv32', 'riscv64-linux-gnu', 'riscv32-linux-gnu'),
  clang('ppc64', 'powerpc64-linux-gnu'),
  clang('ppc64le', 'powerpc64le-linux-gnu'),
  clang('ppc', 'powerpc-linux-gnu'),
  clang('s390x', 's390x-linux-gnu'),
  clang('mips', 'mips-linux-gnu'),
  clang('mipsel', 'mipsel-linux-gnu'),
  clang('mips64', 'mips64-linux-gnuabi64'),
  clang('mips64el', 'mips64el-linux-gnuabi64'),
  clang('mipsn32', 'mips64-linux-gnuabin32'),
  clang('mipsn32el', 'mips64el-linux-gnuabin32'),
  clang('sparc64', 'sparc64-linux-gnu'),
  clang('sparc', 'sparc64-linux-gnu', 'sparc-linux-gnu'),
  // clang has no target for these, or (m68k, before release 16) aligns integers otherwise than the kernel's compiler.
  { abi: 'alpha', command: ['alpha-linux-gnu-gcc'] },
  { abi: 'arc', command: ['arc-linux-gnu-gcc'] },
  { abi: 'm68k', command: ['m68k-linux-gnu-gcc'] },
  { abi: 'parisc', command: ['hppa-linux-gnu-gcc'] },
  { abi: 'sh4', command: ['sh4-linux-gnu-gcc'] },
  { abi: 'sh4eb', command: ['sh4-linux-gnu-gcc', '-mb'] },
  { abi: 's390', command: ['s390x-linux-gnu-gcc', '-m31'] },
];

/** ABIs of which neither Debian's headers nor its compilers know; docs/layout.md has the reasoning for each. */
export const unconfirmed: readonly AbiName[] = abis
  .map(({ name }) => name)
  .filter((name) => !targets.some(({ abi }) => abi === name));

/** Why this target cannot be tried here; undefined where it can. */
export function missing({ command: [compiler, ...args] }: Target): string | undefined {
  if (spawnSync(compiler, ['--version']).status !== 0) return `${compiler} is not installed`;
  const headers = args[args.indexOf('-isystem') + 1];
  if (args.includes('-isystem') && !existsSync(`${headers}/linux/aio_abi.h`)) return `no kernel headers in ${headers}`;
  return undefined;
}

/** Compiles without writing anything: the compiler's complaints, empty where it has none. */
export function complaints({ command: [compiler, ...args] }: Target, language: 'c' | 'c++', source: string): string {
  const std = language === 'c' ? '-std=gnu11' : '-std=c++17';
  const all = [...args, '-w', '-fsyntax-only', std, '-x', language, '-'];
  const { status, stderr } = spawnSync(compiler, all, { input: source, encoding: 'utf8' });
  return status === 0 ? '' : stderr;
}
