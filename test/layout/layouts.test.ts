import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import * as layout from '../../src/layout/index.ts';
import { fixed, Small } from '../support/views.ts';

const { abiOf, abis, constantOn, constants, diffLayouts, encode, hostAbi, layoutOf, structs } = layout;

function offsets(struct: layout.StructName, abi: layout.AbiName): Record<string, number> {
  return Object.fromEntries(layoutOf(struct, abi).fields.map(({ name, offset }) => [name, offset]));
}

describe('layoutOf', () => {
  it('has the iocb where <linux/aio_abi.h> puts it', () => {
    expect(layoutOf('iocb', 'x86_64')).toMatchObject({ name: 'iocb', abi: 'x86_64', size: 64, align: 8 });
    expect(offsets('iocb', 'x86_64')).toEqual({
      aio_data: 0,
      aio_key: 8,
      aio_rw_flags: 12,
      aio_lio_opcode: 16,
      aio_reqprio: 18,
      aio_fildes: 20,
      aio_buf: 24,
      aio_nbytes: 32,
      aio_offset: 40,
      aio_reserved2: 48,
      aio_flags: 56,
      aio_resfd: 60,
    });
  });

  it('swaps aio_key and aio_rw_flags on a big-endian ABI, and nothing else', () => {
    expect(diffLayouts('iocb', 'x86_64', 's390x')).toEqual([
      { what: 'byteOrder', a: 'little', b: 'big' },
      { what: 'aio_key.offset', a: 8, b: 12 },
      { what: 'aio_rw_flags.offset', a: 12, b: 8 },
    ]);
  });

  it('keeps every offset of the 64-bit structures where integers are aligned to less', () => {
    expect(diffLayouts('iocb', 'x86_64', 'i386')).toEqual([{ what: 'align', a: 8, b: 4 }]);
    expect(diffLayouts('io_event', 's390x', 'm68k')).toEqual([{ what: 'align', a: 8, b: 2 }]);
  });

  it('follows the words of the ABI', () => {
    expect(offsets('iovec', 'riscv64')).toEqual({ iov_base: 0, iov_len: 8 });
    expect(offsets('iovec', 'riscv32')).toEqual({ iov_base: 0, iov_len: 4 });
    expect(layoutOf('timespec', 'arm').size).toBe(8);
    expect(layoutOf('timespec64', 'arm').size).toBe(16);
    expect(layoutOf('aio_context_t', 'mipsn32').size).toBe(4);
  });

  it('knows what is particular about x32', () => {
    expect(layoutOf('timespec', 'x32')).toMatchObject({ size: 16, fields: [{ size: 8 }, { size: 4 }] });
    expect(layoutOf('aio_sigset', 'x32').size).toBe(16);
    expect(layoutOf('iovec', 'x32').size).toBe(8);
    expect(layoutOf('aio_context_t', 'x32').size).toBe(8);
  });

  it('takes the host where no ABI is named', () => {
    expect(layoutOf('iocb')).toEqual(layoutOf('iocb', hostAbi));
  });

  it('names the ABIs and structures that there are when asked for another', () => {
    expect(() => layoutOf('iocb', 'vax' as layout.AbiName)).toThrow(/"abi" argument must be one of x86_64, .*'vax'/);
    expect(() => layoutOf('kiocb' as layout.StructName)).toThrow(/"struct" argument must be one of iocb, .*'kiocb'/);
    expect(() => layoutOf(7 as unknown as layout.StructName)).toThrow(/of type string/);
  });

  it('hands out descriptions that change nothing when changed', () => {
    const mine = layoutOf('iocb') as unknown as { size: number; fields: { offset: number }[] };
    mine.size = 1;
    mine.fields[0]!.offset = 99;
    expect(layoutOf('iocb').fields[0]!.offset).toBe(0);
  });
});

describe('the system calls', () => {
  it('have the numbers of the kernel', () => {
    expect(abiOf('x86_64').calls).toEqual({
      io_setup: 206,
      io_destroy: 207,
      io_getevents: 208,
      io_submit: 209,
      io_cancel: 210,
      io_pgetevents: 333,
      io_pgetevents_time64: undefined,
    });
    expect(abiOf('x32').calls).toMatchObject({ io_setup: 0x40000000 + 543, io_submit: 0x40000000 + 544 });
    expect(abiOf('mips').calls.io_pgetevents_time64).toBe(4416);
  });

  it('lack those with a 32-bit time where the ABI is younger than Linux 5.1', () => {
    expect(abiOf('riscv32').calls).toMatchObject({
      io_getevents: undefined,
      io_pgetevents: undefined,
      io_pgetevents_time64: 416,
    });
  });

  it('have io_pgetevents_time64 on exactly the 32-bit ABIs', () => {
    for (const { name, wordBytes, calls } of abis) {
      expect(calls.io_pgetevents_time64 !== undefined, name).toBe(wordBytes === 4 && name !== 'x32');
    }
  });
});

describe('the constants', () => {
  it('are all in the catalogue, each once', () => {
    const exported = Object.keys(layout).filter((name) => /^[A-Z]/.test(name));
    expect(constants.map(({ name }) => name).sort()).toEqual(exported.sort());
  });

  it('say what the kernel answers wherever it does not simply accept', () => {
    for (const { name, aio, answer } of constants) {
      if (aio === 'refused' || aio === 'depends') expect(answer, name).toMatch(/E[A-Z]+/);
    }
  });

  it('differ where the architecture has a poll.h of its own', () => {
    expect(constantOn('POLLWRBAND', 'mips')).toBe(0x100);
    expect(constantOn('POLLRDHUP', 'sparc64')).toBe(0x800);
    expect(constantOn('POLLRDHUP', 'x86_64')).toBe(0x2000);
  });
});

