// AioFile beside the FileHandle of Node 24 itself: every method that it has, every case of the page docs/filehandle.md, and random requests,
// which KAIO_SEED makes once more.
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { mustRun } from '../package/installed.ts';
import { directSkip } from '../support/direct.ts';
import { allCases } from '../support/filehandle.ts';
import { nodeProgram } from '../support/nodes.ts';
import { campaignCommand, keepResults, repetitionOf } from '../support/results.ts';
import { scratchFolder } from '../support/scratch.ts';
import { compareTwins } from '../support/twins.ts';

const folder = scratchFolder();
const noDirect = directSkip();
/** For each way of opening. */
const REQUESTS = process.env['KAIO_LONG'] ? 100_000 : 5000;
const SEED = Number(process.env['KAIO_SEED'] ?? 1);
/** Some of them are syncs. */
const LIMIT_MS = process.env['KAIO_LONG'] ? 7_200_000 : 600_000;

describe('on Node 24', () => {
  let report: { version: string; tried: number; methods: string[]; missing: string[]; unlike: object[] };

  beforeAll(() => {
    const main = fileURLToPath(new URL('filehandle-main.ts', import.meta.url));
    const direct = noDirect === false ? ['direct'] : [];
    report = JSON.parse(mustRun(nodeProgram('24'), ['--no-warnings', main, folder, ...direct]));
  });

  test('there is a case for every method of FileHandle, and AioFile has them all', () => {
    expect(report.version).toMatch(/^24\./);
    expect(report.missing).toEqual([]);
    const covered = new Set(allCases.map(({ method }) => method));
    expect(report.methods.filter((name) => !covered.has(name))).toEqual([]);
    expect(report.methods).toContain('readableWebStream');
  });

  test('every case is as the page says: the same, or different where it says so', () => {
    expect(report.unlike).toEqual([]);
    expect(report.tried).toBe(allCases.length * (noDirect === false ? 2 : 1));
  });
});

describe(`${REQUESTS} random requests end as those of a FileHandle`, { timeout: LIMIT_MS }, () => {
  const context = new AioContext({ memory: 16 << 20 });
  const figures: Record<string, object> = {};
  afterAll(async () => {
    await context.close();
    keepResults('filehandle', repetitionOf(campaignCommand('filehandle')), figures);
  });

  async function compare(name: string, direct: boolean): Promise<void> {
    const requests = await compareTwins(context, folder, direct, REQUESTS, SEED);
    expect(requests).toBeGreaterThanOrEqual(REQUESTS * 0.9);
    figures[name] = { seed: SEED, requests };
  }

  test.skipIf(noDirect !== false)('with direct I/O', () => compare('direct', true));

  test('through the page cache', () => compare('page cache', false));
});
