/** Devices that fail, wait, hang, fill up and go away, under kaio. They need a kernel with a device mapper, and its whole machine. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { AioContext, type AioFile } from '../../../src/index.ts';
import { dist, runNode } from '../../support/child.ts';
import { type Later, mount, run, temporaryFolder, unmount } from '../../support/mounts.ts';
import { undoing } from '../../support/undo.ts';
import { BLOCK_BYTES, fill, Ledger, Load, progress } from './ledger.ts';
import { loadModule, Mapped, moduleSkip, newDisk, SECTOR_BYTES, sectorsOf } from './mapper.ts';

/** A disk of the guest that nobody uses. */
const DISK = '/dev/kaio/disk1';
/** How much of it the tests use, in blocks of 4096 bytes. */
const BLOCKS = 1024;
const SECTORS = (BLOCKS * BLOCK_BYTES) / SECTOR_BYTES;
const { KAIO_SEED = '1', KAIO_LOAD = '100' } = process.env;
const seed = Number(KAIO_SEED);
/** Requests between one turn of events and the next. */
const requests = Number(KAIO_LOAD);

const linear = (from = 0, sectors = SECTORS) => `${from} ${sectors} linear ${DISK} ${from}`;
/** Devices in a row: each line of a table begins where the one before ends. */
const table = (...lines: string[]) => lines.join('\n');

interface Bench {
  context: AioContext;
  file: AioFile;
  ledger: Ledger;
  load: Load;
  later: Later;
}

/** Opens a device with a load that has not begun; every sector holds generation 0. */
async function onDevice(
  path: string,
  later: Later,
  use: (bench: Bench) => Promise<void>,
  blocks = BLOCKS,
): Promise<void> {
  await using context = new AioContext({ depth: 64, memory: 32 * 2 ** 20 });
  const file = await context.open(path, 'r+');
  await fill(file, context, blocks);
  const ledger = new Ledger(blocks);
  const load = new Load({ context, file, ledger, seed, concurrency: 32, most: 32 });
  await use({ context, file, ledger, load, later });
  await file.close();
}

const code = (result: PromiseSettledResult<unknown>): string =>
  result.status === 'fulfilled' ? 'done' : ((result.reason as NodeJS.ErrnoException).code ?? String(result.reason));

/** Reads every block with a request of its own, all in one turn, so that the kernel merges neighbours; how each ended. */
async function readEach({ context, file, ledger }: Bench): Promise<string[]> {
  const outcomes: string[] = [];
  for (let first = 0; first < ledger.blocks; first += 64) {
    const buffers = Array.from({ length: 64 }, () => context.allocate(BLOCK_BYTES));
    const results = await Promise.allSettled(
      buffers.map((buffer, at) => file.read(buffer, 0, BLOCK_BYTES, (first + at) * BLOCK_BYTES)),
    );
    for (const [at, result] of results.entries()) {
      if (result.status === 'fulfilled') ledger.check(first + at, buffers[at]!, 'a read');
      buffers[at]![Symbol.dispose]();
      outcomes.push(code(result));
    }
  }
  return outcomes;
}

/** Which blocks did not end well, and how. */
const failuresOf = (outcomes: readonly string[]) =>
  outcomes.flatMap((outcome, block) => (outcome === 'done' ? [] : [`${block}: ${outcome}`]));

/**
 * Which of these requests fail again when each is made alone. Some drivers fail merged requests as a whole: then the neighbours of a bad
 * sector say that they failed, and come when they are asked for again.
 */
async function failuresAlone(
  failures: readonly string[],
  request: (block: number) => Promise<unknown>,
): Promise<string[]> {
  const again: string[] = [];
  for (const failure of failures) {
    const [result] = await Promise.allSettled([request(Number.parseInt(failure, 10))]);
    if (result.status === 'rejected') again.push(`${Number.parseInt(failure, 10)}: ${code(result)}`);
  }
  return again;
}

async function readOne({ context, file, ledger }: Bench, block: number): Promise<void> {
  using buffer = context.allocate(BLOCK_BYTES);
  await file.read(buffer, 0, BLOCK_BYTES, block * BLOCK_BYTES);
  ledger.check(block, buffer, 'a read');
}

