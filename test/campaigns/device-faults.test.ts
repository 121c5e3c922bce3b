// A disk that fails, hangs, comes back or is gone for good, under kaio: every byte that it says it has moved is right, every failed
// request says so, and nothing hangs once the disk is back.
//
//   npm run test:device-faults                 with KAIO_LONG=1 more seeds, whose figures go to results/device-faults.json
//   KAIO_SEED=3 npm run test:device-faults     one seed
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import type { AioContext } from '../../src/index.ts';
import { powerCutSkip, soon } from '../support/powercut.ts';
import { Random } from '../support/random.ts';
import { reapings, withReaping } from '../support/reaping.ts';
import { keepResults, repetitionOf } from '../support/results.ts';
import { undoing } from '../support/undo.ts';
import { codes, Device, torment } from './device-faults/device.ts';
import { Load, UNIT_BYTES } from './device-faults/load.ts';

const { KAIO_LONG, KAIO_SEED } = process.env;
const long = KAIO_LONG === '1';
const UNITS = 1024;
const REQUESTS = long ? 5000 : 1000;
const seeds = KAIO_SEED === undefined ? Array.from({ length: long ? 36 : 3 }, (_, i) => i + 1) : [Number(KAIO_SEED)];
const storages = ['ext4', 'xfs', 'raw'] as const;

type Storage = (typeof storages)[number];

/** Storages take turns with each seed, ways of reaping with every third. */
const turnOf = (seed: number) => Math.floor(seed / storages.length);
const reapingOf = (seed: number) => reapings[turnOf(seed) % reapings.length];

/** A context and a device for one test. Whatever is stuck there ends with it. */
function withDevice(storage: Storage, seed: number, use: (device: Device, context: AioContext) => Promise<void>) {
  return undoing(async (later) => {
    const device = await Device.make(storage, UNITS, seed, later);
    await withReaping(turnOf(seed), {}, async (context) => {
      try {
        await use(device, context);
      } finally {
        await device.heal().catch(() => {});
        await soon('the end of the context', context.close());
        await device.disk.detach().catch(() => {});
      }
    });
  });
}

/** What each of these promises came to: a number of bytes, or a code. */
async function outcomes(promises: readonly Promise<{ bytesRead?: number; bytesWritten?: number }>[]) {
  const results = await soon('the end of the requests', Promise.allSettled(promises));
  return results.map((result) =>
    result.status === 'fulfilled' ? (result.value.bytesRead ?? result.value.bytesWritten) : result.reason.code,
  );
}

