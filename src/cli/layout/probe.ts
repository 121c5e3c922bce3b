import {
  type Abi,
  type AbiName,
  abis,
  constants,
  declarations,
  layoutOf,
  type StructName,
  structs,
} from '../../layout/index.ts';

const LITTLE = '__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__';
const BIG = '__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__';

/** By which predefined macros a compiler says that it compiles for an ABI. */
const conditions: Record<AbiName, string> = {
  x86_64: 'defined(__x86_64__) && !defined(__ILP32__)',
  i386: 'defined(__i386__)',
  x32: 'defined(__x86_64__) && defined(__ILP32__)',
  aarch64: `defined(__aarch64__) && ${LITTLE}`,
  aarch64_be: `defined(__aarch64__) && ${BIG}`,
  arm: `defined(__arm__) && ${LITTLE}`,
  armeb: `defined(__arm__) && ${BIG}`,
  riscv64: 'defined(__riscv) && __riscv_xlen == 64',
  riscv32: 'defined(__riscv) && __riscv_xlen == 32',
  ppc64: `defined(__powerpc64__) && ${BIG}`,
  ppc64le: `defined(__powerpc64__) && ${LITTLE}`,
  ppc: `defined(__powerpc__) && !defined(__powerpc64__) && ${BIG}`,
  s390x: 'defined(__s390x__)',
  s390: 'defined(__s390__) && !defined(__s390x__)',
  mips: `defined(__mips__) && _MIPS_SIM == _ABIO32 && ${BIG}`,
  mipsel: `defined(__mips__) && _MIPS_SIM == _ABIO32 && ${LITTLE}`,
  mips64: `defined(__mips__) && _MIPS_SIM == _ABI64 && ${BIG}`,
  mips64el: `defined(__mips__) && _MIPS_SIM == _ABI64 && ${LITTLE}`,
  mipsn32: `defined(__mips__) && _MIPS_SIM == _ABIN32 && ${BIG}`,
  mipsn32el: `defined(__mips__) && _MIPS_SIM == _ABIN32 && ${LITTLE}`,
  loongarch64: 'defined(__loongarch__) && __loongarch_grlen == 64',
  sparc64: 'defined(__sparc__) && defined(__arch64__)',
  sparc: 'defined(__sparc__) && !defined(__arch64__)',
  alpha: 'defined(__alpha__)',
  arc: 'defined(__arc__)',
  csky: 'defined(__csky__)',
  hexagon: 'defined(__hexagon__)',
  m68k: 'defined(__m68k__)',
  microblaze: `(defined(__microblaze__) || defined(__MICROBLAZE__)) && ${BIG}`,
  microblazeel: `(defined(__microblaze__) || defined(__MICROBLAZE__)) && ${LITTLE}`,
  nios2: 'defined(__nios2__)',
  openrisc: 'defined(__or1k__)',
  parisc: 'defined(__hppa__) && !defined(__LP64__)',
  parisc64: 'defined(__hppa__) && defined(__LP64__)',
  sh4: `defined(__sh__) && ${LITTLE}`,
  sh4eb: `defined(__sh__) && ${BIG}`,
  xtensa: `defined(__xtensa__) && ${LITTLE}`,
  xtensaeb: `defined(__xtensa__) && ${BIG}`,
};

/** The headers of the kernel that the probe needs, and those that it uses where they are. */
const PREAMBLE = `#include <linux/version.h>
#include <linux/aio_abi.h>
#include <linux/uio.h>
#include <linux/fs.h>
#include <asm/poll.h>
#include <asm/unistd.h>
#if __has_include(<linux/time_types.h>) && LINUX_VERSION_CODE >= KERNEL_VERSION(5, 5, 0)
#include <linux/time_types.h>
#define HAVE_TIME_TYPES 1
#endif
#if __has_include(<linux/ioprio.h>)
#include <linux/ioprio.h>
#define HAVE_IOPRIO 1
#endif

/* These two are in no header: fs/aio.c declares them, the second one in the words of the kernel and not of the program. */
struct aio_ring {
  unsigned id, nr, head, tail, magic, compat_features, incompat_features, header_length;
  struct io_event io_events[];
};
struct __aio_sigset {
  __kernel_ulong_t sigmask, sigsetsize;
};

/* The value comes out as text of the assembly, so that nothing has to be linked or run. */
#define SAY(name, value) __asm__ volatile("\\n.ascii \\"kaio:" name "=%0\\"" : : "i"((long)(value)))
#define SIZE(name, type) SAY(name " size", sizeof(type)); SAY(name " align", _Alignof(type))
#define FIELD(name, type, field) \\
  SAY(name "." #field " offset", __builtin_offsetof(type, field)); \\
  SAY(name "." #field " size", sizeof(((type *)0)->field))

void kaio(void);
void kaio(void) {
  SAY("LINUX_VERSION_CODE", LINUX_VERSION_CODE);
`;