describe.each(['ring', 'io_getevents'])('events read from the %s', (reap) => {
  beforeAll(() => {
    process.env.KAIO_REAP = reap;
  });

  test('of merged requests only those fail that meet a bad sector', async () => {
    await undoing(async (later) => {
      const device = new Mapped(later, 'kaio-bad', linear());
      await onDevice(device.path, later, async (bench) => {
        // Sectors 801 and 4096 to 4103 are bad: one in block 100, and all of block 512.
        device.become(
          table(linear(0, 801), '801 1 error', linear(802, 4096 - 802), '4096 8 error', linear(4104, SECTORS - 4104)),
        );
        expect(failuresOf(await readEach(bench))).toEqual(['100: EIO', '512: EIO']);
        // A large request says how far it came, or that it failed; never more than what is right.
        using large = bench.context.allocate(256 * BLOCK_BYTES);
        const reading = bench.file.read(large, 0, large.byteLength, 0);
        const [result] = await Promise.allSettled([reading]);
        if (result.status === 'rejected') expect(code(result)).toBe('EIO');
        else expect(result.value.bytesRead).toBeLessThanOrEqual(100 * BLOCK_BYTES);
        device.become(linear());
        expect(failuresOf(await readEach(bench))).toEqual([]);
      });
    });
  });

  test('each acknowledged byte is right on a device that fails and recovers', async () => {
    await undoing(async (later) => {
      const device = new Mapped(later, 'kaio-flaky', linear());
      await onDevice(device.path, later, async ({ load, ledger }) => {
        const running = load.run();
        for (let round = 0; round < 3; round++) {
          await Promise.race([progress(load, requests), running]);
          device.become(`0 ${SECTORS} error`);
          await Promise.race([progress(load, requests), running]);
          device.become(linear());
        }
        await Promise.race([progress(load, requests), running]);
        load.stop();
        await running;
        expect(Object.keys(load.failures)).toEqual(['EIO']);
        expect(load.counts.written).toBeGreaterThan(0);
        ledger.checkAll(DISK);
      });
    });
  });

  test('dm-flakey: each acknowledged byte is right through its seconds of failing', async () => {
    await undoing(async (later) => {
      run('modprobe', 'dm-flakey');
      const device = new Mapped(later, 'kaio-flakey', linear());
      await onDevice(device.path, later, async ({ load, ledger }) => {
        device.become(`0 ${SECTORS} flakey ${DISK} 0 1 1`);
        const running = load.run();
        const both = () => (load.failures.EIO ?? 0) > 100 && load.counts.written > 100;
        while (!both()) await Promise.race([progress(load, 50), running]);
        load.stop();
        await running;
        expect(Object.keys(load.failures)).toEqual(['EIO']);
        device.become(linear());
        ledger.checkAll(DISK);
      });
    });
  });

  test('a device that hangs holds up neither the event loop nor other files, and goes on where it was', async () => {
    await undoing(async (later) => {
      const device = new Mapped(later, 'kaio-hang', linear());
      const other = `${temporaryFolder(later)}/other`;
      writeFileSync(other, Buffer.alloc(64 * BLOCK_BYTES, 'o'));
      await onDevice(device.path, later, async ({ context, file, load, ledger }) => {
        const running = load.run();
        await Promise.race([progress(load, requests), running]);
        device.suspend();
        // Nothing more is settled once what was under way has come back.
        let before = -1;
        while (load.settled !== before) {
          before = load.settled;
          await new Promise((resolve) => setTimeout(resolve, 300));
        }
        const aborted = file.read(context.allocate(BLOCK_BYTES), {
          position: 0,
          length: BLOCK_BYTES,
          signal: AbortSignal.timeout(50),
        });
        await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
        const local = await context.open(other, 'r');
        using block = context.allocate(BLOCK_BYTES);
        expect((await local.read(block, 0, BLOCK_BYTES, 0)).bytesRead).toBe(BLOCK_BYTES);
        expect(block.toString('latin1', 0, 2)).toBe('oo');
        await local.close();
        expect(load.settled).toBe(before);
        device.resume();
        await Promise.race([progress(load, requests), running]);
        load.stop();
        await running;
        await file.drain();
        expect(load.failures).toEqual({});
        ledger.checkAll(DISK);
      });
    });
  });

  test('a context that is closed while the device hangs is closed when it is back', async () => {
    await undoing(async (later) => {
      const device = new Mapped(later, 'kaio-close', linear());
      const context = new AioContext({ depth: 32, memory: 8 * 2 ** 20 });
      const file = await context.open(device.path, 'r+');
      await fill(file, context, BLOCKS);
      device.suspend();
      const blocks = Array.from({ length: 16 }, () => context.allocate(BLOCK_BYTES));
      const reads = blocks.map((block, at) => file.read(block, 0, BLOCK_BYTES, at * BLOCK_BYTES));
      let closed = false;
      const closing = context.close().then(() => {
        closed = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(closed).toBe(false);
      device.resume();
      expect((await Promise.all(reads)).map(({ bytesRead }) => bytesRead)).toEqual(Array(16).fill(BLOCK_BYTES));
      await closing;
    });
  });

  test('requests to a slow device all complete, and the event loop goes round meanwhile', async () => {
    await undoing(async (later) => {
      run('modprobe', 'dm-delay');
      const device = new Mapped(later, 'kaio-slow', linear());
      await onDevice(device.path, later, async (bench) => {
        device.become(`0 ${SECTORS} delay ${DISK} 0 200 ${DISK} 0 400`);
        using blocks = bench.context.allocate(32 * BLOCK_BYTES);
        let [turns, waiting] = [0, true];
        const ticking = (async () => {
          for (; waiting; turns++) await new Promise((resolve) => setTimeout(resolve, 5));
        })();
        const reads = Array.from({ length: 32 }, (_, at) =>
          bench.file.read(blocks, at * BLOCK_BYTES, BLOCK_BYTES, at * BLOCK_BYTES),
        );
        expect((await Promise.all(reads)).every(({ bytesRead }) => bytesRead === BLOCK_BYTES)).toBe(true);
        waiting = false;
        await ticking;
        // The delay is of 200 ms; with a loop that was held up there would have been a turn or two.
        expect(turns).toBeGreaterThan(5);
        bench.ledger.check(0, blocks, 'a slow read');
      });
    });
  });

  test('a thin device without room says ENOSPC, and keeps what it acknowledged', async () => {
    await undoing(async (later) => {
      run('modprobe', 'dm-thin-pool');
      // 2 MiB for the pool's own use, which must begin with zeros, and 8 MiB of room.
      run('dd', 'if=/dev/zero', `of=${DISK}`, 'bs=4096', 'count=1', 'oflag=direct');
      const metadata = new Mapped(later, 'kaio-meta', `0 4096 linear ${DISK} 0`);
      const data = new Mapped(later, 'kaio-data', `0 16384 linear ${DISK} 8192`);
      const pool = new Mapped(
        later,
        'kaio-pool',
        `0 16384 thin-pool ${metadata.path} ${data.path} 128 0 1 error_if_no_space`,
      );
      run('dmsetup', 'message', pool.path, '0', 'create_thin 0');
      const blocks = 16 * 256;
      const thin = new Mapped(later, 'kaio-thin', `0 ${blocks * 8} thin ${pool.path} 0`);
      await using context = new AioContext({ depth: 64, memory: 32 * 2 ** 20 });
      const file = await context.open(thin.path, 'r+');
      using bytes = context.allocate(64 * BLOCK_BYTES);
      const outcomes: string[] = [];
      for (let block = 0; block < blocks; block += 64) {
        bytes.fill(1 + block / 64);
        const [result] = await Promise.allSettled([file.write(bytes, 0, bytes.byteLength, block * BLOCK_BYTES)]);
        outcomes.push(
          result.status === 'fulfilled' && result.value.bytesWritten < bytes.byteLength ? 'short' : code(result),
        );
      }
      expect(outcomes.slice(0, 30)).toEqual(Array(30).fill('done'));
      expect(outcomes).toContain('ENOSPC');
      for (const [at, outcome] of outcomes.entries()) {
        if (outcome !== 'done') continue;
        await file.read(bytes, 0, bytes.byteLength, at * bytes.byteLength);
        expect(bytes.every((byte) => byte === 1 + at)).toBe(true);
      }
      await file.close();
    });
  });
});

test('scsi_debug: a medium error is ENODATA for those who meet it', async ({ skip }) => {
  const reason = moduleSkip('scsi_debug');
  skip(reason !== false, String(reason));
  await undoing(async (later) => {
    run('modprobe', 'sd_mod');
    const { path } = await scsiDisk(later);
    await onDevice(path, later, async (bench) => {
      // Sectors 0x1234 to 0x123d, which are in blocks 582 and 583.
      writeFileSync('/sys/bus/pseudo/drivers/scsi_debug/opts', '2');
      const failures = failuresOf(await readEach(bench));
      expect(failures).toEqual(expect.arrayContaining(['582: ENODATA', '583: ENODATA']));
      expect(await failuresAlone(failures, (block) => readOne(bench, block))).toEqual(['582: ENODATA', '583: ENODATA']);
      writeFileSync('/sys/bus/pseudo/drivers/scsi_debug/opts', '0');
      expect(failuresOf(await readEach(bench))).toEqual([]);
    });
  });
});

test('a disk that vanishes under load fails every request, and nothing waits for it', async ({ skip }) => {
  const reason = moduleSkip('scsi_debug');
  skip(reason !== false, String(reason));
  await undoing(async (later) => {
    run('modprobe', 'sd_mod');
    const { path, sysfs } = await scsiDisk(later);
    await onDevice(path, later, async ({ context, file, load }) => {
      const running = load.run();
      await Promise.race([progress(load, requests), running]);
      writeFileSync(`${sysfs}/delete`, '1');
      await Promise.race([progress(load, requests), running]);
      load.stop();
      await running;
      expect(Object.values(load.failures).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
      // The kernel says that the device now ends where it begins: reads meet its end, and writes find no room.
      using block = context.allocate(BLOCK_BYTES);
      const [read] = await Promise.allSettled([file.read(block, 0, BLOCK_BYTES, 0)]);
      if (read.status === 'fulfilled') expect(read.value.bytesRead).toBe(0);
      await expect(file.write(block, 0, BLOCK_BYTES, 0)).rejects.toMatchObject({ syscall: 'write' });
    });
  });
});

interface ScsiDisk {
  path: string;
  sysfs: string;
}

async function scsiDisk(later: Later): Promise<ScsiDisk> {
  const name = await newDisk(() => loadModule(later, 'scsi_debug', 'dev_size_mb=16', 'ndelay=100000', 'max_queue=32'));
  return { path: `/dev/${name}`, sysfs: `/sys/block/${name}/device` };
}

test('null_blk: bad blocks in a queue of many fail alone', async ({ skip }) => {
  const reason = moduleSkip('null_blk');
  skip(reason !== false, String(reason));
  await undoing(async (later) => {
    loadModule(later, 'null_blk', 'nr_devices=0');
    run('mount', '-t', 'configfs', 'none', '/sys/kernel/config');
    later(() => unmount('/sys/kernel/config'));
    const folder = '/sys/kernel/config/nullb/kaio-null';
    mkdirSync(folder);
    later(() => run('rmdir', folder));
    const set = (name: string, value: string | number) => writeFileSync(`${folder}/${name}`, String(value));
    for (const [name, value] of Object.entries({ size: 16, memory_backed: 1, irqmode: 2, completion_nsec: 200_000 })) {
      set(name, value);
    }
    set('badblocks', '+808-808');
    set('badblocks', '+4096-4111');
    // Its name is that of the folder, or a number in older kernels.
    const name = await newDisk(() => set('power', 1));
    later(() => set('power', 0));
    await using context = new AioContext({ depth: 64, memory: 16 * 2 ** 20 });
    const file = await context.open(`/dev/${name}`, 'r+');
    using one = context.allocate(BLOCK_BYTES);
    const write = (block: number) => file.write(one, 0, BLOCK_BYTES, block * BLOCK_BYTES);
    const writes = await Promise.allSettled(Array.from({ length: BLOCKS }, (_, block) => write(block)));
    const failures = failuresOf(writes.map(code));
    const bad = ['101: EIO', '512: EIO', '513: EIO'];
    expect(failures).toEqual(expect.arrayContaining(bad));
    expect(await failuresAlone(failures, write)).toEqual(bad);
    const blocks = Array.from({ length: 64 }, () => context.allocate(BLOCK_BYTES));
    const read = (at: number) => file.read(blocks[at - 480]!, 0, BLOCK_BYTES, at * BLOCK_BYTES);
    const reads = await Promise.allSettled(blocks.map((_, at) => read(480 + at)));
    const unread = reads.flatMap((result, at) =>
      result.status === 'fulfilled' ? [] : [`${480 + at}: ${code(result)}`],
    );
    expect(await failuresAlone(unread, read)).toEqual(bad.slice(1));
    await file.close();
  });
});

test('a file system whose device fails acknowledges no sync of what is lost', async () => {
  await undoing(async (later) => {
    const device = new Mapped(later, 'kaio-fs', linear(0, sectorsOf(DISK)));
    const dir = `${temporaryFolder(later)}/mounted`;
    mkdirSync(dir);
    run('mke2fs', '-q', '-t', 'ext4', device.path);
    mount(later, 'ext4', device.path, dir);
    await using context = new AioContext({ depth: 32, memory: 8 * 2 ** 20 });
    const path = `${dir}/file`;
    const file = await context.open(path, 'w+');
    await file.preallocate(0, 64 * BLOCK_BYTES);
    using block = context.allocate(BLOCK_BYTES);
    const acknowledged: number[] = [];
    for (let at = 0; at < 64; at++) {
      if (at === 32) device.become(`0 ${sectorsOf(DISK)} error`);
      const outcome = await file
        .write(block.fill(at + 1), 0, BLOCK_BYTES, at * BLOCK_BYTES)
        .then(() => file.datasync())
        .then(
          () => 'done',
          (error: NodeJS.ErrnoException) => error.code,
        );
      if (outcome === 'done') acknowledged.push(at);
      else expect(['EIO', 'EROFS']).toContain(outcome);
    }
    expect(acknowledged).toEqual(Array.from({ length: 32 }, (_, at) => at));
    await file.close();
    unmount(dir);
    device.become(linear(0, sectorsOf(DISK)));
    spawnSync('e2fsck', ['-fy', device.path]);
    run('mount', '-t', 'ext4', device.path, dir);
    const content = readFileSync(path);
    for (const at of acknowledged) {
      const got = content.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES);
      expect(got.equals(Buffer.alloc(BLOCK_BYTES, at + 1)), `block ${at}`).toBe(true);
    }
  });
});

test('a process that is killed while its device hangs is gone when the device is back, with its quota', async () => {
  await undoing(async (later) => {
    const device = new Mapped(later, 'kaio-kill', linear());
    const aioNr = () => readFileSync('/proc/sys/fs/aio-nr', 'utf8');
    const before = aioNr();
    const program = `
      import { AioContext } from '${dist}index.js';
      import { execFileSync } from 'node:child_process';
      const context = new AioContext({ depth: 32, memory: 4194304 });
      const file = await context.open('${device.path}', 'r+');
      execFileSync('dmsetup', ['suspend', '--noflush', '--nolockfs', 'kaio-kill']);
      for (let at = 0; at < 16; at++) file.read(context.allocate(4096), 0, 4096, at * 4096).catch(() => {});
      setTimeout(() => console.log('hanging'), 200);
      setTimeout(() => {}, 60_000);
    `;
    const ended = await runNode(program, {
      timeLimitMs: 60_000,
      onOutput: (_, child) => {
        child.kill('SIGKILL');
        setTimeout(() => device.resume(), 300);
      },
    });
    expect(ended).toMatchObject({ signal: 'SIGKILL', timedOut: false });
    await expect.poll(aioNr, { timeout: 10_000 }).toBe(before);
  });
});
