import { type AbiName, abiOf } from './abis.ts';
import * as kernel from './constants.ts';
import { invalidType, invalidValue } from './errors.ts';

/** A name of a constant that is exported here. */
export type ConstantName = keyof typeof kernel;

const values: Readonly<Record<ConstantName, number>> = kernel;

/** What is known of one of the kernel's constants. */
export interface Constant {
  readonly name: ConstantName;
  /** Its value on most ABIs; {@link constantOn} has it for each. */
  readonly value: number;
  /** The header that has it. */
  readonly header: string;
  /** Whether C can ask for it with #ifdef. */
  readonly macro: boolean;
  /** The field it is for, or the call. */
  readonly use: string;
  /** The first kernel that knows it in this use. */
  readonly since: string;
  /**
   * What a kernel that knows it does with it in an iocb: `accepted`, `ignored` (no error and no effect), `depends` (on the file or
   * the caller), `refused`, or `none` (it is not for iocbs).
   */
  readonly aio: 'accepted' | 'ignored' | 'depends' | 'refused' | 'none';
  /** What the kernel answers where it does not accept it; older kernels included. */
  readonly answer: string;
  /** Where it has another value. */
  readonly except?: readonly { readonly abis: readonly AbiName[]; readonly value: number }[];
}

type Row = readonly [
  name: ConstantName,
  use: string,
  since: string,
  aio: Constant['aio'],
  answer: string,
  except?: Constant['except'],
];

/** fs/aio.c, __io_submit_one: the opcodes it has a case for. */
const opcodes: readonly Row[] = [
  ['IOCB_CMD_PREAD', 'aio_lio_opcode', '2.5', 'accepted', ''],
  ['IOCB_CMD_PWRITE', 'aio_lio_opcode', '2.5', 'accepted', ''],
  [
    'IOCB_CMD_FSYNC',
    'aio_lio_opcode',
    '4.18',
    'accepted',
    'EINVAL before 4.18, though the header had it, and of files without fsync',
  ],
  [
    'IOCB_CMD_FDSYNC',
    'aio_lio_opcode',
    '4.18',
    'accepted',
    'EINVAL before 4.18, though the header had it, and of files without fsync',
  ],
  ['IOCB_CMD_POLL', 'aio_lio_opcode', '4.19', 'accepted', 'EINVAL before 4.19, and of files with several wait queues'],
  ['IOCB_CMD_NOOP', 'aio_lio_opcode', '2.5', 'refused', 'EINVAL: no kernel ever had a case for it'],
  ['IOCB_CMD_PREADV', 'aio_lio_opcode', '2.6.19', 'accepted', ''],
  ['IOCB_CMD_PWRITEV', 'aio_lio_opcode', '2.6.19', 'accepted', ''],
];

/** fs/aio.c, io_submit_one and aio_prep_rw. */
const flags: readonly Row[] = [
  [
    'IOCB_FLAG_RESFD',
    'aio_flags',
    '2.6.22',
    'accepted',
    'EBADF for a closed descriptor, EINVAL where it is no eventfd',
  ],
  [
    'IOCB_FLAG_IOPRIO',
    'aio_flags',
    '4.18',
    'accepted',
    'ignored before 4.18, as every unknown bit of aio_flags is to this day',
  ],
];

const UNKNOWN = 'EOPNOTSUPP of a kernel that does not know it';

