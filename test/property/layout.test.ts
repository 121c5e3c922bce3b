import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Abi,
  abis,
  decode,
  encode,
  explain,
  type Field,
  type Input,
  layoutOf,
  type Records,
  type StructName,
  structs,
} from '../../src/layout/index.ts';

type AnyInput = Input<Records[StructName]>;

function range({ size, signed }: Field): [bigint, bigint] {
  const bits = BigInt(size * 8);
  return signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
}

/** A value of a field, its extremes often. */
function extremeOf(field: Field): fc.Arbitrary<bigint> {
  const [min, max] = range(field);
  return fc.oneof(fc.constantFrom(min, max, 0n, 1n, max >> 1n), fc.bigInt(min, max));
}

const placeArbitrary: fc.Arbitrary<[StructName, Abi]> = fc.tuple(fc.constantFrom(...structs), fc.constantFrom(...abis));

const recordArbitrary = placeArbitrary.chain(([struct, abi]) => {
  const { fields } = layoutOf(struct, abi.name);
  return fc.record({
    struct: fc.constant(struct),
    abi: fc.constant(abi),
    values: fc.record(Object.fromEntries(fields.map((field) => [field.name, extremeOf(field)]))),
  });
});

function asBigints(record: object): Record<string, bigint> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, BigInt(value)]));
}

/** Name, bytes and sign in the order of C's declaration; a word is written as 0 bytes. Written by hand, from the kernel's headers. */
const declared: Record<StructName, readonly (readonly [name: string, bytes: number])[]> = {
  iocb: [
    ['aio_data', 8],
    ['aio_key', 4],
    ['aio_rw_flags', 4],
    ['aio_lio_opcode', 2],
    ['aio_reqprio', 2],
    ['aio_fildes', 4],
    ['aio_buf', 8],
    ['aio_nbytes', 8],
    ['aio_offset', 8],
    ['aio_reserved2', 8],
    ['aio_flags', 4],
    ['aio_resfd', 4],
  ],
  io_event: ['data', 'obj', 'res', 'res2'].map((name) => [name, 8]),
  aio_ring: 'id nr head tail magic compat_features incompat_features header_length'.split(' ').map((name) => [name, 4]),
  iovec: [
    ['iov_base', 0],
    ['iov_len', 0],
  ],
  timespec: [
    ['tv_sec', 0],
    ['tv_nsec', 0],
  ],
  timespec64: [
    ['tv_sec', 8],
    ['tv_nsec', 8],
  ],
  aio_sigset: [
    ['sigmask', 0],
    ['sigsetsize', 0],
  ],
  aio_context_t: [['aio_context_t', 0]],
  iocbp: [['iocbp', 0]],
};

/** Bytes of a word in this place: x32 is the one ABI where that is no matter of the ABI alone. */
function wordBytes(struct: StructName, name: string, abi: Abi): number {
  if (abi.name !== 'x32') return /64|alpha|s390x/.test(abi.name) ? 8 : 4;
  if (struct === 'timespec') return name === 'tv_sec' ? 8 : 4;
  return struct === 'aio_sigset' || struct === 'aio_context_t' ? 8 : 4;
}

const bigEndian =
  /^(aarch64_be|armeb|ppc64|ppc|s390x?|mips|mips64|mipsn32|sparc|sparc64|m68k|microblaze|openrisc|parisc|parisc64|sh4eb|xtensaeb)$/;

/** An encoder that shares nothing with the one under test. */
function writeIndependently(struct: StructName, abi: Abi, values: Record<string, bigint>): Uint8Array {
  const little = !bigEndian.test(abi.name);
  const order = [...declared[struct]];
  if (struct === 'iocb' && !little) order.splice(1, 2, ['aio_rw_flags', 4], ['aio_key', 4]);
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [name, fixed] of order) {
    const size = fixed || wordBytes(struct, name, abi);
    const value = values[name] ?? 0n;
    if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), little);
    else if (size === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), little);
    else view.setUint16(at, Number(BigInt.asUintN(16, value)), little);
    at += size;
  }
  return bytes.subarray(0, struct === 'timespec' && abi.name === 'x32' ? 16 : at);
}

