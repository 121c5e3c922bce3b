import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AioContext, type AioContextOptions } from '../../src/index.ts';
import { Model, type ModelOptions } from '../support/model.ts';

let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kaio-model-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function aioNr(): number {
  return Number(readFileSync('/proc/sys/fs/aio-nr', 'utf8'));
}

/** Descriptors of this process. Reading the folder takes one itself, every time. */
function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

async function compare(contextOptions: AioContextOptions, options: Partial<ModelOptions>): Promise<Model> {
  const context = new AioContext(contextOptions);
  const seed = 20260;
  const defaults = {
    operations: 10_000,
    concurrency: 64,
    files: 4,
    fileBlocks: 64,
    operationBlocks: 4,
    disturbances: 5,
  };
  const model = new Model({ context, directory, seed, ...defaults, ...options });
  await model.run();
  expect(context.stats()).toMatchObject({ queued: 0, inFlight: 0, inFlightBytes: 0, buffers: 0, failed: 0 });
  await context.close();
  expect(model.counts.read).toBeGreaterThan(0);
  expect(model.counts.shortReads).toBeGreaterThan(0);
  return model;
}

describe('random reads and writes leave what a model in memory says', () => {
  test('100,000 through one context', { timeout: 240_000 }, async () => {
    const before = descriptors();
    const model = await compare({}, { operations: 100_000 });
    expect(model.counts.reopen).toBeGreaterThan(50);
    expect(descriptors()).toBe(before);
  });

  test('with room for two requests in flight', () => compare({ depth: 2 }, { operations: 5000 }));

  test('with so little memory that nearly everything waits for room to copy', () =>
    compare({ memory: 65536 }, { operations: 5000 }));

  test('with requests that go in many parts', () =>
    compare({ memory: 32 << 20 }, { operations: 400, concurrency: 8, fileBlocks: 1024, operationBlocks: 512 }));

  test('through the page cache', () => compare({}, { operations: 10_000, direct: false }));

  test('with a close in every tenth operation', () => compare({}, { operations: 4000, disturbances: 300 }));
});

test('the quota is given back by close', async () => {
  const depth = 4096;
  const contexts = Array.from({ length: 3 }, () => new AioContext({ depth }));
  const during = aioNr();
  await Promise.all(contexts.map((context) => context.close()));
  // Others may take some of this machine's quota meanwhile, but hardly two of these three.
  expect(during).toBeGreaterThanOrEqual(3 * depth);
  expect(aioNr()).toBeLessThan(during - depth);
});