/** include/linux/fs.h, kiocb_set_rw_flags. Before Linux 4.13 the field was reserved: EINVAL for anything but 0. */
const rwFlags: readonly Row[] = [
  [
    'RWF_HIPRI',
    'aio_rw_flags',
    '4.13',
    'ignored',
    'nothing: nobody polls for the completion of an asynchronous request',
  ],
  ['RWF_DSYNC', 'aio_rw_flags', '4.13', 'accepted', 'EINVAL before 4.13'],
  ['RWF_SYNC', 'aio_rw_flags', '4.13', 'accepted', 'EINVAL before 4.13'],
  [
    'RWF_NOWAIT',
    'aio_rw_flags',
    '4.13',
    'depends',
    'EOPNOTSUPP of files that cannot, EAGAIN where it would have to wait',
  ],
  ['RWF_APPEND', 'aio_rw_flags', '4.16', 'accepted', UNKNOWN],
  [
    'RWF_NOAPPEND',
    'aio_rw_flags',
    '6.9',
    'depends',
    `${UNKNOWN}; EINVAL beside RWF_APPEND, EPERM of an append-only file`,
  ],
  ['RWF_ATOMIC', 'aio_rw_flags', '6.11', 'depends', `${UNKNOWN}, for a read, and of files that cannot`],
  ['RWF_DONTCACHE', 'aio_rw_flags', '6.14', 'depends', `${UNKNOWN}, and of files that cannot`],
  ['RWF_NOSIGNAL', 'aio_rw_flags', '6.18', 'accepted', UNKNOWN],
];

const HINT = 'EINVAL before 6.5, where the bits were a part of the level';

/** block/ioprio.c, ioprio_check_cap; looked at with IOCB_FLAG_IOPRIO only, and by reads and writes only. */
const priorities: readonly Row[] = [
  ['IOPRIO_CLASS_SHIFT', 'aio_reqprio', '4.18', 'accepted', ''],
  ['IOPRIO_CLASS_NONE', 'aio_reqprio', '4.18', 'accepted', 'EINVAL with a level other than 0'],
  ['IOPRIO_CLASS_RT', 'aio_reqprio', '4.18', 'depends', 'EPERM without CAP_SYS_NICE (since 5.14) or CAP_SYS_ADMIN'],
  ['IOPRIO_CLASS_BE', 'aio_reqprio', '4.18', 'accepted', ''],
  ['IOPRIO_CLASS_IDLE', 'aio_reqprio', '4.18', 'accepted', ''],
  ['IOPRIO_CLASS_INVALID', 'aio_reqprio', '6.5', 'refused', 'EINVAL, as classes 4 to 6'],
  ['IOPRIO_NR_LEVELS', 'aio_reqprio', '4.18', 'accepted', 'EINVAL for a level that is not below it'],
  ['IOPRIO_NORM', 'aio_reqprio', '4.18', 'accepted', ''],
  ['IOPRIO_HINT_SHIFT', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_HINT_NR_BITS', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_HINT_NONE', 'aio_reqprio', '6.5', 'accepted', ''],
  ['IOPRIO_HINT_DEV_DURATION_LIMIT_1', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_HINT_DEV_DURATION_LIMIT_2', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_HINT_DEV_DURATION_LIMIT_3', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_HINT_DEV_DURATION_LIMIT_4', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_HINT_DEV_DURATION_LIMIT_5', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_HINT_DEV_DURATION_LIMIT_6', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_HINT_DEV_DURATION_LIMIT_7', 'aio_reqprio', '6.5', 'accepted', HINT],
  ['IOPRIO_WHO_PROCESS', 'ioprio_set', '2.6.13', 'none', ''],
  ['IOPRIO_WHO_PGRP', 'ioprio_set', '2.6.13', 'none', ''],
  ['IOPRIO_WHO_USER', 'ioprio_set', '2.6.13', 'none', ''],
];

const mips: readonly AbiName[] = ['mips', 'mipsel', 'mips64', 'mips64el', 'mipsn32', 'mipsn32el'];
const sparc: readonly AbiName[] = ['sparc', 'sparc64'];
const xtensa: readonly AbiName[] = ['xtensa', 'xtensaeb'];
const old: readonly AbiName[] = [...mips, ...sparc, ...xtensa, 'm68k'];
const IN_RESULT_ONLY = 'nothing: it is reported whether asked for or not';
const NEVER = 'nothing: it is never reported';

