import { type AbiName, abiOf, kernelBits } from './abis.ts';
import * as kernel from './constants.ts';
import { decodeIocb, encodeIocb, type Iocb } from './records.ts';

/** A value that the kernel refuses. */
export interface Refusal {
  /** The field that is at fault. */
  readonly field: keyof Iocb;
  /** What io_submit answers, or the event's `res` says. */
  readonly errno: 'EINVAL' | 'EBADF' | 'EOPNOTSUPP' | 'EPERM' | 'EFAULT';
  /**
   * `always`, or `depends`: on the kernel's version or width, on the file, or on the caller's rights, which the bytes do not tell. The
   * reason says which.
   */
  readonly when: 'always' | 'depends';
  readonly reason: string;
}

/** include/uapi/linux/uio.h, UIO_MAXIOV. */
const MAX_IOVECS = 1024n;
const INT64_MAX = (1n << 63n) - 1n;
/** include/linux/fs.h, MAX_RW_COUNT with pages of 4096: longer requests are cut to this before their end is looked at. */
const MAX_RW_COUNT = 0x7ffff000n;
const KNOWN_RWF =
  kernel.RWF_HIPRI |
  kernel.RWF_DSYNC |
  kernel.RWF_SYNC |
  kernel.RWF_NOWAIT |
  kernel.RWF_APPEND |
  kernel.RWF_NOAPPEND |
  kernel.RWF_ATOMIC |
  kernel.RWF_DONTCACHE |
  kernel.RWF_NOSIGNAL;
/** Flags that not every kernel since 4.18 has. */
const YOUNG_RWF: readonly (readonly [flag: number, name: string, since: string])[] = [
  [kernel.RWF_NOAPPEND, 'RWF_NOAPPEND', '6.9'],
  [kernel.RWF_ATOMIC, 'RWF_ATOMIC', '6.11'],
  [kernel.RWF_DONTCACHE, 'RWF_DONTCACHE', '6.14'],
  [kernel.RWF_NOSIGNAL, 'RWF_NOSIGNAL', '6.18'],
];

const READS: readonly number[] = [kernel.IOCB_CMD_PREAD, kernel.IOCB_CMD_PREADV];
const WRITES: readonly number[] = [kernel.IOCB_CMD_PWRITE, kernel.IOCB_CMD_PWRITEV];
const VECTORED: readonly number[] = [kernel.IOCB_CMD_PREADV, kernel.IOCB_CMD_PWRITEV];
const SYNCS: readonly number[] = [kernel.IOCB_CMD_FSYNC, kernel.IOCB_CMD_FDSYNC];

type Report = (field: keyof Iocb, errno: Refusal['errno'], reason: string, when?: Refusal['when']) => void;

/** Whether something holds in all of the cases that there may be, or in some; undefined where it holds in none. */
export function whenOf<T>(cases: readonly T[], holds: (each: T) => boolean): Refusal['when'] | undefined {
  const count = cases.filter(holds).length;
  return count === 0 ? undefined : count === cases.length ? 'always' : 'depends';
}

/** fs/aio.c, io_submit_one, "prevent overflows": by the words of the kernel, whatever those of the program are. */
function checkWords({ aio_buf, aio_nbytes }: Iocb, kernels: readonly bigint[], report: Report): void {
  const tooFar = whenOf(kernels, (bits) => aio_buf >> bits !== 0n);
  if (tooFar) report('aio_buf', 'EINVAL', 'a 32-bit kernel has no such address', tooFar);
  const tooLong = whenOf(kernels, (bits) => aio_nbytes >> (bits - 1n) !== 0n);
  const widest = tooLong === 'always' ? kernels.at(-1) : kernels[0];
  if (tooLong) report('aio_nbytes', 'EINVAL', `it does not fit the ssize_t of a ${widest}-bit kernel`, tooLong);
}

/** fs/aio.c, io_submit_one: what is checked of every request, before its file is looked at. */
function checkEvery(iocb: Iocb, report: Report): void {
  if (iocb.aio_reserved2 !== 0n) report('aio_reserved2', 'EINVAL', 'it must be 0');
  if (iocb.aio_fildes > 0x7fffffff) report('aio_fildes', 'EBADF', 'it is negative as a descriptor');
  if (iocb.aio_flags & kernel.IOCB_FLAG_RESFD && iocb.aio_resfd > 0x7fffffff) {
    report('aio_resfd', 'EBADF', 'it is negative as a descriptor');
  }
}

/** block/ioprio.c, ioprio_check_cap. Its argument is an int that the s16 was widened to, so the sign fills the upper bits. */
function checkPriority(iocb: Iocb, report: Report): void {
  if (!(iocb.aio_flags & kernel.IOCB_FLAG_IOPRIO)) return;
  const bits = iocb.aio_reqprio & 0xffff;
  const priorityClass = bits >> kernel.IOPRIO_CLASS_SHIFT;
  const data = bits & ((1 << kernel.IOPRIO_CLASS_SHIFT) - 1);
  const level = data % kernel.IOPRIO_NR_LEVELS;
  if (priorityClass > kernel.IOPRIO_CLASS_IDLE) {
    report('aio_reqprio', 'EINVAL', `class ${priorityClass} does not exist`);
  } else if (priorityClass === kernel.IOPRIO_CLASS_NONE && level !== 0) {
    report('aio_reqprio', 'EINVAL', 'class IOPRIO_CLASS_NONE has no level but 0');
  } else {
    if (priorityClass === kernel.IOPRIO_CLASS_RT) {
      report('aio_reqprio', 'EPERM', 'IOPRIO_CLASS_RT needs CAP_SYS_NICE or CAP_SYS_ADMIN', 'depends');
    }
    if (data > level && priorityClass !== kernel.IOPRIO_CLASS_IDLE) {
      report('aio_reqprio', 'EINVAL', 'a kernel before 6.5 has no hints', 'depends');
    }
  }
}