describe('encoding and decoding', () => {
  it('gives back what was encoded, on every ABI', () => {
    fc.assert(
      fc.property(recordArbitrary, ({ struct, abi, values }) => {
        const bytes = encode(struct, values as AnyInput, abi.name);
        expect(asBigints(decode(struct, bytes, abi.name))).toEqual(values);
      }),
      { numRuns: 5000 },
    );
  });

  it('agrees with a DataView that another description drives', () => {
    fc.assert(
      fc.property(recordArbitrary, ({ struct, abi, values }) => {
        expect(encode(struct, values as AnyInput, abi.name)).toEqual(writeIndependently(struct, abi, values));
      }),
      { numRuns: 5000 },
    );
  });

  it('takes safe integers as it takes bigints', () => {
    const numbers = fc.record({
      aio_data: fc.maxSafeNat(),
      aio_offset: fc.integer(),
      aio_rw_flags: fc.integer(),
      aio_nbytes: fc.maxSafeNat(),
    });
    fc.assert(
      fc.property(numbers, fc.constantFrom(...abis), (iocb, { name }) => {
        const exact = Object.fromEntries(Object.entries(iocb).map(([field, value]) => [field, BigInt(value)]));
        expect(encode('iocb', iocb, name)).toEqual(encode('iocb', exact, name));
      }),
    );
  });

  it('refuses every field that is out of range, whichever it is', () => {
    for (const struct of structs) {
      for (const { name: abi } of abis) {
        for (const field of layoutOf(struct, abi).fields) {
          const [min, max] = range(field);
          for (const value of [
            min - 1n,
            max + 1n,
            1n << 64n,
            -(1n << 64n),
            2 ** 53,
            0.5,
            Number.NaN,
            Number.POSITIVE_INFINITY,
          ]) {
            let thrown: unknown;
            try {
              encode(struct, { [field.name]: value } as AnyInput, abi);
            } catch (error) {
              thrown = error;
            }
            if ((thrown as { code?: string } | undefined)?.code !== 'ERR_OUT_OF_RANGE') {
              expect.fail(`${struct}.${field.name} took ${value} on ${abi}`);
            }
            if (!(thrown as Error).message.includes(`${struct}.${field.name}`)) expect.fail(`${thrown}`);
          }
        }
      }
    }
  });

  it('decodes a million random byte strings, and says no to the wrong lengths', () => {
    // A generator of its own: fast-check would spend more time on the bytes than the decoder.
    let state = 0x2545f491;
    const random = (): number => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return state >>> 0;
    };
    const pool = Uint8Array.from({ length: 1 << 16 }, random);
    let decoded = 0;
    let refused = 0;
    for (let i = 0; i < 1_000_000; i++) {
      const struct = structs[random() % structs.length]!;
      const abi = abis[random() % abis.length]!.name;
      const { size } = layoutOf(struct, abi);
      const length = random() % 8 === 0 ? random() % 130 : size;
      const from = random() % (pool.length - 130);
      const bytes = pool.subarray(from, from + length);
      try {
        const record = decode(struct, bytes, abi);
        // What comes out must be all that went in: nothing was lost on the way.
        if (i % 64 === 0) expect(decode(struct, encode(struct, record, abi), abi)).toEqual(record);
        if (i % 16 === 0) explain(struct, bytes, abi);
        decoded++;
      } catch (error) {
        if (length === size || (error as { code?: string }).code !== 'ERR_OUT_OF_RANGE') throw error;
        refused++;
      }
    }
    expect(decoded + refused).toBe(1_000_000);
    expect(refused).toBeGreaterThan(100_000);
  }, 120_000);
});
