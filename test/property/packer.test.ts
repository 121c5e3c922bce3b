import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { instantiatePacker, type Packer } from '../../src/layout/packer.ts';

const DEPTH = 16;
const IOVECS = 32;
const CONTROL = 0x7f12_3456_0000n;
const POOL = 0x7f65_4321_0000n;
const RESFD = 77;

const debug = new Uint8Array(readFileSync(new URL('../../src/layout/generated/packer.debug.wasm', import.meta.url)));

function packerOf(build: string, swap: boolean): { packer: Packer; view: DataView; memory: ArrayBuffer } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const packer = instantiatePacker(memory, build === 'debug' ? debug : undefined);
  packer.init(DEPTH, IOVECS, CONTROL, POOL, RESFD, swap ? 1 : 0);
  return { packer, view: new DataView(memory.buffer), memory: memory.buffer };
}

const request = fc.record({
  index: fc.nat(DEPTH - 1),
  slot: fc.nat(DEPTH - 1),
  opcode: fc.constantFrom(0, 1, 2, 3, 5, 7, 8),
  fd: fc.integer({ min: 0, max: 0x7fffffff }),
  buffer: fc.nat(0xffffffff),
  nbytes: fc.nat(0xffffffff),
  position: fc.maxSafeNat(),
  rwFlags: fc.nat(0xffffffff),
  reqprio: fc.integer({ min: -32768, max: 32767 }),
  flags: fc.constantFrom(0, 2),
});
type Fields = typeof request extends fc.Arbitrary<infer T> ? T : never;

/** What the kernel's header says the bytes must be, written by hand from <linux/aio_abi.h>. */
function expected(fields: Fields, little: boolean, iovecsAt: bigint): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(64));
  const { slot, opcode, fd, buffer, nbytes, position, rwFlags, reqprio, flags } = fields;
  bytes.setBigUint64(0, (1n << 32n) | BigInt(slot), little);
  bytes.setUint32(little ? 8 : 12, 0, little);
  bytes.setUint32(little ? 12 : 8, rwFlags, little);
  bytes.setUint16(16, opcode, little);
  bytes.setInt16(18, reqprio, little);
  bytes.setUint32(20, fd, little);
  const plain = opcode === 0 || opcode === 1;
  const vectored = opcode === 7 || opcode === 8;
  bytes.setBigUint64(
    24,
    plain ? POOL + BigInt(buffer) : vectored ? iovecsAt + BigInt(buffer) * 16n : BigInt(buffer),
    little,
  );
  bytes.setBigUint64(32, BigInt(nbytes), little);
  bytes.setBigInt64(40, BigInt(position), little);
  bytes.setUint32(56, flags, little);
  bytes.setUint32(60, RESFD, little);
  return new Uint8Array(bytes.buffer);
}

describe.each(['debug', 'release'])('the packer, %s build', (build) => {
  test.each([
    ['little', false],
    ['big', true],
  ])('writes every request as a writer of its own does, %s-endian', (_name, swap) => {
    const { packer, view, memory } = packerOf(build, swap);
    const iovecsAt =
      CONTROL + BigInt((packer.completionsAt(DEPTH) + DEPTH * packer.completion_words.value * 4 + 15) & ~15);
    fc.assert(
      fc.property(request, (fields) => {
        const { index, slot, opcode, fd, buffer, nbytes, position, rwFlags, reqprio, flags } = fields;
        packer.pack(index, slot, opcode, fd, buffer, nbytes, position, rwFlags, reqprio, flags);
        const pointer = view.getBigUint64(packer.pointersAt(DEPTH) + index * 8, !swap);
        const at = Number(pointer - CONTROL);
        expect(new Uint8Array(memory, at, 64)).toEqual(expected(fields, !swap, iovecsAt));
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['little', false],
    ['big', true],
  ])('decodes the events of requests once, and no others, %s-endian', (_name, swap) => {
    const { packer, view, memory } = packerOf(build, swap);
    const results = fc.array(fc.record({ slot: fc.nat(DEPTH - 1), res: fc.integer(), stale: fc.boolean() }), {
      maxLength: DEPTH,
    });
    const typed = new Int32Array(memory, packer.completionsAt(DEPTH));
    fc.assert(
      fc.property(results, (events) => {
        const wanted: number[][] = [];
        let good = true;
        for (const [i, { slot, res, stale }] of events.entries()) {
          packer.pack(0, slot, 0, 1, 0, 1, 0, 0, 0, 0);
          const obj = view.getBigUint64(packer.pointersAt(DEPTH), !swap);
          const data = view.getBigUint64(Number(obj - CONTROL), !swap);
          const at = packer.eventsAt(DEPTH) + i * 32;
          view.setBigUint64(at, stale ? data + (7n << 40n) : data, !swap);
          view.setBigUint64(at + 8, obj, !swap);
          view.setBigInt64(at + 16, BigInt(res), !swap);
          view.setBigInt64(at + 24, 0n, !swap);
          // A second event of the same request in one batch is as wrong as a stale one.
          if (stale || events.slice(0, i).some((other) => other.slot === slot)) good = false;
          if (good) wanted.push([slot, res, 0]);
        }
        expect(packer.decode(events.length)).toBe(wanted.length);
        const words = (at: number): number =>
          swap ? new DataView(memory).getInt32(typed.byteOffset + at * 4, false) : typed[at]!;
        const decoded = wanted.map((_, i) => [words(i * 3), words(i * 3 + 1), words(i * 3 + 2)]);
        expect(decoded).toEqual(wanted);
      }),
      { numRuns: 500 },
    );
  });

  test('a position beyond 2^52 is exact, and a result beyond 32 bits is not mistaken for a small one', () => {
    const { packer, view } = packerOf(build, false);
    packer.pack(0, 3, 0, 1, 0, 1, Number.MAX_SAFE_INTEGER, 0, 0, 0);
    const at = Number(view.getBigUint64(packer.pointersAt(DEPTH), true) - CONTROL);
    expect(view.getBigInt64(at + 40, true)).toBe(2n ** 53n - 1n);
    const event = packer.eventsAt(DEPTH);
    view.setBigUint64(event, view.getBigUint64(at, true), true);
    view.setBigUint64(event + 8, CONTROL + BigInt(at), true);
    view.setBigInt64(event + 16, 2n ** 32n + 5n, true);
    expect(packer.decode(1)).toBe(1);
    expect(view.getInt32(packer.completionsAt(DEPTH) + 4, true)).toBe(-(2 ** 31));
  });

  test('iovecs are 16 bytes each, with the pool address', () => {
    const { packer, view } = packerOf(build, false);
    packer.vector(5, 4096, 512);
    packer.pack(0, 0, 7, 1, 5, 1, 0, 0, 0, 0);
    const iocb = Number(view.getBigUint64(packer.pointersAt(DEPTH), true) - CONTROL);
    const iovec = Number(view.getBigUint64(iocb + 24, true) - CONTROL);
    expect(view.getBigUint64(iovec, true)).toBe(POOL + 4096n);
    expect(view.getBigUint64(iovec + 8, true)).toBe(512n);
    expect(packer.controlBytes(DEPTH, IOVECS)).toBeGreaterThanOrEqual(iovec + 16);
  });
});