describe.skipIf(powerCutSkip())('a device', () => {
  test('fails with what it says', async () => {
    await withDevice('raw', 1, async (device, context) => {
      await using file = await context.open(device.path, 'r+');
      const block = context.allocate(UNIT_BYTES);
      for (const code of codes) {
        await device.spoil(5, 1, code);
        await device.spoilFlush(code);
        const position = 5 * UNIT_BYTES;
        await expect(file.read(block, { position })).rejects.toMatchObject({ code, syscall: 'read', offset: position });
        await expect(file.write(block, { position })).rejects.toMatchObject({ code, syscall: 'write' });
        // The one before was good, so that its sync has something to do.
        await file.write(block, { position: 0 });
        await expect(file.datasync()).rejects.toMatchObject({ syscall: 'fdatasync' });
        await expect(file.write(block, { position: 0, dsync: true })).rejects.toMatchObject({ syscall: 'write' });
        await device.heal();
        expect(await outcomes([file.read(block, { position })])).toEqual([UNIT_BYTES]);
        await file.datasync();
      }
    });
  });

  test.each(storages)(
    'with a bad sector fails the request that needs it, and perhaps its neighbours: %s',
    async (storage) => {
      await withDevice(storage, 2, async (device, context) => {
        await using file = await context.open(device.path, 'r+');
        const load = new Load(context, file, UNITS, new Random(2), device);
        await load.writeAll();
        // Requests of one turn that lie side by side reach the device as one (blk_attempt_plug_merge).
        const blocks = Array.from({ length: 32 }, () => context.allocate(UNIT_BYTES));
        const readAll = () => blocks.map((block, i) => file.read(block, { position: i * UNIT_BYTES }));
        await device.spoil(13, 1, 'EIO', 3);
        const together = await outcomes(readAll());
        expect(together[13]).toBe('EIO');
        expect(together.every((outcome) => outcome === UNIT_BYTES || outcome === 'EIO')).toBe(true);
        const alone: unknown[] = [];
        for (const read of blocks.keys()) {
          alone.push(...(await outcomes([file.read(blocks[read]!, { position: read * UNIT_BYTES })])));
        }
        expect(alone).toEqual(blocks.map((_, i) => (i === 13 ? 'EIO' : UNIT_BYTES)));
        await device.heal();
        expect(await outcomes(readAll())).toEqual(blocks.map(() => UNIT_BYTES));
        load.compare(await readWhole(device.path));
        expect(load.seen.wrong).toEqual([]);
      });
    },
  );

  test.each(storages)('with a bad sector cuts a large request off before it: %s', async (storage) => {
    await withDevice(storage, 3, async (device, context) => {
      await using file = await context.open(device.path, 'r+');
      const large = context.allocate(2 * 1024 * 1024);
      await device.spoil(300, 1, 'ENODATA');
      const { bytesRead } = await file.read(large, { position: 0 });
      // As far as the parts before it reach, and not beyond.
      expect(bytesRead).toBeGreaterThan(0);
      expect(bytesRead).toBeLessThanOrEqual(300 * UNIT_BYTES);
      const { bytesWritten } = await file.write(large, { position: 0 });
      expect(bytesWritten).toBeGreaterThan(0);
      expect(bytesWritten).toBeLessThanOrEqual(300 * UNIT_BYTES);
      const rest = { position: 300 * UNIT_BYTES, length: UNIT_BYTES };
      await expect(file.read(large, rest)).rejects.toMatchObject({ code: 'ENODATA' });
    });
  });

  test.each(storages)('that hangs holds up its own requests only, and all end when it is back: %s', async (storage) => {
    await withDevice(storage, 4, async (device, context) => {
      await using file = await context.open(device.path, 'r+');
      await using other = await context.open('/dev/zero', 'r', { direct: false });
      const load = new Load(context, file, UNITS, new Random(4), device);
      await load.writeAll();
      await device.hang();
      let ended = 0;
      const running = load.run(500, 64).then(() => ended++);
      for (let i = 0; i < 20; i++) {
        const { bytesRead } = await soon('a read elsewhere', other.read(Buffer.alloc(4096, 1), { position: 0 }));
        expect(bytesRead).toBe(4096);
        await sleep(10);
      }
      expect(ended).toBe(0);
      await device.heal();
      await soon('the end of the requests', running);
      load.compare(await readWhole(device.path));
      expect(load.seen).toMatchObject({ failed: 0, short: 0, wrong: [] });
    });
  });

  test.each(storages)('that is gone for good fails everything, and the context closes: %s', async (storage) => {
    await withDevice(storage, 5, async (device, context) => {
      const file = await context.open(device.path, 'r+');
      const blocks = Array.from({ length: 100 }, () => context.allocate(UNIT_BYTES));
      await device.hang();
      const requests = blocks.map((block, i) =>
        i % 2 === 0 ? file.read(block, { position: i * UNIT_BYTES }) : file.write(block, { position: i * UNIT_BYTES }),
      );
      const synced = file.datasync().then(
        () => 'synced',
        ({ code }) => code,
      );
      const ended = outcomes(requests);
      await sleep(50);
      await device.disk.vanish();
      expect(new Set(await ended)).toEqual(new Set(['EIO']));
      // The sync of a device has nothing to say of writes that it never took.
      expect(['EIO', 'synced']).toContain(await soon('the sync', synced));
      expect(await outcomes([file.read(blocks[0]!, { position: 0 })])).toEqual(['EIO']);
      await soon('the end of the file', file.close());
    });
  });
});

const rows: Record<string, unknown>[] = [];

describe.skipIf(powerCutSkip())('random requests', () => {
  const runs = seeds.map((seed) => ({
    seed,
    storage: storages[seed % 3]!,
  }));
  test.each(runs)('seed $seed, $storage', async ({ seed, storage }) => {
    await withDevice(storage, seed, async (device, context) => {
      const random = new Random(seed);
      await using file = await context.open(device.path, 'r+', {
        submit: random.pick(['auto', 'auto', 'inline', 'offload']),
      });
      const load = new Load(context, file, UNITS, random, device);
      await load.writeAll();
      const stop = new AbortController();
      // Without its flushes a file system gives up: only the device itself goes on afterwards.
      const tormented = torment(device, new Random(seed + 1), storage === 'raw', stop.signal);
      await load.run(REQUESTS, random.pick([4, 32, 200]));
      stop.abort();
      const hangs = await tormented;
      await file.datasync().catch(() => {});
      load.compare(await readWhole(device.path));
      await load.writeAll();
      load.compare(await readWhole(device.path));
      const { wrong, ...seen } = load.seen;
      rows.push({ seed, storage, reaping: reapingOf(seed), hangs, ...seen });
      const repeat = `${long ? 'KAIO_LONG=1 ' : ''}KAIO_SEED=${seed} npm run test:device-faults`;
      expect(wrong.slice(0, 5), repeat).toEqual([]);
      expect(seen.failed).toBeGreaterThan(0);
    });
  });
});

afterAll(() => {
  if (rows.length < seeds.length) return;
  const sum = (name: string) => rows.reduce((total, row) => total + Number(row[name]), 0);
  const all = {
    runs: rows.length,
    requests: sum('requests'),
    failed: sum('failed'),
    short: sum('short'),
    hangs: sum('hangs'),
  };
  keepResults('device-faults', repetitionOf('npm run test:device-faults'), { all }, rows);
});

/** Reads the place that was written to as any program does. */
async function readWhole(path: string): Promise<Buffer> {
  if (!path.startsWith('/dev/')) return readFileSync(path).subarray(0, UNITS * UNIT_BYTES);
  const device = await open(path);
  try {
    const { buffer } = await device.read(Buffer.alloc(UNITS * UNIT_BYTES), 0, UNITS * UNIT_BYTES, 0);
    return buffer;
  } finally {
    await device.close();
  }
}