/** include/linux/fs.h, kiocb_set_rw_flags. */
function checkFlags(iocb: Iocb, report: Report): void {
  const flags = iocb.aio_rw_flags;
  if (flags & ~KNOWN_RWF)
    report('aio_rw_flags', 'EOPNOTSUPP', `no kernel up to 6.18 knows ${hexadecimal(flags & ~KNOWN_RWF)}`);
  if (flags & kernel.RWF_ATOMIC && READS.includes(iocb.aio_lio_opcode)) {
    report('aio_rw_flags', 'EOPNOTSUPP', 'RWF_ATOMIC is for writes');
  }
  if (flags & kernel.RWF_APPEND && flags & kernel.RWF_NOAPPEND) {
    report('aio_rw_flags', 'EINVAL', 'RWF_APPEND and RWF_NOAPPEND exclude each other');
  }
  for (const [flag, name, since] of YOUNG_RWF) {
    if (flags & flag) report('aio_rw_flags', 'EOPNOTSUPP', `a kernel before ${since} does not know ${name}`, 'depends');
  }
  if (flags & kernel.RWF_NOWAIT) report('aio_rw_flags', 'EOPNOTSUPP', 'not every file takes RWF_NOWAIT', 'depends');
}

function hexadecimal(flags: number): string {
  return `0x${(flags >>> 0).toString(16)}`;
}

function transferred({ aio_nbytes }: Iocb): bigint {
  return aio_nbytes < MAX_RW_COUNT ? aio_nbytes : MAX_RW_COUNT;
}

/**
 * How many iovecs a vectored request has; undefined for another. The kernel counts them in an `unsigned` (lib/iov_iter.c, import_iovec), to
 * which fs/aio.c passes aio_nbytes: the upper half is lost. test/kernel/vectored.test.ts shows it.
 */
export function iovecCount({ aio_lio_opcode, aio_nbytes }: Iocb): bigint | undefined {
  return VECTORED.includes(aio_lio_opcode) ? BigInt.asUintN(32, aio_nbytes) : undefined;
}

/** fs/aio.c, aio_read and aio_write; fs/read_write.c, rw_verify_area. */
function checkTransfer(iocb: Iocb, report: Report): void {
  checkPriority(iocb, report);
  checkFlags(iocb, report);
  const iovecs = iovecCount(iocb);
  if (iovecs !== undefined) {
    if (iovecs > MAX_IOVECS) report('aio_nbytes', 'EINVAL', `more than ${MAX_IOVECS} iovecs`);
  } else if (iocb.aio_nbytes > 0n && iocb.aio_buf === 0n) {
    report('aio_buf', 'EFAULT', 'it is a null pointer', 'depends');
  }
  if (iocb.aio_offset < 0n) {
    report('aio_offset', 'EINVAL', 'it is negative');
  } else if (iovecs === undefined && iocb.aio_offset + transferred(iocb) > INT64_MAX) {
    report('aio_offset', 'EINVAL', 'the request ends beyond the largest offset');
  }
}

/** Fields that must be 0 for this opcode. */
function checkZero(iocb: Iocb, fields: readonly (keyof Iocb)[], what: string, report: Report): void {
  for (const field of fields) {
    if (BigInt(iocb[field]) !== 0n) report(field, 'EINVAL', `it must be 0 for ${what}`);
  }
}

function checkOpcode(iocb: Iocb, report: Report): void {
  const opcode = iocb.aio_lio_opcode;
  if (READS.includes(opcode) || WRITES.includes(opcode)) checkTransfer(iocb, report);
  else if (SYNCS.includes(opcode)) {
    checkZero(iocb, ['aio_buf', 'aio_nbytes', 'aio_offset', 'aio_rw_flags'], 'fsync', report);
  } else if (opcode === kernel.IOCB_CMD_POLL) {
    checkZero(iocb, ['aio_nbytes', 'aio_offset', 'aio_rw_flags'], 'a poll', report);
    if (iocb.aio_buf >> 16n) report('aio_buf', 'EINVAL', 'the mask of a poll has 16 bits');
  } else {
    const name = opcode === kernel.IOCB_CMD_NOOP ? 'IOCB_CMD_NOOP, which no kernel carries out' : 'no opcode';
    report('aio_lio_opcode', 'EINVAL', `${opcode} is ${name}`);
  }
}

/**
 * Which values of an iocb the kernel would refuse, as far as the bytes alone tell (Linux 6.18). Whether a descriptor is open or an
 * address is mapped they do not.
 *
 * @param abi Decides how long an address is, by the kernels that run it. By default that of the host.
 * @throws As `encodeIocb`.
 * @returns Nothing where io_submit has no reason to refuse. Where there are several, the kernel answers with one of them.
 */
export function refusals(iocb: Iocb, abi?: AbiName): Refusal[] {
  // What has a wrong type or does not fit its field is no iocb, and what is left out is 0.
  const exact = decodeIocb(encodeIocb(iocb, abi), abi);
  const found: Refusal[] = [];
  const report: Report = (field, errno, reason, when = 'always') => found.push({ field, errno, when, reason });
  checkEvery(exact, report);
  checkWords(exact, kernelBits(abiOf(abi)), report);
  checkOpcode(exact, report);
  return found;
}
