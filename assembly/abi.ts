/** Where the kernel has no such call. */
const NONE: i32 = -1;
/** The bit that marks a call of x32; asm/unistd.h, `__X32_SYSCALL_BIT`. */
const X32: i32 = 0x40000000;

/** The ABIs by their usual names. TypeScript reads the names from the exports. */
export enum name {
  x86_64,
  i386,
  x32,
  aarch64,
  aarch64_be,
  arm,
  armeb,
  riscv64,
  riscv32,
  ppc64,
  ppc64le,
  ppc,
  s390x,
  s390,
  mips,
  mipsel,
  mips64,
  mips64el,
  mipsn32,
  mipsn32el,
  loongarch64,
  sparc64,
  sparc,
  alpha,
  arc,
  csky,
  hexagon,
  m68k,
  microblaze,
  microblazeel,
  nios2,
  openrisc,
  parisc,
  parisc64,
  sh4,
  sh4eb,
  xtensa,
  xtensaeb,
}

/** The selected ABI: what decides where a compiler puts a field, and what the kernel calls there are numbered. */
export namespace abi {
  export let bigEndian: bool = false;
  /** Bytes of a pointer, a `long` and a `size_t`: the same on every Linux ABI. */
  export let wordBytes: i32 = 8;
  /** Bytes of `__kernel_long_t`: those of a word, but 8 on x32, whose kernel has 64-bit registers. */
  export let kernelLongBytes: i32 = 8;
  /** The largest alignment that an integer has inside a structure. */
  export let alignBytes: i32 = 8;
  export let io_setup: i32 = NONE;
  export let io_destroy: i32 = NONE;
  export let io_getevents: i32 = NONE;
  export let io_submit: i32 = NONE;
  export let io_cancel: i32 = NONE;
  export let io_pgetevents: i32 = NONE;
  export let io_pgetevents_time64: i32 = NONE;
}

function shape(bigEndian: bool, wordBytes: i32, alignBytes: i32): void {
  abi.bigEndian = bigEndian;
  abi.wordBytes = wordBytes;
  abi.kernelLongBytes = wordBytes;
  abi.alignBytes = alignBytes;
}

/** The five calls of Linux 2.5, numbered one after the other in this order on most ABIs. */
function numbers(io_setup: i32): void {
  abi.io_setup = io_setup;
  abi.io_destroy = io_setup + 1;
  abi.io_getevents = io_setup + 2;
  abi.io_submit = io_setup + 3;
  abi.io_cancel = io_setup + 4;
}

/** The same five in the order that asm-generic/unistd.h, sparc and xtensa have: io_getevents comes last. */
function getevents(io_submit: i32, io_cancel: i32, io_getevents: i32): void {
  abi.io_submit = io_submit;
  abi.io_cancel = io_cancel;
  abi.io_getevents = io_getevents;
}

/** `io_pgetevents` came with Linux 4.18, `io_pgetevents_time64` with 5.1 and only to 32-bit ABIs, everywhere as 416. */
function pgetevents(number: i32, time64: i32 = NONE): void {
  abi.io_pgetevents = number;
  abi.io_pgetevents_time64 = time64;
}

/** asm-generic/unistd.h, which the younger architectures share. */
function generic(bits: i32): void {
  numbers(0);
  getevents(2, 3, 4);
  pgetevents(292, bits === 32 ? 416 : NONE);
}

/** MIPS numbers each of its three ABIs from a base of its own. */
function mips(bigEndian: bool, wordBytes: i32, io_setup: i32, io_pgetevents: i32, time64: i32): void {
  shape(bigEndian, wordBytes, 8);
  numbers(io_setup);
  pgetevents(io_pgetevents, time64);
}

/**
 * Selects an ABI for all that follows; false where the number names none. The numbers are those of arch/.../syscall.tbl and
 * asm-generic/unistd.h; test/layout/headers.test.ts holds what Debian has headers for against them.
 */