const pointers: readonly StructName[] = ['aio_context_t', 'iocbp'];

function structLines(struct: StructName): string[] {
  const { c } = declarations[struct];
  const lines = [`  SIZE("${struct}", ${c});`];
  if (pointers.includes(struct)) {
    // No structures in C: their one field is all of them.
    lines.push(`  SAY("${struct}.${struct} offset", 0);`, `  SAY("${struct}.${struct} size", sizeof(${c}));`);
  } else {
    lines.push(...layoutOf(struct).fields.map(({ name }) => `  FIELD("${struct}", ${c}, ${name});`));
  }
  return /^timespec/.test(struct) ? ['#ifdef HAVE_TIME_TYPES', ...lines, '#endif'] : lines;
}

function since(version: string): string {
  const [major, minor, patch = '0'] = version.split('.');
  return `LINUX_VERSION_CODE >= KERNEL_VERSION(${major}, ${minor}, ${patch})`;
}

function constantLines(): string[] {
  return constants.flatMap(({ name, macro, since: version, header }) => {
    const condition = macro ? `defined(${name})` : since(version);
    const guard = header === 'linux/ioprio.h' ? `defined(HAVE_IOPRIO) && ${condition}` : condition;
    return [`#if ${guard}`, `  SAY("${name}", ${name});`, '#endif'];
  });
}

/** A C program whose assembly says what the compiler and the kernel's headers make of everything that kaio/layout knows. */
export function probeSource(): string {
  const abiLines = abis.map(({ name }, i) => `#${i === 0 ? 'if' : 'elif'} ${conditions[name]}\n  SAY("abi", ${i});`);
  const calls = Object.keys(abis[0]!.calls).flatMap((name) => [
    `#ifdef __NR_${name}`,
    `  SAY("__NR_${name}", __NR_${name});`,
    '#endif',
  ]);
  return `${PREAMBLE}${[...abiLines, '#endif', ...structs.flatMap(structLines), ...constantLines(), ...calls, '}'].join('\n')}\n`;
}

/** What a compiler said. */
export interface ProbeResult {
  /** Undefined where it is none that is known here. */
  readonly abi: Abi | undefined;
  /** Of the kernel's headers, such as `6.1.172`. */
  readonly headers: string;
  readonly values: Map<string, number>;
}

/** Reads the values out of the assembly, where each is as the processor's assembler writes a constant. */
export function readAssembly(assembly: string): ProbeResult {
  const values = new Map<string, number>();
  for (const [, name, value] of assembly.matchAll(/kaio:([\w. ]+)=[^\d-]?(-?\d+)/g)) values.set(name!, Number(value));
  const version = values.get('LINUX_VERSION_CODE') ?? 0;
  const index = values.get('abi');
  values.delete('LINUX_VERSION_CODE');
  values.delete('abi');
  return {
    abi: index === undefined ? undefined : abis[index],
    headers: `${version >> 16}.${(version >> 8) & 255}.${version & 255}`,
    values,
  };
}

/** The calls that headers of this version have to have, if the ABI has them at all. */
export function expectedCalls(abi: Abi, headers: string): string[] {
  const [major = 0, minor = 0] = headers.split('.').map(Number);
  const code = major * 1000 + minor;
  const born: Readonly<Record<string, number>> = { io_pgetevents: 4018, io_pgetevents_time64: 5001 };
  return Object.entries(abi.calls)
    .filter(([name, number]) => number !== undefined && code >= (born[name] ?? 0))
    .map(([name]) => `__NR_${name}`);
}