/** arch/.../include/uapi/asm/poll.h; the mask of a poll is in `aio_buf`, and fs/aio.c refuses bits above the lower 16 with EINVAL. */
const events: readonly Row[] = [
  ['POLLIN', 'aio_buf of a poll', '4.19', 'accepted', ''],
  ['POLLPRI', 'aio_buf of a poll', '4.19', 'accepted', ''],
  ['POLLOUT', 'aio_buf of a poll', '4.19', 'accepted', ''],
  ['POLLERR', 'aio_buf of a poll', '4.19', 'ignored', IN_RESULT_ONLY],
  ['POLLHUP', 'aio_buf of a poll', '4.19', 'ignored', IN_RESULT_ONLY],
  ['POLLNVAL', 'aio_buf of a poll', '4.19', 'ignored', `${NEVER}; io_submit answers EBADF instead`],
  ['POLLRDNORM', 'aio_buf of a poll', '4.19', 'accepted', ''],
  ['POLLRDBAND', 'aio_buf of a poll', '4.19', 'accepted', ''],
  ['POLLWRNORM', 'aio_buf of a poll', '4.19', 'accepted', '', [{ abis: old, value: 0x4 }]],
  ['POLLWRBAND', 'aio_buf of a poll', '4.19', 'accepted', '', [{ abis: old, value: 0x100 }]],
  ['POLLMSG', 'aio_buf of a poll', '4.19', 'ignored', NEVER, [{ abis: sparc, value: 0x200 }]],
  [
    'POLLREMOVE',
    'aio_buf of a poll',
    '4.19',
    'ignored',
    NEVER,
    [
      { abis: sparc, value: 0x400 },
      { abis: xtensa, value: 0x800 },
    ],
  ],
  ['POLLFREE', 'aio_buf of a poll', '4.19', 'ignored', NEVER],
  ['POLL_BUSY_LOOP', 'aio_buf of a poll', '4.19', 'ignored', NEVER],
  ['POLLRDHUP', 'aio_buf of a poll', '4.19', 'accepted', '', [{ abis: sparc, value: 0x800 }]],
];

const key: readonly Row[] = [
  [
    'KIOCB_KEY',
    'aio_key',
    '2.5',
    'accepted',
    'io_submit overwrites aio_key with it; io_cancel answers EINVAL to anything else',
  ],
];

/** Enumerators of C, which the preprocessor does not see; the others are macros. */
const enumerator = /^(IOCB_CMD_|IOPRIO_CLASS_(?!SHIFT)|IOPRIO_WHO_|IOPRIO_HINT_(NONE|DEV))/;

function listed(header: string, rows: readonly Row[]): Constant[] {
  return rows.map(([name, use, since, aio, answer, except]) =>
    Object.freeze({
      name,
      value: values[name],
      header,
      macro: !enumerator.test(name),
      use,
      since,
      aio,
      answer,
      ...(except === undefined ? {} : { except }),
    }),
  );
}

/** Every constant that is exported here, with what is known of it. */
export const constants: readonly Constant[] = Object.freeze([
  ...listed('linux/aio_abi.h', [...opcodes, ...flags]),
  ...listed('linux/fs.h', rwFlags),
  ...listed('linux/ioprio.h', priorities),
  ...listed('asm/poll.h', events),
  ...listed('fs/aio.c', key),
]);

/**
 * The value of a constant on an ABI: some of `POLL*` are others on MIPS, SPARC, Xtensa and m68k.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, or `ERR_INVALID_ARG_VALUE` for a name that is not exported here.
 */
export function constantOn(name: ConstantName, abi?: AbiName): number {
  const { name: on } = abiOf(abi);
  if (typeof name !== 'string') throw invalidType('name', 'of type string', name);
  if (!Object.hasOwn(values, name)) throw invalidValue('name', 'the name of a constant', name);
  const constant = constants.find((entry) => entry.name === name);
  return constant?.except?.find(({ abis }) => abis.includes(on))?.value ?? values[name];
}
