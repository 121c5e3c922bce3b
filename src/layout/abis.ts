import { invalidType, invalidValue } from './errors.ts';
import type { AbiName } from './generated/layout.ts';
import { members, placement } from './placement.ts';

export type { AbiName };

/** The system calls of asynchronous I/O by their names; undefined where the kernel has none for this ABI. */
export interface SystemCalls {
  readonly io_setup: number | undefined;
  readonly io_destroy: number | undefined;
  readonly io_submit: number | undefined;
  readonly io_cancel: number | undefined;
  /** Its timeout is a `timespec`. */
  readonly io_getevents: number | undefined;
  /** Linux 4.18. Its timeout is a `timespec`. */
  readonly io_pgetevents: number | undefined;
  /** Linux 5.1, only on 32-bit ABIs. Its timeout is a `timespec64`. */
  readonly io_pgetevents_time64: number | undefined;
}

/** One of the ABIs under which Linux runs programs. */
export interface Abi {
  readonly name: AbiName;
  /** What it is, in a few words. */
  readonly title: string;
  readonly byteOrder: 'little' | 'big';
  /** Bytes of a pointer, a `long` and a `size_t`. */
  readonly wordBytes: number;
  /** Bytes of `__kernel_long_t`: those of a word, except on x32. */
  readonly kernelLongBytes: number;
  /** The largest alignment of an integer inside a structure, bytes. */
  readonly alignBytes: number;
  /** Bytes of the kernel's `sigset_t`, which `sigsetsize` must say: anything else is refused with EINVAL. */
  readonly sigsetBytes: number;
  readonly calls: SystemCalls;
  /** What may surprise someone who knows the others. */
  readonly notes: readonly string[];
}

const NO_32BIT_TIME =
  'younger than Linux 5.1, so it has neither io_getevents nor io_pgetevents: io_pgetevents_time64 is the one call to read events';
const X32 = [
  'io_setup and io_submit have numbers of their own (543, 544) because the kernel reads 32-bit pointers there',
  'aio_context_t is 8 bytes in the header, but io_setup writes only the lower 4: set the variable to 0 first',
  'io_pgetevents reads the 64-bit aio_sigset (16 bytes), not the 8 bytes that a compiler for x32 makes of the declaration',
];
const ALIGN4 =
  '64-bit integers are aligned to 4 bytes in a structure; no offset changes, since every field of ours fits anyway';

/** What cannot be computed. The order of the table is that of the list in the documentation. */
const titles: Record<AbiName, readonly [title: string, ...notes: string[]]> = {
  x86_64: ['x86, 64-bit'],
  i386: ['x86, 32-bit', ALIGN4],
  x32: ['x86, 64-bit registers and 32-bit pointers', ...X32],
  aarch64: ['Arm, 64-bit'],
  aarch64_be: ['Arm, 64-bit, big-endian'],
  arm: ['Arm, 32-bit EABI'],
  armeb: ['Arm, 32-bit EABI, big-endian'],
  riscv64: ['RISC-V, 64-bit'],
  riscv32: ['RISC-V, 32-bit', NO_32BIT_TIME],
  ppc64: ['PowerPC, 64-bit, big-endian'],
  ppc64le: ['PowerPC, 64-bit'],
  ppc: ['PowerPC, 32-bit, big-endian'],
  s390x: ['IBM Z, 64-bit'],
  s390: ['IBM Z, 31-bit programs under a 64-bit kernel'],
  mips: ['MIPS, 32-bit (o32), big-endian'],
  mipsel: ['MIPS, 32-bit (o32)'],
  mips64: ['MIPS, 64-bit (n64), big-endian'],
  mips64el: ['MIPS, 64-bit (n64)'],
  mipsn32: ['MIPS, 64-bit registers and 32-bit pointers (n32), big-endian'],
  mipsn32el: ['MIPS, 64-bit registers and 32-bit pointers (n32)'],
  loongarch64: ['LoongArch, 64-bit'],
  sparc64: ['SPARC, 64-bit'],
  sparc: ['SPARC, 32-bit'],
  alpha: ['Alpha', 'io_pgetevents has the number 523, above the block that all architectures share'],
  arc: ['ARC', ALIGN4],
  csky: ['C-SKY', ALIGN4],
  hexagon: ['Hexagon'],
  m68k: [
    'Motorola 68000',
    'every integer is aligned to 2 bytes at most; no offset changes, since every field of ours fits anyway',
  ],
  microblaze: ['MicroBlaze, big-endian', ALIGN4],
  microblazeel: ['MicroBlaze', ALIGN4],
  nios2: ['Nios II', ALIGN4],
  openrisc: ['OpenRISC', ALIGN4],
  parisc: ['PA-RISC, 32-bit'],
  parisc64: ['PA-RISC, 64-bit'],
  sh4: ['SuperH', 'it has no io_pgetevents, only io_pgetevents_time64', ALIGN4],
  sh4eb: ['SuperH, big-endian', 'it has no io_pgetevents, only io_pgetevents_time64', ALIGN4],
  xtensa: ['Xtensa', 'it has no io_pgetevents, only io_pgetevents_time64'],
  xtensaeb: ['Xtensa, big-endian', 'it has no io_pgetevents, only io_pgetevents_time64'],
};

