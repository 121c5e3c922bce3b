import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { support } from '../../src/index.ts';
import {
  abiOf,
  decode,
  decodeIoEvents,
  encode,
  encodeAll,
  encodeBatch,
  IOCB_CMD_PREADV,
  IOCB_CMD_PWRITEV,
} from '../../src/layout/index.ts';
import { Arena, io_destroy, io_getevents, io_pgetevents, io_setup, io_submit, readRing } from '../../src/raw/index.ts';

const found = support();
const reason = found.supported ? undefined : found.message;
let folder = '';
let context = 0n;
let arena: Arena;
let memory: Buffer;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kaio-layout-kernel-'));
  if (reason !== undefined) return;
  context = io_setup(16);
  arena = new Arena(65536);
  memory = Buffer.from(arena.buffer);
});
afterAll(() => {
  if (reason === undefined) io_destroy(context);
  rmSync(folder, { recursive: true });
});

/** Puts bytes into memory that does not move; their address. */
function place(bytes: Uint8Array, at: number): bigint {
  memory.set(bytes, at);
  return arena.address + BigInt(at);
}

function errno(call: () => unknown): number {
  try {
    call();
  } catch (error) {
    return (error as { errno: number }).errno;
  }
  return 0;
}

describe('a running kernel', () => {
  it('has its ring where aio_ring says', ({ skip }) => {
    skip(reason !== undefined, reason);
    const bytes = new Uint8Array(32);
    const self = openSync('/proc/self/mem', 'r');
    readSync(self, bytes, 0, 32, context);
    closeSync(self);
    const ring = decode('aio_ring', bytes);
    expect(ring).toEqual(readRing(context));
    expect(ring).toMatchObject({ magic: 0xa10a10a1, header_length: 32, head: 0, tail: 0 });
    expect(ring.nr).toBeGreaterThanOrEqual(16);
  });

  it('follows the iovecs, iocbs and pointers, and leaves events that decode', ({ skip }) => {
    skip(reason !== undefined, reason);
    const fd = openSync(join(folder, 'file'), 'w+');
    place(Buffer.from('forward back'), 8192);
    const iovecs = encodeAll('iovec', [
      { iov_base: arena.address + 8192n + 8n, iov_len: 4 },
      { iov_base: arena.address + 8192n + 7n, iov_len: 1 },
      { iov_base: arena.address + 8192n, iov_len: 7 },
    ]);
    const table = place(iovecs, 4096);
    const request = { aio_fildes: fd, aio_buf: table, aio_nbytes: 3, aio_offset: 5, aio_data: 2n ** 64n - 7n };
    const submit = (aio_lio_opcode: number): ReturnType<typeof decodeIoEvents> => {
      const { iocbs, pointers } = encodeBatch([{ ...request, aio_lio_opcode }], arena.address + 1024n);
      place(iocbs, 1024);
      expect(io_submit(context, 1, place(pointers, 2048))).toBe(1);
      expect(io_getevents(context, 1, 1, arena.address + 12288n)).toBe(1);
      return decodeIoEvents(memory.subarray(12288, 12288 + 32));
    };
    const event = { data: 2n ** 64n - 7n, obj: arena.address + 1024n, res: 12n, res2: 0n };
    expect(submit(IOCB_CMD_PWRITEV)).toEqual([event]);
    expect(readFileSync(join(folder, 'file'), 'latin1')).toBe('\0\0\0\0\0back forward');
    memory.fill(0, 8192, 8204);
    expect(submit(IOCB_CMD_PREADV)).toEqual([event]);
    expect(memory.toString('latin1', 8192, 8204)).toBe('forward back');
    closeSync(fd);
  });

  it('waits as long as timespec says', ({ skip }) => {
    skip(reason !== undefined, reason);
    const timeout = place(encode('timespec', { tv_nsec: 30_000_000 }), 4096);
    const start = performance.now();
    expect(io_getevents(context, 1, 1, arena.address + 12288n, timeout)).toBe(0);
    expect(performance.now() - start).toBeGreaterThan(29);
  });

  it('takes the signal mask that aio_sigset points to, and only with the size of the ABI', ({ skip }) => {
    skip(reason !== undefined, reason);
    const { sigsetBytes } = abiOf();
    const pgetevents = (sigsetsize: number): number => {
      const usig = place(encode('aio_sigset', { sigmask: arena.address + 8192n, sigsetsize }), 4096);
      return errno(() => io_pgetevents(context, 0, 1, arena.address + 12288n, { tv_sec: 0, tv_nsec: 0 }, usig));
    };
    expect(pgetevents(sigsetBytes)).toBe(0);
    expect(pgetevents(sigsetBytes * 2)).toBe(-22);
  });
});
