// What goes wrong in the storage reaches the one request that it happened to, as a system error that names it.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import {
  deviceSkip,
  fullDeviceSkip,
  withFullDevice,
  withFullDeviceFileSystem,
  withTruncatedDevice,
} from '../support/devices.ts';
import { fuseSkip, withFuse } from '../support/fuse.ts';
import { mount, mountSkip, temporaryFolder } from '../support/mounts.ts';
import { scratchFolder } from '../support/scratch.ts';
import { undoing } from '../support/undo.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const [EIO, ENOSPC] = [5, 28];

const folder = scratchFolder();
let context: AioContext;

beforeAll(() => {
  writeFileSync(`${folder}/full`, Buffer.alloc(64 * KIBIBYTE, 'x'));
  context = new AioContext();
});
afterAll(async () => {
  await context.close();
});

function need(test: TestContext, reason: string | false): void {
  test.skip(reason !== false, String(reason));
}

/** Reads so many pieces at once: what each gave, or the error's code. */
async function readPieces(path: string, count: number, bytes: number): Promise<(number | string)[]> {
  await using file = await context.open(path, 'r');
  const buffers = Array.from({ length: count }, () => context.allocate(bytes));
  const settled = await Promise.allSettled(buffers.map((buffer, at) => file.read(buffer, 0, bytes, at * bytes)));
  for (const buffer of buffers) buffer[Symbol.dispose]();
  return settled.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.bytesRead : outcome.reason.code));
}

/** Writes pieces one after another until one fails, and returns that error. */
async function writeUntilFull(path: string, flags: string): Promise<unknown> {
  await using file = await context.open(path, flags);
  using buffer = context.allocate(256 * KIBIBYTE);
  for (let at = 0; at < 64 * MEBIBYTE; at += buffer.length) {
    try {
      await file.write(buffer, 0, buffer.length, at);
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

describe('no room', () => {
  test('a full device rejects the write with ENOSPC, naming path and place', async (t) => {
    need(t, fullDeviceSkip());
    await withFullDevice(async (device) => {
      const error = await writeUntilFull(device, 'r+');
      expect(error).toMatchObject({ code: 'ENOSPC', errno: -ENOSPC, syscall: 'write', path: device });
      expect(error).toMatchObject({ offset: expect.any(Number), length: 256 * KIBIBYTE });
    });
  });

  test('a full file system rejects the write with ENOSPC, and what was written before is there', async (t) => {
    need(t, fullDeviceSkip());
    await withFullDeviceFileSystem(async (dir) => {
      const path = `${dir}/a`;
      expect(await writeUntilFull(path, 'w+')).toMatchObject({ code: 'ENOSPC', syscall: 'write', path });
    });
  });
});

describe('broken storage', () => {
  test('a read of a broken block fails alone', async (t) => {
    need(t, deviceSkip());
    await withTruncatedDevice(async (device) => {
      expect(await readPieces(device, 16, 256 * KIBIBYTE)).toEqual([
        ...Array.from({ length: 8 }, () => 256 * KIBIBYTE),
        ...Array.from({ length: 8 }, () => 'EIO'),
      ]);
    });
  });

  test('a large read over a broken block gives what is before it, as a single request would', async (t) => {
    need(t, deviceSkip());
    await withTruncatedDevice(async (device) => {
      await using file = await context.open(device, 'r');
      using buffer = context.allocate(4 * MEBIBYTE);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
      expect(bytesRead).toBe(2 * MEBIBYTE);
      await expect(file.read(buffer, 0, MEBIBYTE, 2 * MEBIBYTE)).rejects.toMatchObject({
        code: 'EIO',
        errno: -EIO,
        syscall: 'read',
        path: device,
        offset: 2 * MEBIBYTE,
        length: MEBIBYTE,
      });
    });
  });

  test('a failing read, write and sync on FUSE reject with the errno of the file system', async (t) => {
    need(t, fuseSkip());
    await withFuse(async ({ dir, setRules }) => {
      copyFileSync(`${folder}/full`, `${dir}/a`);
      setRules((['read', 'write', 'fsync'] as const).map((operation) => ({ operation, errno: EIO })));
      await using file = await context.open(`${dir}/a`, 'r+');
      using buffer = context.allocate(4096);
      const about = { code: 'EIO', errno: -EIO, path: `${dir}/a` };
      await expect(file.read(buffer, 0, 4096, 0)).rejects.toMatchObject({ ...about, syscall: 'read' });
      await expect(file.write(buffer, 0, 4096, 0)).rejects.toMatchObject({ ...about, syscall: 'write' });
      await expect(file.sync()).rejects.toMatchObject({ ...about, syscall: 'fsync' });
      setRules([]);
      expect(await file.read(buffer, 0, 4096, 0)).toMatchObject({ bytesRead: 4096 });
    });
  });

  test('a file system that dies fails its requests, and nobody waits for ever', async (t) => {
    need(t, fuseSkip());
    await withFuse(async ({ dir, pid, setRules }) => {
      copyFileSync(`${folder}/full`, `${dir}/a`);
      setRules([{ operation: 'read', delayMs: 60_000 }]);
      const file = await context.open(`${dir}/a`, 'r');
      const buffers = Array.from({ length: 8 }, () => context.allocate(4096));
      const reads = Promise.allSettled(buffers.map((buffer, at) => file.read(buffer, 0, 4096, at * 4096)));
      setTimeout(() => process.kill(pid, 'SIGKILL'), 100);
      for (const outcome of await reads)
        expect(outcome).toMatchObject({ status: 'rejected', reason: { syscall: 'read' } });
      await file.close();
      for (const buffer of buffers) buffer[Symbol.dispose]();
    });
  });
});

describe('short transfers', () => {
  test('a short read is a short read', async (t) => {
    need(t, fuseSkip());
    await withFuse(async ({ dir, setRules }) => {
      copyFileSync(`${folder}/full`, `${dir}/a`);
      setRules([
        { operation: 'open', directIo: true },
        { operation: 'read', maxBytes: 1000 },
      ]);
      await using file = await context.open(`${dir}/a`, 'r');
      using buffer = context.allocate(4096);
      expect(await file.read(buffer, 0, 4096, 0)).toMatchObject({ bytesRead: 1000 });
      expect(buffer.subarray(0, 1000).equals(Buffer.alloc(1000, 'x'))).toBe(true);
    });
  });
});

describe('no direct I/O', () => {
  test("a file system without O_DIRECT is refused, or with 'auto' goes through the page cache", async (t) => {
    need(t, mountSkip());
    await undoing(async (later) => {
      const dir = `${temporaryFolder(later)}/mounted`;
      mkdirSync(dir);
      mount(later, 'ramfs', 'kaio', dir);
      const path = `${dir}/a`;
      await expect(context.open(path, 'w+')).rejects.toMatchObject({ code: 'ERR_AIO_DIRECT_UNSUPPORTED' });
      await using file = await context.open(path, 'w+', { direct: 'auto' });
      expect(file.direct).toBe(false);
      using buffer = context.allocate(4096);
      buffer.fill('y');
      expect(await file.write(buffer, 0, 4096, 0)).toMatchObject({ bytesWritten: 4096 });
      expect(readFileSync(path).equals(buffer)).toBe(true);
    });
  });
});