function call(number: number): number | undefined {
  return number < 0 ? undefined : number;
}

function describe(name: AbiName, number: number): Abi {
  const { wasm } = placement();
  wasm.choose(number, 0);
  const [title, ...notes] = titles[name];
  return Object.freeze({
    name,
    title,
    byteOrder: wasm.isBigEndian() ? 'big' : 'little',
    wordBytes: wasm.wordBytes(),
    kernelLongBytes: wasm.kernelLongBytes(),
    alignBytes: wasm.alignBytes(),
    // MIPS has 128 signals, everybody else 64; arch/mips/include/uapi/asm/signal.h, _NSIG.
    sigsetBytes: name.startsWith('mips') ? 16 : 8,
    calls: Object.freeze({
      io_setup: call(wasm.io_setup()),
      io_destroy: call(wasm.io_destroy()),
      io_submit: call(wasm.io_submit()),
      io_cancel: call(wasm.io_cancel()),
      io_getevents: call(wasm.io_getevents()),
      io_pgetevents: call(wasm.io_pgetevents()),
      io_pgetevents_time64: call(wasm.io_pgetevents_time64()),
    }),
    notes: Object.freeze(notes),
  });
}

const numbers = members('name') as Map<AbiName, number>;

/** Every ABI that is known here. */
export const abis: readonly Abi[] = Object.freeze([...numbers].map(([name, number]) => describe(name, number)));

const byName = new Map<string, Abi>(abis.map((abi) => [abi.name, abi]));

/**
 * The ABI of this name; without one that of the host.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` with the names that there are.
 */
export function abiOf(name: AbiName = hostAbi): Abi {
  if (typeof name !== 'string') throw invalidType('abi', 'of type string', name);
  const abi = byName.get(name);
  if (abi === undefined) throw invalidValue('abi', `one of ${[...byName.keys()].join(', ')}`, name);
  return abi;
}

export function abiNumber(abi: Abi): number {
  return numbers.get(abi.name)!;
}

/** ABIs of 32 bits that only kernels of 64 bits have, and those of machines that are never wider. */
const ONLY_64BIT_KERNELS = /^(x32|s390|mipsn32|mipsn32el)$/;
const ONLY_32BIT_KERNELS = /^(arc|csky|hexagon|m68k|microblaze(el)?|nios2|openrisc|sh4(eb)?|xtensa(eb)?)$/;

/** How wide the words of the kernels are that run programs of an ABI, in bits, the narrowest first. */
export function kernelBits({ name, wordBytes }: Abi): readonly bigint[] {
  if (wordBytes === 8 || ONLY_64BIT_KERNELS.test(name)) return [64n];
  return ONLY_32BIT_KERNELS.test(name) ? [32n] : [32n, 64n];
}

/** What Node and runtimes like it call the processor. A browser says nothing, and most of them run on little-endian 64-bit ones. */
function detect(): AbiName {
  const { process } = globalThis as { process?: { arch?: string } };
  const bigEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 0;
  switch (process?.arch) {
    case 'ia32':
      return 'i386';
    case 'arm64':
      return bigEndian ? 'aarch64_be' : 'aarch64';
    case 'arm':
      return bigEndian ? 'armeb' : 'arm';
    case 'loong64':
      return 'loongarch64';
    case 'ppc64':
      return bigEndian ? 'ppc64' : 'ppc64le';
    case 'riscv64':
    case 's390x':
    case 'mips':
    case 'mipsel':
    case 'ppc':
    case 's390':
      return process.arch;
    default:
      return 'x86_64';
  }
}

/** The ABI of the program that asks, which is the default everywhere here; `x86_64` where the runtime does not say (a browser). */
export const hostAbi: AbiName = detect();
