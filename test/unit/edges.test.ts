// Direct I/O at any offset and of any length: what the device cannot begin or end at is read around, or written through the page cache,
// apart from the direct writes beside it.
import { chmodSync, closeSync, promises as fs, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { AioContext, type AioFile } from '../../src/index.ts';
import { directSkip } from '../support/direct.ts';
import { fileSystemMagic } from '../support/mounts.ts';
import { asNobody } from '../support/nobody.ts';
import { outcomeOf } from '../support/outcome.ts';
import { openDescriptors } from '../support/proc.ts';
import { Random } from '../support/random.ts';
import { place, scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
const BYTES = 300_001;
const content = Buffer.alloc(BYTES);
new Random(6).fill(content);

const context = new AioContext({ memory: 16 << 20 });
const other = new AioContext({ memory: 1 << 20 });
afterAll(() => Promise.all([context.close(), other.close()]));
beforeEach(() => writeFileSync(path, content));

const TMPFS_MAGIC = 0x01021994;
/** In memory direct I/O begins and ends anywhere. */
const direct = describe.skipIf(directSkip() !== false || fileSystemMagic(place) === TMPFS_MAGIC);
const open = (flags = 'r+', which = context): Promise<AioFile> => which.open(path, flags);

/** Numbers from 0 on, in a random order. */
function shuffled(count: number): number[] {
  const random = new Random(7);
  const keys = new Map(Array.from({ length: count }, (_, i) => [i, random.below(2 ** 30)]));
  return [...keys.keys()].sort((a, b) => keys.get(a)! - keys.get(b)!);
}

direct('a read', () => {
  test.each([
    [0, 1],
    [1, 1],
    [511, 2],
    [4095, 4098],
    [512, 700],
    [7, 299_000],
    [BYTES - 1, 1],
    [BYTES - 1, 100],
    [BYTES, 10],
    [BYTES + 7777, 10],
    [100, 0],
    [299_999, 1_000_000],
  ])('at %d of %d bytes gives these and no others', async (at, length) => {
    const file = await open('r');
    const expected = content.subarray(at, at + length);
    using pool = context.allocate(length + 16);
    for (const memory of [Buffer.alloc(length + 16), pool]) {
      memory.fill(9);
      const { bytesRead } = await file.read(memory, 8, length, at);
      expect(bytesRead).toBe(expected.length);
      expect(memory.subarray(8, 8 + bytesRead).equals(expected)).toBe(true);
      expect(memory.subarray(0, 8).every((byte) => byte === 9)).toBe(true);
      expect(memory.subarray(8 + bytesRead).every((byte) => byte === 9)).toBe(true);
    }
    const halves = [Buffer.alloc(Math.floor(length / 3)), Buffer.alloc(length - Math.floor(length / 3))];
    expect((await file.readv(halves, at)).bytesRead).toBe(expected.length);
    expect(Buffer.concat(halves).subarray(0, expected.length).equals(expected)).toBe(true);
    await file.close();
  });

  test('with a callback hears of its own bytes alone', async () => {
    const file = await open('r');
    const memory = Buffer.alloc(100);
    const given = await new Promise<unknown[]>((resolve) => {
      file.read(memory, 0, 100, BYTES - 40, (...args) => resolve(args));
    });
    expect(given).toEqual([null, 40, memory]);
    await file.close();
  });

  test('of memory that went away meanwhile is an error', async () => {
    const file = await open('r');
    const memory = new Uint8Array(5000);
    const reading = outcomeOf(() => file.read(memory, 0, 5000, 3));
    structuredClone(memory.buffer, { transfer: [memory.buffer] });
    expect(await reading).toBe('EFAULT');
    await file.close();
  });
});

direct('a write', () => {
  test('of single bytes side by side, by several files of several contexts at once, loses none of them', async () => {
    const files = await Promise.all([open(), open(), open('r+', other)]);
    const bytes = Buffer.from(content);
    const length = 1500;
    const writes = shuffled(length).map((i) => {
      bytes[10_000 + i] = i % 251;
      return files[i % 3]!.write(Buffer.from([i % 251]), 0, 1, 10_000 + i);
    });
    const results = await Promise.all(writes);
    expect(results.every(({ bytesWritten }) => bytesWritten === 1)).toBe(true);
    await Promise.all(files.map((file) => file.datasync()));
    expect(readFileSync(path).equals(bytes)).toBe(true);
    await Promise.all(files.map((file) => file.close()));
  });

  test('beside aligned ones in one block loses nothing, and the sync after it does not fail', async () => {
    const files = await Promise.all([open(), open(), open('r+', other)]);
    const unit = files[0]!.alignment.offset;
    const bytes = Buffer.from(content);
    using block = context.allocate(unit).fill('b');
    for (let round = 0; round < 30; round++) {
      const writes = Array.from({ length: 16 }, (_, i) => {
        const at = i * unit;
        if (i % 2 === 0) {
          bytes.fill('b', at, at + unit);
          return files[0]!.write(block, 0, unit, at);
        }
        bytes.fill(round, at + 1, at + unit - 1);
        return files[i % 3]!.write(Buffer.alloc(unit - 2, round), 0, unit - 2, at + 1);
      });
      await Promise.all([...writes, ...files.map((file) => file.datasync())]);
    }
    expect(readFileSync(path).equals(bytes)).toBe(true);
    await Promise.all(files.map((file) => file.close()));
  });

  test('beside a change of the size by another file leaves the sync after it as it should be', async () => {
    const [file, other] = await Promise.all([open(), open()]);
    const unit = file.alignment.offset;
    using block = context.allocate(unit).fill('b');
    for (let round = 0; round < 40; round++) {
      const write = () => file.write(block, 0, unit, 0);
      await Promise.all([
        write(),
        other.truncate(unit + 100 + round),
        write(),
        other.truncate(unit + 3000 + round),
        write(),
      ]);
      await Promise.all([write(), other.preallocate(0, 5000), write()]);
      await file.datasync();
    }
    expect(readFileSync(path).subarray(0, unit).equals(block)).toBe(true);
    await Promise.all([file.close(), other.close()]);
  });

  // What the tests before guard against: it must be able to fail.
  test('beside direct ones in one page that nobody keeps apart makes a sync fail', async ({ skip }) => {
    const file = await open();
    const buffered = await context.open(path, 'r+', { direct: false });
    const unit = file.alignment.offset;
    skip(unit >= 4096, 'a page here is a block');
    using block = context.allocate(unit);
    let failures = 0;
    for (let round = 0; round < 100 && failures === 0; round++) {
      const writes = Array.from({ length: 8 }, (_, i) =>
        i % 2 === 0 ? file.write(block, 0, unit, 0) : buffered.write(Buffer.alloc(unit, round), 0, unit, unit),
      );
      await Promise.all(writes);
      const outcome = await outcomeOf(() => file.datasync());
      if (outcome === 'EIO') failures++;
    }
    await Promise.all([file.close(), buffered.close()]);
    skip(failures === 0, 'this kernel or file system does not do it');
  });

  test('leaves a file exactly as long as it makes it', async () => {
    const file = await open('w+');
    for (const [at, length] of [
      [0, 1],
      [1, 1000],
      [5000, 3],
      [70_000, 4097],
      [200, 5],
    ] as const) {
      await file.write(Buffer.alloc(length, 'x'), 0, length, at);
      expect((await file.stat()).size).toBe(statSync(path).size);
    }
    expect(statSync(path).size).toBe(74_097);
    const expected = Buffer.alloc(74_097);
    for (const [at, end] of [
      [0, 1001],
      [5000, 5003],
      [70_000, 74_097],
    ] as const)
      expected.fill('x', at, end);
    expect(readFileSync(path).equals(expected)).toBe(true);
    await file.close();
  });

  test('of several buffers, a text, or memory of the context lands where it should', async () => {
    const file = await open();
    const bytes = Buffer.from(content);
    using pool = context.allocate(9000).fill('p');
    await file.writev([Buffer.from('abc'), pool, Buffer.from('d')], 4090);
    bytes.fill(Buffer.concat([Buffer.from('abc'), pool, Buffer.from('d')]), 4090, 4090 + 9004);
    await file.write('grün', 77);
    bytes.write('grün', 77);
    await file.write(pool, 100, 8192, 50_001);
    bytes.fill('p', 50_001, 50_001 + 8192);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    await file.close();
  });

  test('is waited for by a sync, a change of size and a close that are asked for later', async () => {
    const file = await open('w+');
    const write = file.write('0123456789', 5);
    const done: string[] = [];
    await Promise.all([
      write.then(() => done.push('written')),
      file.datasync().then(() => done.push('synced')),
      file.truncate(8).then(() => done.push('cut')),
      file.close().then(() => done.push('closed')),
    ]);
    expect(done).toEqual(['written', 'synced', 'cut', 'closed']);
    expect(readFileSync(path, 'latin1')).toBe('\0\0\0\0\x00012');
  });

  test('that was made before its context closes is carried out', async () => {
    const own = new AioContext({ depth: 4, memory: 1 << 20 });
    const file = await open('r+', own);
    const unit = file.alignment.offset;
    const blocks = Array.from({ length: 8 }, (_, i) => file.write(Buffer.alloc(unit, 'a'), 0, unit, i * unit));
    const odd = [file.write('odd', 1), file.write('own'), file.write('position')];
    const [, ...results] = await Promise.all([own.close(), ...blocks, ...odd]);
    expect(results.every(({ bytesWritten }) => bytesWritten > 0)).toBe(true);
    expect(readFileSync(path).subarray(0, 11).toString()).toMatch(/^o(wn|dd)position$/);
  });

  test('that is aborted before its turn changes nothing, and holds nobody up', async () => {
    const file = await open();
    const unit = file.alignment.offset;
    const controller = new AbortController();
    const aligned = file.write(Buffer.alloc(unit, 'a'), 0, unit, 0);
    const odd = outcomeOf(() => file.write(Buffer.from('never'), { position: 3, signal: controller.signal }));
    controller.abort();
    expect(await odd).toBe('ABORT_ERR');
    await aligned;
    await file.write(Buffer.alloc(unit, 'b'), 0, unit, 0);
    await file.drain();
    expect(
      readFileSync(path)
        .subarray(0, unit + 1)
        .toString('latin1'),
    ).toBe('b'.repeat(unit) + content.toString('latin1', unit, unit + 1));
    await file.close();
  });

  test('beside an aligned one that is aborted lands after it', async () => {
    const MIB = 1 << 20;
    const file = await open('w+');
    const large = context.allocate(MIB);
    for (let i = 0; i < 80; i++) {
      const controller = new AbortController();
      const odd = file.write(Buffer.alloc(MIB + 100), 0, MIB + 100, 0);
      for (let ticks = 0; ticks < 4; ticks++) await undefined;
      // It waits for the one before, and the next for it.
      const aligned = outcomeOf(() => file.write(large, { length: MIB, position: 0, signal: controller.signal }));
      for (let ticks = 0; ticks < 3; ticks++) await undefined;
      const last = file.write(Buffer.alloc(100, '2'), 0, 100, MIB - 200);
      await odd;
      for (let turns = i % 8; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      await Promise.all([aligned, last]);
      await file.datasync();
      await file.drain();
      expect(readFileSync(path).toString('latin1', MIB - 200, MIB - 100)).toBe('2'.repeat(100));
    }
    large[Symbol.dispose]();
    await file.close();
  });

  test('that is aborted at any moment is over before what comes later begins', async () => {
    const file = await open();
    const unit = file.alignment.offset;
    for (let i = 0; i < 40; i++) {
      const controller = new AbortController();
      const odd = outcomeOf(() => file.write(Buffer.alloc(100, 'o'), { position: 3, signal: controller.signal }));
      for (let turns = i % 8; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      await file.write(Buffer.alloc(unit, 'd'), 0, unit, 0);
      expect(['ok', 'ABORT_ERR']).toContain(await odd);
      await file.datasync();
      expect(readFileSync(path).subarray(0, unit).toString('latin1')).toBe('d'.repeat(unit));
    }
    await file.close();
  });

  test('with dsync or nowait is made with them', async () => {
    const file = await open();
    await file.write(Buffer.from('durable'), { position: 3, dsync: true });
    const outcome = await outcomeOf(() => file.write(Buffer.from('at once'), { position: 20, nowait: true }));
    // Whether the page cache takes a write without waiting is the file system's to know.
    expect(['ok', 'EAGAIN', 'ENOTSUP']).toContain(outcome);
    expect(readFileSync(path).subarray(3, 10).toString()).toBe('durable');
    await file.close();
  });

  test('to a file that can only be read, or of a descriptor that can, is refused', async () => {
    const file = await open('r');
    await expect(file.write('x', 1)).rejects.toMatchObject({ code: 'EBADF', syscall: 'write', path });
    await file.close();
  });

  test('to a file that may not be opened again says so', async () => {
    const file = await open();
    chmodSync(path, 0o400);
    await asNobody(async () => {
      await expect(file.write('x', 1)).rejects.toMatchObject({
        code: 'ERR_AIO_MISALIGNED',
        message: expect.stringContaining(`multiples of ${file.alignment.offset}`),
        cause: { code: 'EACCES' },
      });
      // What needs no second descriptor goes on.
      expect((await file.read(Buffer.alloc(7), 0, 7, 3)).bytesRead).toBe(7);
    });
    chmodSync(path, 0o644);
    expect((await file.write('x', 1)).bytesWritten).toBe(1);
    await file.close();
    expect(readFileSync(path).length).toBe(BYTES);
  });

  test('to a descriptor that was attached, and whose path is gone, lands in its file', async () => {
    const handle = await fs.open(path, fs.constants.O_RDWR | fs.constants.O_DIRECT);
    const file = await context.attach(handle.fd);
    rmSync(path);
    writeFileSync(path, 'somebody else');
    await file.write('odd', 5);
    expect((await file.read(Buffer.alloc(3), 0, 3, 5)).buffer.toString()).toBe('odd');
    expect(readFileSync(path, 'latin1')).toBe('somebody else');
    await file.close();
    await handle.close();
  });

  test('leaves no descriptor open', async () => {
    closeSync(openSync(path, 'r'));
    const before = openDescriptors();
    const files = await Promise.all([open(), open('a'), open('r+', other)]);
    await Promise.all(files.map((file) => file.write('odd', 1)));
    await Promise.all(files.map((file) => file.close()));
    expect(openDescriptors()).toBe(before);
  });
});

direct('a file that appends', () => {
  test('gets everything at its end in the order of the calls, whatever the lengths', async () => {
    const file = await open('a+');
    const random = new Random(8);
    const unit = file.alignment.offset;
    const pieces = Array.from({ length: 120 }, (_, i) => {
      const length = random.below(3) === 0 ? unit * (1 + random.below(4)) : 1 + random.below(3000);
      return Buffer.alloc(length, i + 1);
    });
    await Promise.all(pieces.map((piece) => file.write(piece)));
    expect(readFileSync(path).equals(Buffer.concat([content, ...pieces]))).toBe(true);
    expect((await file.read(Buffer.alloc(5), 0, 5, 3)).buffer.equals(content.subarray(3, 8))).toBe(true);
    await file.close();
  });

  test('appends directly where it ends at a block', async () => {
    writeFileSync(path, content.subarray(0, 8192));
    const file = await open('a');
    using block = context.allocate(4096).fill('b');
    const before = openDescriptors();
    await Promise.all([file.write(block), file.write(block), file.write(block)]);
    expect(openDescriptors()).toBe(before);
    expect(statSync(path).size).toBe(8192 + 3 * 4096);
    await file.close();
  });
});
