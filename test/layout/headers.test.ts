import { describe, expect, it } from 'vitest';
import { allValues } from '../../src/cli/layout/compare.ts';
import { abiOf, declarations, layoutOf, type StructName, vectors } from '../../src/layout/index.ts';
import { complaints, missing, type Target, targets, unconfirmed } from './targets.ts';

const preamble = `#define offsetof __builtin_offsetof
#include <linux/version.h>
#include <linux/aio_abi.h>
#include <linux/uio.h>
#include <linux/fs.h>
#include <linux/time_types.h>
#include <linux/ioprio.h>
#include <asm/poll.h>
#include <asm/unistd.h>
struct aio_ring { unsigned id, nr, head, tail, magic, compat_features, incompat_features, header_length; struct io_event io_events[]; };
struct __aio_sigset { __kernel_ulong_t sigmask, sigsetsize; };
`;

/** The C expression for what a value is called: `iocb.aio_buf offset`, `iovec size`, `RWF_DSYNC`, `__NR_io_setup`. */
function expression(what: string): string {
  const [, struct, field, kind] = /^(\w+?)(?:\.(\w+))? (size|align|offset)$/.exec(what) ?? [];
  if (struct === undefined) return what;
  const { c } = declarations[struct as StructName];
  if (kind === 'align') return `_Alignof(${c})`;
  // A context and a pointer are no structures: their one field is all of them.
  if (field === undefined || field === struct) return kind === 'offset' ? '0' : `sizeof(${c})`;
  return kind === 'offset' ? `offsetof(${c}, ${field})` : `sizeof(((${c} *)0)->${field})`;
}

/** Constants and calls that these headers need not have: the version of Linux that brought them decides. */
function guarded(what: string, assertion: string): string {
  if (/^(RWF_|POLL|IOPRIO_(HINT|CLASS_INVALID)|KIOCB_KEY)/.test(what)) {
    const enumerator = /^IOPRIO_(HINT_(NONE|DEV)|CLASS_INVALID)/.test(what);
    const condition = enumerator ? 'LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)' : `defined(${what})`;
    return `#if ${condition}\n${assertion}\n#endif\n`;
  }
  return `${assertion}\n`;
}

function assertions(values: ReadonlyMap<string, number>): string {
  return [...values]
    .map(([what, value]) => guarded(what, `_Static_assert(${expression(what)} == ${value}, "${what}");`))
    .join('');
}

/** The calls that the ABI lacks must be lacking in the headers too. */
function absences({ abi }: Target): string {
  const missingCalls = Object.entries(abiOf(abi).calls).filter(([, number]) => number === undefined);
  return missingCalls
    .map(([name]) => `#ifdef __NR_${name}\n_Static_assert(0, "__NR_${name} exists");\n#endif\n`)
    .join('');
}

describe.each(targets)('$abi', (target) => {
  const values = allValues(abiOf(target.abi));

  it('has every size, offset, constant and system call that the kernel headers have', ({ skip }) => {
    const reason = missing(target);
    skip(reason !== undefined, reason);
    expect(complaints(target, 'c', preamble + assertions(values) + absences(target))).toBe('');
  });

  it('would not pass with a single wrong one', ({ skip }) => {
    const reason = missing(target);
    skip(reason !== undefined, reason);
    for (const what of ['iocb.aio_buf offset', 'iovec size', 'IOCB_CMD_POLL', '__NR_io_submit']) {
      const wrong = new Map([...values, [what, values.get(what)! + 1]]);
      expect(complaints(target, 'c', preamble + assertions(wrong))).toMatch(/static.assert\w* failed/);
    }
  });
});

/** C++ can look at an object's bytes while it compiles (`__builtin_bit_cast`), in the byte order of the target. */
function byteAssertions(struct: 'iocb' | 'io_event', { abi }: Target): string {
  const { cases } = vectors().find((group) => group.struct === struct && group.abis.includes(abi))!;
  const { size, fields } = layoutOf(struct, abi);
  const lines = cases.flatMap(({ about, fields: values, bytes }, i) => {
    const members = fields.map(({ name, signed }) => {
      const value = BigInt(values[name]!);
      // The smallest number has no literal of its own in C.
      const literal = signed && value < 0n ? `(${value + 1n}LL - 1)` : `${value}${signed ? 'LL' : 'ULL'}`;
      return `.${name} = (decltype(${struct}::${name}))${literal}`;
    });
    const octets = bytes.match(/../g)!.map((octet) => `0x${octet}`);
    return [
      `constexpr struct ${struct} ${struct}_${i} = {${members.join(', ')}};`,
      `static_assert(same(__builtin_bit_cast(Bytes<${size}>, ${struct}_${i}), Bytes<${size}>{${octets.join(', ')}}), "${about}");`,
    ];
  });
  return `${lines.join('\n')}\n`;
}

const comparison = `#include <linux/aio_abi.h>
template <int N> struct Bytes { unsigned char at[N]; };
template <int N> constexpr bool same(Bytes<N> a, Bytes<N> b) {
  for (int i = 0; i < N; i++) if (a.at[i] != b.at[i]) return false;
  return true;
}
`;

describe.each(targets.filter(({ command }) => command[0] === 'clang'))('the golden bytes of $abi', (target) => {
  it('are those of the compiler', ({ skip }) => {
    const reason = missing(target);
    skip(reason !== undefined, reason);
    const source = comparison + byteAssertions('iocb', target) + byteAssertions('io_event', target);
    expect(complaints(target, 'c++', source)).toBe('');
    expect(complaints(target, 'c++', source.replace('0x01', '0x02'))).toContain('static_assert failed');
  });
});

describe('the ABIs that no compiler confirms', () => {
  it('are those that the documentation says', () => {
    expect(unconfirmed).toEqual([
      'loongarch64',
      'csky',
      'hexagon',
      'microblaze',
      'microblazeel',
      'nios2',
      'openrisc',
      'parisc64',
      'xtensa',
      'xtensaeb',
    ]);
  });
});
