// Which requests may use the memory of a pool together, and what it costs to tell.
import { describe, expect, test } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import type { Target } from '../../src/engine/target.ts';
import { IOCB_CMD_FDSYNC, IOCB_CMD_PREAD } from '../../src/layout/constants.ts';
import { fakeEngine, fakeTarget, turn } from '../support/fake-kernel.ts';
import { Random } from '../support/random.ts';

const PAGE = 4096;
const count = (bytes: number): unknown => bytes;

test('a request is refused exactly where it meets another and one of the two is filled', () => {
  const { engine } = fakeEngine();
  const { pool } = engine;
  const buffer = pool.allocate(4 * PAGE);
  const random = new Random(7);
  const claimed: { from: number; to: number; exclusive: boolean }[] = [];
  const answers = { taken: 0, busy: 0 };
  // Whole pages, parts of one, and ranges that begin and end within pages.
  const place = () => random.below(2) * (random.below(4) === 0 ? random.below(PAGE) : 512 * random.below(8));
  for (let round = 0; round < 20_000; round++) {
    if (claimed.length > 0 && random.below(2) === 0) {
      const [gone] = claimed.splice(random.below(claimed.length), 1);
      pool.unclaim(gone!.from, gone!.to - gone!.from, gone!.exclusive);
      continue;
    }
    const from = buffer.byteOffset + random.below(4) * PAGE + place();
    const length = Math.min(1 + random.below(2 * PAGE), buffer.byteOffset + 4 * PAGE - from);
    const to = random.below(2) === 0 ? from + length : Math.ceil((from + length) / PAGE) * PAGE;
    const exclusive = random.below(2) === 0;
    const meets = claimed.some((one) => one.from < to && from < one.to && (one.exclusive || exclusive));
    const refusal = pool.claim(from, to - from, exclusive, false);
    expect(refusal?.code, `${from} to ${to}`).toBe(meets ? 'ERR_AIO_BUFFER_BUSY' : undefined);
    answers[meets ? 'busy' : 'taken']++;
    if (!meets) claimed.push({ from, to, exclusive });
  }
  expect(Math.min(answers.taken, answers.busy)).toBeGreaterThan(1000);
  for (const { from, to, exclusive } of claimed) pool.unclaim(from, to - from, exclusive);
  expect(pool.isClaimed(buffer.byteOffset)).toBe(false);
  expect(pool.refusalOf(buffer.byteOffset, 4 * PAGE, true, false)).toBeUndefined();
});

test('a vector may have the same memory twice, whole pages and parts, and another request none of it', async () => {
  const { engine, kernel } = fakeEngine();
  const target = fakeTarget();
  const buffer = engine.pool.allocate(2 * PAGE);
  const part = buffer.subarray(PAGE, PAGE + 512);
  const views = [buffer, part, buffer.subarray(0, PAGE), part].map(
    (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
  );
  const bytes = views.reduce((sum, view) => sum + view.byteLength, 0);
  const reading = engine.transferVector(
    IOCB_CMD_PREAD,
    target,
    views,
    bytes,
    0,
    undefined,
    count,
    undefined,
    undefined,
  );
  for (const view of [buffer, part, buffer.subarray(PAGE + 512)]) {
    const { byteLength } = view;
    const other = engine.transfer(
      IOCB_CMD_PREAD,
      target,
      view,
      0,
      byteLength,
      0,
      undefined,
      count,
      undefined,
      undefined,
    );
    await expect(other).rejects.toMatchObject({ code: 'ERR_AIO_BUFFER_BUSY' });
  }
  await turn();
  kernel.complete(kernel.inFlight[0]!, bytes);
  expect(await reading).toBe(bytes);
  expect(engine.pool.isClaimed(buffer.byteOffset)).toBe(false);
});

describe('buffers that share pages', () => {
  /** Milliseconds that it takes to ask for so many reads of 512 bytes, `apart` bytes from each other in memory. */
  function asking(engine: Engine, target: Target, slab: Uint8Array, requests: number, apart: number): number {
    const begun = performance.now();
    for (let i = 0; i < requests; i++) {
      void engine.transfer(
        IOCB_CMD_PREAD,
        target,
        slab,
        i * apart,
        512,
        i * 512,
        undefined,
        count,
        undefined,
        undefined,
      );
    }
    return performance.now() - begun;
  }

  test('take no longer to ask for than buffers with pages of their own', () => {
    const { engine } = fakeEngine({ memory: 128 << 20 });
    const requests = 16_000;
    const own = asking(engine, fakeTarget(), engine.pool.allocate(requests * PAGE), requests, PAGE);
    const shared = asking(engine, fakeTarget(), engine.pool.allocate(requests * 512), requests, 512);
    // Each used to be compared with all others: a hundred times as long.
    expect(shared).toBeLessThan(own * 5 + 20);
  });

  test('take no longer to ask for once very many requests have been under way', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const syncs = Array.from({ length: 100_000 }, () =>
      engine.command(IOCB_CMD_FDSYNC, target, 0, undefined, count, undefined),
    );
    while (engine.stats().queued + engine.stats().inFlight > 0) {
      await turn();
      kernel.completeAll();
    }
    await Promise.all(syncs);
    expect(asking(engine, target, engine.pool.allocate(PAGE), 8, 512)).toBeLessThan(5);
  });
});