describe('encode', () => {
  it('refuses what it does not know, rather than leave it out', () => {
    expect(() => encode('iocb', { aio_lio_opcod: 1 } as object)).toThrow(
      /no other fields than aio_data.*'aio_lio_opcod'/,
    );
    expect(() => encode('iocb', null as unknown as object)).toThrow(/must be an object/);
    expect(() => encode('iocb', { aio_data: '1' as unknown as number })).toThrow(
      /iocb\.aio_data.*bigint or a safe integer/,
    );
  });

  it('says which field, which range and which value', () => {
    expect(() => encode('iovec', { iov_base: 2n ** 32n }, 'i386')).toThrow(
      'The value of "iovec.iov_base" is out of range. It must be >= 0 and <= 4294967295 (unsigned, 4 bytes on i386). Received 4294967296n',
    );
  });

  it('writes zeros into padding', () => {
    encode('iocb', { aio_nbytes: -1n + 2n ** 64n, aio_data: 2n ** 64n - 1n, aio_key: 0xffffffff }, 'x32');
    expect([...encode('timespec', { tv_nsec: -1 }, 'x32').subarray(8)]).toEqual([255, 255, 255, 255, 0, 0, 0, 0]);
  });

  it('leaves nothing behind of a record that it refused', () => {
    expect(() => layout.encodeAll('iocb', [{ aio_data: 1 }, { aio_key: -1 }])).toThrow(RangeError);
    expect([...encode('iocb', {})].every((byte) => byte === 0)).toBe(true);
  });
});

describe('batches', () => {
  it('point at their iocbs with the pointers of the ABI', () => {
    const iocbs = [{ aio_data: 1 }, { aio_data: 2 }, { aio_data: 3 }];
    const { iocbs: bytes, pointers } = layout.encodeBatch(iocbs, 0x10000, 'ppc');
    expect(layout.decodeAll('iocb', bytes, 'ppc').map(({ aio_data }) => aio_data)).toEqual([1n, 2n, 3n]);
    expect([...pointers]).toEqual([0, 1, 0, 0, 0, 1, 0, 64, 0, 1, 0, 128]);
  });

  it('do not point where a pointer does not reach', () => {
    expect(() => layout.encodeBatch([{}, {}], 0xffffffff - 63, 'i386')).toThrow(/iocbp\.iocbp/);
    expect(() => layout.encodeBatch([{}], 2 ** 60)).toThrow(/address/);
  });

  it('decode events only in whole', () => {
    expect(layout.decodeIoEvents(new Uint8Array(64))).toHaveLength(2);
    expect(() => layout.decodeIoEvents(new Uint8Array(63))).toThrow(/multiple of 32/);
    expect(() => layout.decodeIocb(new Uint8Array(65))).toThrow(/It must be 64/);
    expect(() => layout.decodeIocb('00' as unknown as ArrayBuffer)).toThrow(TypeError);
  });

  it('decode views of any kind, wherever they begin', () => {
    const bytes = new Uint8Array(96);
    bytes.set(layout.encodeIoEvent({ data: 7, res: -5 }, 's390x'), 24);
    expect(layout.decodeIoEvent(new DataView(bytes.buffer, 24, 32), 's390x')).toEqual({
      data: 7n,
      obj: 0n,
      res: -5n,
      res2: 0n,
    });
  });
});

describe('a view that is not what it says', () => {
  /** `decode` of the event's bytes in it would give others, were its own properties or its constructor asked. */
  const event = { data: 1n, obj: 2n, res: -3n, res2: 4n };
  const bytes = layout.encodeIoEvent(event);
  const Key = fixed(32);
  const filled = (view: Uint8Array): Uint8Array => {
    view.set(bytes);
    return view;
  };
  const forged = (view: ArrayBufferView): ArrayBufferView =>
    Object.defineProperties(view, {
      buffer: { value: new ArrayBuffer(96) },
      byteOffset: { value: 32 },
      byteLength: { value: 64 },
      length: { get: () => 64 },
    });

  it.each<[string, ArrayBuffer | ArrayBufferView]>([
    ['a subclass whose constructor takes nothing', filled(new Key())],
    ['a subclass whose constructor throws', filled(new Small(32))],
    ['a Uint8Array with properties of its own', forged(filled(new Uint8Array(32)))],
    ['a DataView with properties of its own', forged(new DataView(filled(new Uint8Array(32)).buffer))],
    ['an ArrayBuffer of another realm', runInNewContext('new Uint8Array(bytes).buffer', { bytes })],
    ['a view of another realm', runInNewContext('new Uint8Array(bytes)', { bytes })],
    ['a DataView of another realm', runInNewContext('new DataView(new Uint8Array(bytes).buffer)', { bytes })],
  ])('decodes as what it is: %s', (_name, view) => {
    expect(layout.decodeIoEvent(view)).toEqual(event);
    expect(layout.decodeIoEvents(view)).toEqual([event]);
    expect(layout.decodeAll('io_event', view)).toEqual([event]);
    expect(() => layout.decodeIocb(view)).toThrow(/It must be 64/);
  });
});

describe('structs', () => {
  it('are those of the contract', () => {
    expect(structs).toEqual(
      expect.arrayContaining(['iocb', 'io_event', 'aio_ring', 'iovec', 'timespec', 'aio_sigset']),
    );
  });
});
