import { describe, expect, it } from 'vitest';
import {
  type AbiName,
  decodeIocb,
  encode,
  encodeIocb,
  explain,
  type Input,
  IOCB_CMD_FSYNC,
  IOCB_CMD_NOOP,
  IOCB_CMD_POLL,
  IOCB_CMD_PREAD,
  IOCB_CMD_PREADV,
  IOCB_CMD_PWRITE,
  IOCB_FLAG_IOPRIO,
  IOCB_FLAG_RESFD,
  IOPRIO_CLASS_RT,
  IOPRIO_CLASS_SHIFT,
  type Iocb,
  POLLIN,
  POLLWRBAND,
  RWF_ATOMIC,
  RWF_DSYNC,
  refusals,
  type StructName,
} from '../../src/layout/index.ts';

const good: Input<Iocb> = { aio_lio_opcode: IOCB_CMD_PREAD, aio_buf: 4096, aio_nbytes: 512, aio_fildes: 3 };

function refused(iocb: Input<Iocb>, abi: AbiName = 'x86_64'): string[] {
  const found = refusals(decodeIocb(encodeIocb(iocb, abi), abi), abi);
  return found.map(({ field, errno, when }) => `${field} ${errno} ${when}`);
}

describe('refusals', () => {
  it('finds nothing wrong with good requests', () => {
    expect(refused(good)).toEqual([]);
    expect(refused({ ...good, aio_lio_opcode: IOCB_CMD_PWRITE, aio_rw_flags: RWF_DSYNC })).toEqual([]);
    expect(refused({ aio_lio_opcode: IOCB_CMD_FSYNC, aio_fildes: 3 })).toEqual([]);
    expect(refused({ aio_lio_opcode: IOCB_CMD_POLL, aio_fildes: 3, aio_buf: POLLIN })).toEqual([]);
    expect(refused({ ...good, aio_flags: 0xfffffffc, aio_reqprio: -1, aio_key: 9 })).toEqual([]);
  });

  it.each<[string, Input<Iocb>, string]>([
    ['an opcode that is none', { ...good, aio_lio_opcode: 4 }, 'aio_lio_opcode EINVAL always'],
    ['NOOP', { ...good, aio_lio_opcode: IOCB_CMD_NOOP }, 'aio_lio_opcode EINVAL always'],
    ['the reserved field', { ...good, aio_reserved2: 1 }, 'aio_reserved2 EINVAL always'],
    ['a negative descriptor', { ...good, aio_fildes: 0xffffffff }, 'aio_fildes EBADF always'],
    ['a negative length', { ...good, aio_nbytes: 2n ** 63n, aio_offset: 0 }, 'aio_nbytes EINVAL always'],
    ['a negative offset', { ...good, aio_offset: -1 }, 'aio_offset EINVAL always'],
    ['an end beyond the largest offset', { ...good, aio_offset: 2n ** 63n - 512n }, 'aio_offset EINVAL always'],
    ['flags that no kernel knows', { ...good, aio_rw_flags: 0x200 }, 'aio_rw_flags EOPNOTSUPP always'],
    ['a poll with a long mask', { aio_lio_opcode: IOCB_CMD_POLL, aio_buf: 0x10001 }, 'aio_buf EINVAL always'],
    ['a poll with an offset', { aio_lio_opcode: IOCB_CMD_POLL, aio_offset: 1 }, 'aio_offset EINVAL always'],
    ['an fsync with a length', { aio_lio_opcode: IOCB_CMD_FSYNC, aio_nbytes: 1 }, 'aio_nbytes EINVAL always'],
    ['too many iovecs', { ...good, aio_lio_opcode: IOCB_CMD_PREADV, aio_nbytes: 1025 }, 'aio_nbytes EINVAL always'],
    [
      'a priority class that is none',
      { ...good, aio_flags: IOCB_FLAG_IOPRIO, aio_reqprio: -1 },
      'aio_reqprio EINVAL always',
    ],
    [
      'realtime',
      { ...good, aio_flags: IOCB_FLAG_IOPRIO, aio_reqprio: IOPRIO_CLASS_RT << IOPRIO_CLASS_SHIFT },
      'aio_reqprio EPERM depends',
    ],
    ['a negative eventfd', { ...good, aio_flags: IOCB_FLAG_RESFD, aio_resfd: 0x80000000 }, 'aio_resfd EBADF always'],
    ['no buffer', { ...good, aio_buf: 0 }, 'aio_buf EFAULT depends'],
  ])('finds %s', (_, iocb, expected) => {
    expect(refused(iocb)).toEqual([expected]);
  });

  it('finds an atomic read', () => {
    expect(refused({ ...good, aio_rw_flags: RWF_ATOMIC })).toContain('aio_rw_flags EOPNOTSUPP always');
  });

  it('measures addresses and sizes by the words of the kernel, which may be longer than those of the ABI', () => {
    const long = { ...good, aio_buf: 2n ** 32n };
    for (const iocb of [
      { ...long, aio_nbytes: 2n ** 31n },
      { ...long, aio_nbytes: 2n ** 32n + 4096n },
    ]) {
      for (const abi of ['x86_64', 'x32', 's390', 'mipsn32'] as const) expect(refused(iocb, abi)).toEqual([]);
      for (const abi of ['i386', 'arm'] as const) {
        expect(refused(iocb, abi)).toEqual(['aio_buf EINVAL depends', 'aio_nbytes EINVAL depends']);
      }
      for (const abi of ['m68k', 'arc'] as const) {
        expect(refused(iocb, abi)).toEqual(['aio_buf EINVAL always', 'aio_nbytes EINVAL always']);
      }
    }
    for (const abi of ['x86_64', 'x32', 'i386', 'm68k'] as const) {
      expect(refused({ ...good, aio_nbytes: 2n ** 63n, aio_offset: 0 }, abi)).toEqual(['aio_nbytes EINVAL always']);
    }
  });

  it('counts iovecs as the kernel does, in 32 bits', () => {
    const vectored = { ...good, aio_lio_opcode: IOCB_CMD_PREADV };
    for (const aio_nbytes of [2n ** 32n, 2n ** 32n + 1024n, 2n ** 62n]) {
      expect(refused({ ...vectored, aio_nbytes })).toEqual([]);
    }
    expect(refused({ ...vectored, aio_nbytes: 2n ** 32n + 1025n })).toEqual(['aio_nbytes EINVAL always']);
  });
});

