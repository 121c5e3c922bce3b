// The cache of examples/object-cache: what a get returns is what was set, whatever is evicted, deleted or set anew meanwhile.
import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { AioContext } from 'kaio';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type CacheOptions, ObjectCache } from '../../examples/object-cache/cache.ts';
import { Random } from '../support/random.ts';
import { scratchFolder } from '../support/scratch.ts';

const BLOCK = 4096;
const SEED = 7;
const STEPS = process.env.KAIO_LONG === '1' ? 20_000 : 2000;

const path = `${scratchFolder()}/cache`;
const context = new AioContext({ depth: 32, memory: 16 * 1024 * 1024 });
afterAll(() => context.close());
afterEach(() => {
  rmSync(path, { force: true });
  expect(context.stats().freeBytes).toBe(12 * 1024 * 1024);
});

const options: CacheOptions = { capacity: 16 * BLOCK, maxBlocks: 8, concurrency: 4 };

async function use(run: (cache: ObjectCache) => Promise<void>, more: Partial<CacheOptions> = {}): Promise<void> {
  await using cache = await ObjectCache.open(context, path, { ...options, ...more });
  await run(cache);
}

const blocks = (count: number, text: string) => Buffer.alloc(count * BLOCK, text);

/** Compares in one step: byte by byte, as toEqual does, it takes seconds. */
const isSame = (a: Buffer | undefined, b: Buffer | undefined) => a === b || (a !== undefined && b?.equals(a) === true);

test('an object is what it was set to, whatever its length, until it is deleted', () =>
  use(async (cache) => {
    for (const bytes of [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 8 * BLOCK]) {
      const data = Buffer.alloc(bytes, `${bytes} `);
      await cache.set('key', data);
      expect(isSame(await cache.get('key'), data)).toBe(true);
    }
    expect([cache.delete('key'), cache.delete('key')]).toEqual([true, false]);
    expect(await cache.get('key')).toBeUndefined();
    expect(cache.stats).toMatchObject({ hits: 6, misses: 1, objects: 0, freeBlocks: 16 });
  }));

test('a get that comes while the object is written waits for it, and of several sets it sees the last', () =>
  use(async (cache) => {
    const sets = ['a', 'b', 'c'].map((text) => cache.set('key', blocks(3, text)));
    expect(isSame(await cache.get('key'), blocks(3, 'c'))).toBe(true);
    await Promise.all(sets);
    expect(cache.stats.freeBlocks).toBe(13);
  }));

test('gets of one key at the same time share a read', () =>
  use(async (cache) => {
    await cache.set('key', blocks(2, 'x'));
    const found = await Promise.all(Array.from({ length: 100 }, () => cache.get('key')));
    expect(found.every((data) => data === found[0])).toBe(true);
    expect(cache.stats).toMatchObject({ hits: 100, reads: 1 });
    await cache.get('key');
    expect(cache.stats.reads).toBe(2);
  }));

test('without room, what was not used for the longest time goes', () =>
  use(async (cache) => {
    for (const key of 'abcd') await cache.set(key, blocks(4, key));
    await cache.get('a');
    await cache.set('e', blocks(5, 'e'));
    expect(await Promise.all(Array.from('abcde', async (key) => (await cache.get(key))?.length))).toEqual([
      4 * BLOCK,
      undefined,
      undefined,
      4 * BLOCK,
      5 * BLOCK,
    ]);
    expect(cache.stats).toMatchObject({ evictions: 2, objects: 3, freeBlocks: 3 });
  }));

test('what is deleted, set anew or in the way while it is read is read to the end', () =>
  use(async (cache) => {
    await cache.set('a', blocks(8, 'a'));
    await cache.set('b', blocks(8, 'b'));
    const reads = [cache.get('a'), cache.get('b')];
    cache.delete('a');
    const set = [cache.set('b', blocks(8, 'B')), cache.set('c', blocks(8, 'c'))];
    expect((await Promise.all(reads)).map(String)).toEqual([blocks(8, 'a'), blocks(8, 'b')].map(String));
    await Promise.all(set);
    const found = await Promise.all([cache.get('b'), cache.get('c')]);
    expect(found.map(String)).toEqual([blocks(8, 'B'), blocks(8, 'c')].map(String));
  }));

test('any number of gets, sets and deletes at once give what was last set', () =>
  use(async (cache) => {
    const random = new Random(SEED);
    const last = new Map<string, Buffer>();
    const pending: Promise<void>[] = [];
    for (let step = 0; step < STEPS; step++) {
      const key = `${random.below(12)}`;
      if (random.chance(0.4)) {
        const data = Buffer.alloc(random.below(8 * BLOCK + 1), `${step} `);
        last.set(key, data);
        pending.push(cache.set(key, data));
      } else if (random.chance(0.1)) {
        last.delete(key);
        cache.delete(key);
      } else {
        const expected = last.get(key);
        const get = cache.get(key);
        // A miss is always right: the object may have been evicted.
        pending.push(get.then((data) => expect(isSame(data ?? expected, expected), `step ${step}`).toBe(true)));
      }
      if (random.chance(0.05)) await Promise.all(pending.splice(0));
    }
    await Promise.all(pending);
    expect(cache.stats.hits).toBeGreaterThan(STEPS / 50);
    for (const key of last.keys()) cache.delete(key);
    expect(cache.stats).toMatchObject({ objects: 0, freeBlocks: 16 });
  }));

describe('a file that somebody else changes', () => {
  test('is noticed, and the object is forgotten', () =>
    use(async (cache) => {
      await cache.set('key', blocks(1, 'x'));
      writeFileSync(path, blocks(16, 'y'));
      await expect(cache.get('key')).rejects.toThrow('Somebody else has written');
      expect(await cache.get('key')).toBeUndefined();
      expect(cache.stats.freeBlocks).toBe(16);
    }));

  test('is noticed also where it is cut off', () =>
    use(async (cache) => {
      await cache.set('key', blocks(1, 'x'));
      truncateSync(path);
      await expect(cache.get('key')).rejects.toThrow('is too short');
    }));
});

test('a set that fails rejects, also for those who wait for it, and leaves nothing', () =>
  use(async (cache) => {
    const broken = { length: BLOCK } as Uint8Array;
    const set = cache.set('key', broken).catch((error: unknown) => error);
    await expect(cache.get('key')).rejects.toThrow();
    expect(await set).toBeInstanceOf(Error);
    expect(cache.stats).toMatchObject({ objects: 0, freeBlocks: 16 });
    await expect(cache.set('key', blocks(9, 'x'))).rejects.toThrow(`at most ${8 * BLOCK} bytes`);
  }));

test('sizes that cannot be are refused', async () => {
  for (const wrong of [{ blockBytes: 512 }, { capacity: 5000 }, { capacity: 4 * BLOCK }, { blockBytes: 0 }])
    await expect(use(async () => {}, wrong)).rejects.toThrow(RangeError);
});