export function select(which: name): bool {
  switch (which) {
    case name.x86_64:
      shape(false, 8, 8);
      numbers(206);
      pgetevents(333);
      return true;
    case name.i386:
      shape(false, 4, 4);
      numbers(245);
      pgetevents(385, 416);
      return true;
    case name.x32:
      shape(false, 4, 8);
      abi.kernelLongBytes = 8;
      numbers(X32 + 206);
      // These two take pointers to pointers, whose width differs, so they have numbers of their own.
      abi.io_setup = X32 + 543;
      abi.io_submit = X32 + 544;
      pgetevents(X32 + 333);
      return true;
    case name.arm:
    case name.armeb:
      shape(which === name.armeb, 4, 8);
      numbers(243);
      pgetevents(399, 416);
      return true;
    case name.aarch64:
    case name.aarch64_be:
      shape(which === name.aarch64_be, 8, 8);
      generic(64);
      return true;
    case name.riscv64:
    case name.loongarch64:
      shape(false, 8, 8);
      generic(64);
      return true;
    case name.riscv32:
      shape(false, 4, 8);
      generic(32);
      // A 32-bit port younger than Linux 5.1 has no call with a 32-bit time (__ARCH_WANT_TIME32_SYSCALLS is not defined).
      abi.io_getevents = NONE;
      abi.io_pgetevents = NONE;
      return true;
    case name.arc:
    case name.csky:
    case name.nios2:
      shape(false, 4, 4);
      generic(32);
      return true;
    case name.hexagon:
      shape(false, 4, 8);
      generic(32);
      return true;
    case name.openrisc:
      shape(true, 4, 4);
      generic(32);
      return true;
    case name.ppc64:
    case name.ppc64le:
      shape(which === name.ppc64, 8, 8);
      numbers(227);
      pgetevents(388);
      return true;
    case name.ppc:
      shape(true, 4, 8);
      numbers(227);
      pgetevents(388, 416);
      return true;
    case name.s390x:
      shape(true, 8, 8);
      numbers(243);
      pgetevents(382);
      return true;
    case name.s390:
      shape(true, 4, 8);
      numbers(243);
      pgetevents(382, 416);
      return true;
    case name.mips:
    case name.mipsel:
      mips(which === name.mips, 4, 4000 + 241, 4000 + 368, 4000 + 416);
      return true;
    case name.mips64:
    case name.mips64el:
      mips(which === name.mips64, 8, 5000 + 200, 5000 + 328, NONE);
      return true;
    case name.mipsn32:
    case name.mipsn32el:
      mips(which === name.mipsn32, 4, 6000 + 200, 6000 + 332, 6000 + 416);
      return true;
    case name.sparc64:
    case name.sparc:
      shape(true, which === name.sparc64 ? 8 : 4, 8);
      numbers(268);
      getevents(270, 271, 272);
      pgetevents(361, which === name.sparc64 ? NONE : 416);
      return true;
    case name.alpha:
      shape(false, 8, 8);
      numbers(398);
      pgetevents(523);
      return true;
    case name.m68k:
      shape(true, 4, 2);
      numbers(241);
      pgetevents(NONE, 416);
      return true;
    case name.microblaze:
    case name.microblazeel:
      shape(which === name.microblaze, 4, 4);
      numbers(245);
      pgetevents(399, 416);
      return true;
    case name.parisc:
    case name.parisc64:
      shape(true, which === name.parisc64 ? 8 : 4, 8);
      numbers(215);
      pgetevents(350, which === name.parisc64 ? NONE : 416);
      return true;
    case name.sh4:
    case name.sh4eb:
      shape(which === name.sh4eb, 4, 4);
      numbers(245);
      pgetevents(NONE, 416);
      return true;
    case name.xtensa:
    case name.xtensaeb:
      shape(which === name.xtensaeb, 4, 8);
      numbers(239);
      getevents(241, 243, 242);
      pgetevents(NONE, 416);
      return true;
    default:
      return false;
  }
}
