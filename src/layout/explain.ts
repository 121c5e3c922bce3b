import { type Abi, type AbiName, abiOf, kernelBits } from './abis.ts';
import { type Constant, constantOn, constants } from './catalogue.ts';
import * as kernel from './constants.ts';
import { type Field, layoutOf, type StructName } from './layouts.ts';
import { type AioSigset, decode, type Iocb, type Records, type TimespecRecord } from './records.ts';
import { iovecCount, refusals, whenOf } from './refusals.ts';

/** One field of a record, explained. */
export interface Explanation {
  readonly field: Field;
  readonly value: bigint | number;
  /** What the value means, in words or in the kernel's names; empty where the number says it all. */
  readonly meaning: string;
  /** What is wrong with it. */
  readonly problems: readonly Problem[];
}

/** Something about a value that the kernel or a reader would stumble over. */
export interface Problem {
  readonly errno?: string;
  /** `always`, or `depends` on what the bytes do not tell. */
  readonly when: 'always' | 'depends';
  readonly reason: string;
}

function hexadecimal(value: bigint | number): string {
  return `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;
}

/** Names of the bits of `value`, and what is left of it as a number. */
function flagNames(value: number, prefix: RegExp, abi: Abi): string {
  if (value === 0) return '';
  const names: string[] = [];
  let rest = value;
  for (const { name } of constants.filter((constant) => prefix.test(constant.name))) {
    const bit = constantOn(name, abi.name);
    // POLLWRNORM is POLLOUT on some ABIs: one name is enough.
    if ((rest & bit) === 0) continue;
    names.push(name);
    rest &= ~bit;
  }
  if (rest !== 0) names.push(hexadecimal(BigInt.asUintN(32, BigInt(rest))));
  return names.join(' | ');
}

function named(value: number, prefix: string): Constant | undefined {
  return constants.find((constant) => constant.name.startsWith(prefix) && constant.value === value);
}

function priority(value: number): string {
  const bits = value & 0xffff;
  const levelBits = kernel.IOPRIO_HINT_SHIFT;
  const hint = (bits >> levelBits) & ((1 << kernel.IOPRIO_HINT_NR_BITS) - 1);
  const number = bits >> kernel.IOPRIO_CLASS_SHIFT;
  const word =
    ['IOPRIO_CLASS_NONE', 'IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE'][number] ?? `class ${number}`;
  return `${word}, level ${bits & (kernel.IOPRIO_NR_LEVELS - 1)}${hint === 0 ? '' : `, hint ${hint}`}`;
}

function iocbMeaning(name: string, iocb: Iocb, abi: Abi): string {
  switch (name) {
    case 'aio_lio_opcode':
      return named(iocb.aio_lio_opcode, 'IOCB_CMD_')?.name ?? '';
    case 'aio_rw_flags':
      return flagNames(iocb.aio_rw_flags, /^RWF_/, abi);
    case 'aio_flags':
      return flagNames(iocb.aio_flags, /^IOCB_FLAG_/, abi);
    case 'aio_reqprio':
      return iocb.aio_flags & kernel.IOCB_FLAG_IOPRIO
        ? priority(iocb.aio_reqprio)
        : 'not looked at without IOCB_FLAG_IOPRIO';
    case 'aio_resfd':
      return iocb.aio_flags & kernel.IOCB_FLAG_RESFD
        ? `eventfd ${iocb.aio_resfd}`
        : 'not looked at without IOCB_FLAG_RESFD';
    case 'aio_fildes':
      return `descriptor ${iocb.aio_fildes | 0}`;
    case 'aio_key':
      return iocb.aio_key === kernel.KIOCB_KEY ? '' : 'io_submit overwrites it; io_cancel would refuse it';
    case 'aio_buf':
      if (iocb.aio_lio_opcode !== kernel.IOCB_CMD_POLL) return hexadecimal(iocb.aio_buf);
      return flagNames(Number(iocb.aio_buf & 0xffffn), /^POLL/, abi);
    case 'aio_nbytes': {
      const iovecs = iovecCount(iocb);
      return iovecs === undefined ? '' : `${iovecs} iovecs`;
    }
    case 'aio_data':
      return hexadecimal(iocb.aio_data);
    default:
      return '';
  }
}

/** asm-generic/errno-base.h, which only Alpha changes, and of the others the ones that matter here, where they are generic. */
const errnos = new Map<number, string>(
  (
    'EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV ' +
    'ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE'
  )
    .split(' ')
    .map((name, i) => [i + 1, name]),
);
const genericErrnos = new Map([
  [61, 'ENODATA'],
  [75, 'EOVERFLOW'],
  [84, 'EILSEQ'],
  [95, 'EOPNOTSUPP'],
  [121, 'EREMOTEIO'],
  [122, 'EDQUOT'],
  [125, 'ECANCELED'],
]);
/** arch/alpha/include/uapi/asm/errno.h: errno-base.h but for this. */
const alphaErrnos = new Map([
  [11, 'EDEADLK'],
  [35, 'EAGAIN'],
]);
const ownErrnos = /^(mips|sparc|alpha|parisc)/;

function result(value: bigint, abi: Abi): string {
  if (value >= 0n || value < -4095n) return '';
  const errno = Number(-value);
  const alpha = abi.name === 'alpha' ? alphaErrnos.get(errno) : undefined;
  return (
    alpha ?? errnos.get(errno) ?? (ownErrnos.test(abi.name) ? undefined : genericErrnos.get(errno)) ?? `errno ${errno}`
  );
}

/** `RING_MAGIC` of fs/aio.c. */
const RING_MAGIC = 0xa10a10a1;
const NSEC_PER_SEC = 1_000_000_000n;

type Meaning<S extends StructName> = (name: string, record: Records[S], abi: Abi) => string;

const meanings: { readonly [S in StructName]?: Meaning<S> } = {
  iocb: iocbMeaning,
  io_event: (name, event, abi) => {
    if (name === 'res' || name === 'res2') return result(event[name], abi);
    return name === 'data' || name === 'obj' ? hexadecimal(event[name]) : '';
  },
  aio_ring: (name, ring) => {
    if (name === 'magic') return hexadecimal(ring.magic);
    const waiting = (ring.tail - ring.head + ring.nr) % ring.nr;
    return name === 'tail' && ring.head < ring.nr && ring.tail < ring.nr ? `${waiting} events wait` : '';
  },
  iovec: (name, iovec) => (name === 'iov_base' ? hexadecimal(iovec.iov_base) : ''),
  aio_sigset: (name, set) => (name === 'sigmask' ? hexadecimal(set.sigmask) : ''),
  aio_context_t: (_, { aio_context_t }) =>
    aio_context_t === 0n ? 'no context' : `a ring at ${hexadecimal(aio_context_t)}`,
  iocbp: (_, { iocbp }) => hexadecimal(iocbp),
};

/**
 * The nanoseconds of a timeout, as each kernel that may read it understands them. A 32-bit kernel takes them without a sign (ktime_set); so
 * does a 64-bit one in a timespec64 of a 32-bit program, whose upper half it drops (get_timespec64), and x32 has no other.
 */
function nanoseconds(struct: StructName, tv_nsec: bigint, abi: Abi): bigint[] {
  const unsigned = BigInt.asUintN(32, tv_nsec);
  if (abi.wordBytes === 8) return [tv_nsec];
  if (struct === 'timespec64' || abi.name === 'x32') return [unsigned];
  return kernelBits(abi).map((bits) => (bits === 32n ? unsigned : tv_nsec));
}

/** The kernel adds the two (include/linux/ktime.h, timespec64_to_ktime), and a timer of less than nothing never ends (ktime_add_safe). */
function timeoutProblem(struct: StructName, { tv_sec, tv_nsec }: TimespecRecord, abi: Abi): Problem[] {
  const when = whenOf(
    nanoseconds(struct, tv_nsec, abi),
    (added) => BigInt.asIntN(64, tv_sec * NSEC_PER_SEC + added) < 0n,
  );
  if (when === undefined) return [];
  const where = when === 'depends' ? ' under a 64-bit kernel' : '';
  return [{ when, reason: `the time is negative: the call waits for ever${where}` }];
}

/** What is known to be wrong with the fields of the other structures. */
function problemsOf(struct: StructName, name: string, record: unknown, abi: Abi): Problem[] {
  if (struct === 'aio_ring' && name === 'magic' && (record as { magic: number }).magic !== RING_MAGIC) {
    return [{ when: 'always', reason: `no ring: its magic number is ${hexadecimal(RING_MAGIC)}` }];
  }
  if (struct === 'aio_sigset' && name === 'sigsetsize') {
    const { sigmask, sigsetsize } = record as AioSigset;
    if (sigmask !== 0n && sigsetsize !== BigInt(abi.sigsetBytes)) {
      return [{ when: 'always', errno: 'EINVAL', reason: `the kernel's sigset_t has ${abi.sigsetBytes} bytes` }];
    }
  }
  if (/^timespec/.test(struct)) {
    const time = record as TimespecRecord;
    const negative = time.tv_sec < 0n ? 'tv_sec' : 'tv_nsec';
    if (name === negative && time[negative] < 0n) return timeoutProblem(struct, time, abi);
  }
  return [];
}

/**
 * Explains the bytes of a structure field by field, as a debugger or a core dump gave them.
 *
 * @param bytes Exactly as many as the structure has.
 * @param abi By default that of the host.
 * @throws As `decode`.
 */
export function explain(struct: StructName, bytes: ArrayBuffer | ArrayBufferView, abi?: AbiName): Explanation[] {
  const on = abiOf(abi);
  const record = decode(struct, bytes, abi);
  const refused = struct === 'iocb' ? refusals(record as Iocb, abi) : [];
  const meaning = meanings[struct] as Meaning<StructName> | undefined;
  const values = record as unknown as Readonly<Record<string, bigint | number>>;
  return layoutOf(struct, abi).fields.map((field) => ({
    field,
    value: values[field.name]!,
    meaning: meaning?.(field.name, record, on) ?? '',
    problems: [
      ...refused.filter((refusal) => refusal.field === field.name),
      ...problemsOf(struct, field.name, record, on),
    ],
  }));
}
