// Whatever the kernel answers, nothing is lost, settled twice, put into the wrong place, leaked or left hanging.
import { rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { patience, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';
import { type Faults, type Report, readReport, shimSkip, withFaults } from '../support/shim.ts';

const { KAIO_LONG, KAIO_SEED = '1' } = process.env;
const OPERATIONS = KAIO_LONG === undefined ? 1600 / patience : 100_000;
const EIO = 5;

interface Run {
  name: string;
  faults: Faults;
  /** Codes that a request may fail with; anything for '*'. */
  allowed?: readonly string[];
  depth?: number;
  /** Requests of up to 1 MiB, which go to the kernel in parts. */
  large?: boolean;
  /** What the run must have met, or it shows nothing. */
  met: keyof Report | 'none';
}

interface Seen {
  reads: number;
  writes: number;
  short: number;
  errors: Record<string, number>;
}

const runs: readonly Run[] = [
  { name: 'nothing at all', faults: {}, met: 'none' },
  { name: 'a depth of 2', faults: {}, depth: 2, met: 'none' },
  { name: 'EAGAIN of every 3rd io_submit', faults: { failEvery: 3 }, met: 'failed' },
  { name: 'io_submit taking 1 request at most', faults: { partial: 1 }, met: 'partial' },
  { name: 'io_submit taking 5 requests at most', faults: { partial: 5 }, met: 'partial' },
  { name: 'io_submit taking any part of a batch', faults: { partial: 'random', failEvery: 7 }, met: 'partial' },
  { name: 'a bad request in every 13', faults: { refuseEvery: 13 }, allowed: ['EINVAL'], met: 'refused' },
  { name: 'short transfers', faults: { shortEvery: 3 }, met: 'shortened' },
  { name: 'EIO in every 7th event', faults: { resEvery: 7, resErrno: EIO }, allowed: ['EIO'], met: 'errors' },
  { name: 'every errno in events', faults: { resEvery: 5, resErrno: 'all' }, allowed: ['*'], met: 'errors' },
  { name: 'completions inside of io_submit', faults: { delayEvery: 2, delayAfterUs: 2000 }, met: 'delayed' },
  { name: 'slow submits', faults: { delayEvery: 5, delayBeforeUs: 5000 }, met: 'delayed' },
  { name: 'completions late and in any order', faults: { reorder: 1, completeDelayUs: 500 }, met: 'reordered' },
  { name: 'short parts of large requests', faults: { shortEvery: 5 }, large: true, met: 'shortened' },
  {
    name: 'EIO in parts of large requests',
    faults: { resEvery: 11, resErrno: EIO },
    large: true,
    allowed: ['EIO'],
    met: 'errors',
  },
  {
    name: 'all of it together',
    faults: {
      failEvery: 11,
      partial: 'random',
      shortEvery: 9,
      resEvery: 17,
      delayEvery: 31,
      delayAfterUs: 1000,
      reorder: 1,
    },
    allowed: ['EIO'],
    met: 'errors',
  },
];

const folder = scratchFolder();

/** The faults are the library's, whatever the kernel is. Where a process takes seconds to begin, one run in so many; KAIO_SEED says which. */
const SHARE = patience === 1 ? 1 : 7;

function taken(run: number, ring: number): boolean {
  return (2 * run + ring + Number(KAIO_SEED)) % SHARE === 0;
}

describe.each([
  { way: 'the ring', ring: 1 },
  { way: 'io_getevents', ring: 0 },
] as const)('reaping by $way', ({ ring }) => {
  test.for(runs.filter((_, at) => taken(at, ring)))(
    'the model holds under $name',
    { timeout: 700_000 },
    async ({ faults, allowed = [], depth = 64, large = false, met }, { skip }) => {
      const reason = shimSkip();
      skip(reason !== false, String(reason));
      const report = `${folder}/report`;
      rmSync(report, { force: true });
      const seed = KAIO_LONG === undefined ? 1 : Math.floor(Math.random() * 2 ** 32);
      const operations = large ? OPERATIONS / 16 : OPERATIONS;
      const job = { dir: folder, operations, seed, depth, large, allowed };
      const child = await runNode(new URL('model.js', import.meta.url), {
        args: [JSON.stringify(job)],
        // A signal can come whenever io_getevents finds nothing.
        env: withFaults({ ...faults, ring, seed, report, ...(ring === 0 ? { eintrEvery: 1 } : {}) }),
        timeLimitMs: KAIO_LONG === undefined ? 30_000 : 600_000,
      });
      const note = `seed ${seed}: ${child.stdout}${child.stderr}`;
      expect(child, note).toMatchObject({ code: 0, signal: null, timedOut: false, stderr: '' });
      const seen = JSON.parse(child.stdout) as Seen;
      expect(seen.reads + seen.writes).toBeGreaterThanOrEqual(operations);
      const counted = readReport(report);
      expect(counted.delivered).toBe(counted.submitted);
      if (met !== 'none') expect(counted[met], note).toBeGreaterThan(0);
      if (met === 'shortened') expect(seen.short).toBeGreaterThan(0);
      if (allowed.length > 0) expect(Object.keys(seen.errors).length, note).toBeGreaterThan(0);
    },
  );
});

if (SHARE > 1) {
  test('the other runs', ({ skip }) => {
    skip(true, `this machine is emulated and takes one run in ${SHARE}; another KAIO_SEED takes others`);
  });
}