describe('explain', () => {
  function meanings(
    struct: Parameters<typeof explain>[0],
    bytes: Uint8Array,
    abi?: Parameters<typeof explain>[2],
  ): object {
    return Object.fromEntries(explain(struct, bytes, abi).map(({ field, meaning }) => [field.name, meaning]));
  }

  it('says how many iovecs the kernel counts', () => {
    const iocb = encodeIocb({ aio_lio_opcode: IOCB_CMD_PREADV, aio_nbytes: 2n ** 32n + 1n }, 'x86_64');
    expect(meanings('iocb', iocb, 'x86_64')).toMatchObject({ aio_nbytes: '1 iovecs' });
  });

  it("says the kernel's names", () => {
    const iocb = encodeIocb(
      { aio_lio_opcode: IOCB_CMD_POLL, aio_buf: 0x100, aio_flags: IOCB_FLAG_RESFD, aio_resfd: 9 },
      'mips',
    );
    expect(meanings('iocb', iocb, 'mips')).toMatchObject({
      aio_lio_opcode: 'IOCB_CMD_POLL',
      aio_buf: 'POLLWRBAND',
      aio_flags: 'IOCB_FLAG_RESFD',
      aio_resfd: 'eventfd 9',
      aio_reqprio: 'not looked at without IOCB_FLAG_IOPRIO',
    });
    expect(POLLWRBAND).not.toBe(0x100);
  });

  it('says which error a result is', () => {
    expect(meanings('io_event', encode('io_event', { res: -5 }))).toMatchObject({ res: 'EIO', res2: '' });
    expect(meanings('io_event', encode('io_event', { res: -125 }, 'x86_64'), 'x86_64')).toMatchObject({
      res: 'ECANCELED',
    });
    expect(meanings('io_event', encode('io_event', { res: -125 }, 'mips'), 'mips')).toMatchObject({ res: 'errno 125' });
    expect(meanings('io_event', encode('io_event', { res: 4096 }))).toMatchObject({ res: '' });
    const onAlpha = (res: number) => meanings('io_event', encode('io_event', { res }, 'alpha'), 'alpha');
    expect(onAlpha(-11)).toMatchObject({ res: 'EDEADLK' });
    expect(onAlpha(-35)).toMatchObject({ res: 'EAGAIN' });
    expect(onAlpha(-5)).toMatchObject({ res: 'EIO' });
  });

  function problem(struct: StructName, bytes: Uint8Array, abi?: AbiName): string {
    return explain(struct, bytes, abi)
      .flatMap(({ problems }) => problems)
      .map(({ errno = '', when, reason }) => `${errno} ${when}: ${reason}`)
      .join();
  }

  it('finds what is wrong with the other structures', () => {
    expect(problem('aio_sigset', encode('aio_sigset', { sigmask: 4096, sigsetsize: 8 }, 'mips'), 'mips')).toMatch(
      /EINVAL .*16 bytes/,
    );
    expect(problem('aio_sigset', encode('aio_sigset', { sigmask: 4096, sigsetsize: 8 }, 'arm'), 'arm')).toBe('');
    expect(problem('aio_ring', encode('aio_ring', { magic: 0xa10a10a1 }))).toBe('');
    expect(problem('aio_ring', encode('aio_ring', {}))).toMatch(/no ring/);
  });

  // test/kernel/getevents.test.ts has the kernel's answers.
  it.each<[StructName, AbiName, tv_sec: number | bigint, tv_nsec: number, RegExp]>([
    ['timespec', 'x86_64', 0, -1, /^ always: .* waits for ever$/],
    ['timespec', 'x86_64', -1, 0, /^ always: .* waits for ever$/],
    ['timespec', 'x86_64', -1, -1, /^ always: .* waits for ever$/],
    ['timespec', 'x86_64', 1, -500_000_000, /^$/],
    ['timespec', 'x86_64', -1, 1_500_000_000, /^$/],
    ['timespec64', 'x86_64', -1, 999_999_999, /^ always: /],
    ['timespec', 'x86_64', -(2n ** 63n), 0, /^$/],
    ['timespec', 'x86_64', 2n ** 62n, 0, /^$/],
    ['timespec', 'i386', -1, 0, /^ always: /],
    ['timespec', 'i386', -6, 0, /^ always: /],
    ['timespec', 'i386', 0, -1, /^ depends: .*64-bit kernel/],
    ['timespec', 'i386', 1, -500_000_000, /^$/],
    ['timespec64', 'i386', 0, -1, /^$/],
    ['timespec64', 'i386', -5, -1, /^ always: /],
    ['timespec', 'x32', 0, -1, /^$/],
    ['timespec', 'm68k', 0, -1, /^$/],
    ['timespec', 's390', 0, -1, /^ always: /],
  ])('adds the seconds and nanoseconds of a %s on %s: %d and %d', (struct, abi, tv_sec, tv_nsec, expected) => {
    expect(problem(struct, encode(struct, { tv_sec, tv_nsec }, abi), abi)).toMatch(expected);
  });

  it('takes a ring of size 0 without a hitch', () => {
    expect(meanings('aio_ring', new Uint8Array(32))).toMatchObject({ tail: '' });
    expect(meanings('aio_ring', encode('aio_ring', { nr: 255, head: 250, tail: 3 }))).toMatchObject({
      tail: '8 events wait',
    });
  });
});
