// The writes that fio logged (fio(1), write_iolog), made once more through kaio; then fio verifies the checksums that it had put into each block.
//
//   KAIO_SEED=N npm run test:campaigns fiolog     repeats a run
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import type { AioContext } from '../../src/index.ts';
import { hasCommand } from '../support/compile.ts';
import { Random } from '../support/random.ts';
import { reapings, withReaping } from '../support/reaping.ts';
import { campaignCommand, keepResults, repetitionOf } from '../support/results.ts';
import { scratchFolder } from '../support/scratch.ts';

const { KAIO_LONG, KAIO_SEED } = process.env;
const BYTES = (KAIO_LONG === undefined ? 16 : 256) << 20;
const DEPTH = 32;
const seed = Number(KAIO_SEED ?? '1');

const folder = scratchFolder();
const noFio = hasCommand('fio') ? false : 'fio is not installed';
/** What was replayed, by shape and way of reaping. */
const figures: Record<string, object> = {};
afterAll(() => keepResults('fiolog', repetitionOf(campaignCommand('fiolog')), figures));

interface Write {
  offset: number;
  length: number;
}

/** What fio is asked to write, and later to look for: the same blocks for the same seed. */
function job(file: string, blocks: readonly string[]): string[] {
  const how = ['--ioengine=psync', '--verify=crc32c', '--randrepeat=1', `--randseed=${seed}`, '--rw=randwrite'];
  return ['--name=kaio', `--filename=${file}`, `--size=${BYTES}`, ...how, ...blocks];
}

/** Version 2 has `FILE ACTION OFFSET LENGTH` in a line, version 3 a time before that. */
function parseLog(text: string): Write[] {
  return [...text.matchAll(/ write (\d+) (\d+)$/gm)].map(([, offset, length]) => ({
    offset: Number(offset),
    length: Number(length),
  }));
}

/** Makes the writes with up to DEPTH in flight, each with what the source has at its place. */
async function replay(context: AioContext, writes: readonly Write[], source: string, target: string, direct: boolean) {
  const content = openSync(source, 'r');
  const file = await context.open(target, 'r+', { direct: direct && 'auto' });
  const random = new Random(seed);
  let next = 0;
  async function lane(): Promise<void> {
    for (let write = writes[next++]; write !== undefined; write = writes[next++]) {
      const { offset, length } = write;
      const memory: Buffer & Partial<Disposable> = random.chance(0.7) ? context.allocate(length) : Buffer.alloc(length);
      expect(readSync(content, memory, 0, length, offset)).toBe(length);
      const { bytesWritten } = await file.write(memory, 0, length, offset);
      expect(bytesWritten).toBe(length);
      memory[Symbol.dispose]?.();
      if (random.chance(0.02)) await file.datasync();
    }
  }
  await Promise.all(Array.from({ length: DEPTH }, lane));
  await file.sync();
  await file.close();
  closeSync(content);
}

function verify(file: string, blocks: readonly string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('fio', [...job(file, blocks), '--verify_only', '--verify_fatal=1'], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

const shapes = [
  { name: 'aligned blocks past the page cache', direct: true, blocks: ['--bsrange=4k-128k', '--blockalign=4k'] },
  {
    name: 'blocks of any length through the page cache',
    direct: false,
    blocks: ['--bsrange=1000-60000', '--bs_unaligned=1'],
  },
];

describe.each(shapes)('$name', ({ name, direct, blocks }) => {
  test.for(reapings.map((way, at) => ({ way, at })))(
    'that kaio wrote from a log of fio are what fio verifies, with events by $way',
    async ({ way, at }, { skip }) => {
      skip(noFio !== false, String(noFio));
      const [source, target, log] = ['source', 'target', 'log'].map((name) => `${folder}/${name}-${direct}-${at}`) as [
        string,
        string,
        string,
      ];
      execFileSync('fio', [...job(source, blocks), '--do_verify=0', `--write_iolog=${log}`], {
        stdio: 'pipe',
        cwd: folder,
      });
      const writes = parseLog(readFileSync(log, 'utf8'));
      expect(writes.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThanOrEqual(BYTES / 2);
      writeFileSync(target, '');
      truncateSync(target, BYTES);
      await withReaping(at, { depth: DEPTH, memory: 16 << 20 }, (context) =>
        replay(context, writes, source, target, direct),
      );
      expect(verify(target, blocks)).toMatchObject({ status: 0 });
      // And one byte that is wrong is seen.
      const { offset, length } = writes[Math.floor(writes.length / 2)]!;
      const fd = openSync(target, 'r+');
      const byte = Buffer.alloc(1);
      readSync(fd, byte, 0, 1, offset + length - 1);
      writeSync(fd, Buffer.from([byte[0]! ^ 1]), 0, 1, offset + length - 1);
      closeSync(fd);
      expect(verify(target, blocks).status).not.toBe(0);
      const bytes = writes.reduce((sum, { length }) => sum + length, 0);
      figures[`${name}, ${way}`] = { seed, writes: writes.length, bytes };
    },
  );
});
