// The log of examples/wal: what it acknowledged is there, whatever a crash does to its end.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AioContext } from 'kaio';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BLOCK_BYTES, FRAME_BYTES, packFrame, RECORD_BYTES, sealFrame } from '../../examples/wal/frame.ts';
import { Log } from '../../examples/wal/log.ts';
import { Random } from '../support/random.ts';
import { place } from '../support/scratch.ts';

const SECTOR_BYTES = 512;
const SEED = 20260101;
/** Random cases for each kind of damage. */
const ROUNDS = process.env.KAIO_LONG === '1' ? 200 : 4;

const context = new AioContext({ depth: 16, memory: 16 * FRAME_BYTES });
afterAll(() => context.close());

/** Every case opens a log two or three times: in memory they sync at once. */
const memory = existsSync('/dev/shm') ? '/dev/shm' : place;
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(memory, 'kaio-test-wal-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (path = folder) => Log.open(path, { context, segmentBytes: FRAME_BYTES });

async function use<T>(run: (log: Log) => T | Promise<T>, path = folder): Promise<T> {
  await using log = await open(path);
  return await run(log);
}

async function recordsOf(log: Log, from?: number): Promise<string[]> {
  const found = [];
  let number = from;
  for await (const record of log.records(from)) {
    number ??= record.number;
    expect(record.number).toBe(number++);
    found.push(record.data.toString('latin1'));
  }
  return found;
}

/** Opens the log anew and gives all that is in it. */
const recovered = (): Promise<string[]> => use((log) => recordsOf(log));
/** Appends records that become durable one after another, a frame each. */
const appendEach = (...records: string[]): Promise<void> =>
  use(async (log) => {
    for (const record of records) await log.append(Buffer.from(record, 'latin1'));
  });

const segments = () => readdirSync(folder).filter((name) => name.endsWith('.wal'));
const lastSegment = () => join(folder, segments().sort().at(-1)!);

describe('a log that is only to be read', () => {
  const wal = fileURLToPath(new URL('../../examples/out/wal.js', import.meta.url));
  const list = (path: string) => spawnSync(process.execPath, [wal, 'list', path], { encoding: 'utf8' });

  test('is not made where there is none', async () => {
    const missing = join(folder, 'missing');
    await expect(Log.open(missing, { context, create: false })).rejects.toThrow(/^ENOENT/);
    expect(list(missing)).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(/^wal: ENOENT.*missing/),
    });
    expect(list(folder)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(readdirSync(folder)).toEqual([]);
  });

  test('takes records all the same', async () => {
    await using log = await Log.open(folder, { context, segmentBytes: FRAME_BYTES, create: false });
    expect(await recordsOf(log)).toEqual([]);
    expect(await log.append(Buffer.from('first'))).toBe(0);
    expect(await recordsOf(log)).toEqual(['first']);
  });
});

describe('what is acknowledged', () => {
  test('is there after the log is opened again, in order and byte for byte', async () => {
    const records = ['', 'a', 'b'.repeat(BLOCK_BYTES), 'c'.repeat(RECORD_BYTES), '', 'd'.repeat(70_000), '\0\xff'];
    const numbers = await use((log) => Promise.all(records.map((record) => log.append(Buffer.from(record, 'latin1')))));
    expect(numbers).toEqual(records.map((_, number) => number));
    expect(await recovered()).toEqual(records);
    expect(await use((log) => log.next)).toBe(records.length);
  });

  test('shares a datasync with what was appended at about the same time', async () => {
    await use(async (log) => {
      const first = log.append(Buffer.from('first'));
      await new Promise(setImmediate);
      const others = Array.from({ length: 1000 }, (_, number) => log.append(Buffer.from(`${number}`)));
      await Promise.all([first, ...others]);
      expect(log.syncs).toBe(2);
    });
  });

  test('is what close() has waited for', async () => {
    const log = await open();
    const appended = Promise.all([log.append(Buffer.from('a')), log.append(Buffer.from('b'))]);
    await log.close();
    expect(await appended).toEqual([0, 1]);
    await expect(log.append(Buffer.from('c'))).rejects.toThrow('open it again');
    expect(await recovered()).toEqual(['a', 'b']);
  });

  test('can be read from any number on, while more is appended', async () => {
    await use(async (log) => {
      for (let number = 0; number < 8; number++) await log.append(Buffer.alloc(FRAME_BYTES / 3, String(number)));
      for (let from = 0; from <= 8; from++) {
        const read = recordsOf(log, from);
        const later = log.append(Buffer.from('-'));
        expect((await read).map(([first]) => first).join('')).toBe(`01234567${'-'.repeat(from)}`.slice(from));
        await later;
      }
    });
  });
});

describe('a wrong record', () => {
  test('is refused with what to do, and the log goes on', async () => {
    await use(async (log) => {
      await expect(log.append('text' as unknown as Buffer)).rejects.toThrow('Buffer.from(text)');
      await expect(log.append(Buffer.alloc(RECORD_BYTES + 1))).rejects.toThrow(`at most ${RECORD_BYTES} bytes`);
      expect(await log.append(Buffer.from('right'))).toBe(0);
    });
  });

  test('segments that hold no frame are refused', async () => {
    await expect(Log.open(folder, { context, segmentBytes: 4096 })).rejects.toThrow('segmentBytes must be');
  });
});

test('a failed write rejects what it was for and everything after it', async () => {
  const own = new AioContext({ depth: 4, memory: 4 * FRAME_BYTES });
  const log = await Log.open(folder, { context: own, segmentBytes: FRAME_BYTES });
  await log.append(Buffer.from('kept'));
  await own.close();
  const failed = await Promise.allSettled([log.append(Buffer.from('a')), log.append(Buffer.from('b'))]);
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(log.append(Buffer.from('c'))).rejects.toThrow();
  await log.close();
  expect(await recovered()).toEqual(['kept']);
});

describe('segments', () => {
  const big = (text: string) => Buffer.alloc(FRAME_BYTES / 2, text);

  test('that are forgotten are used again, and nothing of them comes back', async () => {
    await use(async (log) => {
      for (let number = 0; number < 20; number++) {
        await log.append(big(String.fromCharCode(97 + number)));
        await log.forget(number - 2);
      }
      expect((await recordsOf(log, 17)).map(([first]) => first)).toEqual(['r', 's', 't']);
    });
    expect(readdirSync(folder).length).toBeLessThan(7);
    const left = await recovered();
    expect(left.at(-1)).toBe(big('t').toString());
    await appendEach('u', 'v');
    expect((await recovered()).slice(-3)).toEqual([big('t').toString(), 'u', 'v']);
  });

  test('of which one is missing are refused, not skipped', async () => {
    await appendEach(...Array.from('abcdef', (letter) => letter.repeat(FRAME_BYTES / 2)));
    rmSync(join(folder, segments().sort()[1]!));
    await expect(recovered()).rejects.toThrow(/is damaged at byte \d+: record \d should be there/);
  });
});

/** The file as it is before and after its last frame is written, over zeros or over what an older life of the file has left. */
async function lastFrame(kind: 'fresh' | 'used again'): Promise<{ path: string; before: Buffer; after: Buffer }> {
  if (kind === 'used again') {
    // The first segment is full of frames of five blocks, then given back, then begun anew when the second is full.
    await appendEach(...Array.from({ length: 55 }, (_, number) => `${number} `.padEnd(20_000, 'x')));
    await use((log) => log.forget(54));
    await appendEach('y'.repeat(FRAME_BYTES - 20 * BLOCK_BYTES - 100));
  }
  await appendEach('first', 'second');
  const path = lastSegment();
  const before = readFileSync(path);
  expect(before.subarray(2 * BLOCK_BYTES).some((byte) => byte !== 0)).toBe(kind === 'used again');
  await appendEach('third '.repeat(1500));
  return { path, before, after: readFileSync(path) };
}

describe.each(['fresh', 'used again'] as const)('a torn tail in a segment that is %s', (kind) => {
  const third = 'third '.repeat(1500);
  let path = '';
  let before: Buffer;
  let after: Buffer;
  /** Where the last frame is. */
  let start = 0;
  let end = 0;
  let acknowledged: string[] = [];
  /** The number of the record in it. */
  let next = 0;

  beforeEach(async () => {
    ({ path, before, after } = await lastFrame(kind));
    start = after.findIndex((byte, at) => byte !== before[at]);
    start -= start % BLOCK_BYTES;
    expect(start).toBe(2 * BLOCK_BYTES);
    end = start + Math.ceil(third.length / BLOCK_BYTES) * BLOCK_BYTES;
    const all = await recovered();
    expect(all.pop()).toBe(third);
    acknowledged = all;
    next = (await use((log) => log.next)) - 1;
  });

  /** Recovers from a file: the last record may be there or not, but only as a whole, and what is then appended is there afterwards. */
  async function survives(bytes: Buffer, what: string): Promise<void> {
    writeFileSync(path, bytes);
    const found = await recovered();
    expect(found.slice(0, acknowledged.length), what).toEqual(acknowledged);
    const rest = found.slice(acknowledged.length);
    expect(rest, what).toEqual(rest.length === 0 ? [] : [third]);
    // A crash in the middle of recovery comes to the same: nothing that counts has changed.
    expect(await recovered(), what).toEqual(found);
    await appendEach('new');
    expect(await recovered(), what).toEqual([...found, 'new']);
  }

  /** Changes a copy of the whole file. */
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(after);
    change(bytes);
    return bytes;
  };

  test('by a bit that flipped, anywhere in the frame', async () => {
    const random = new Random(SEED);
    const places = [0, 4, 6, 8, 15, 16, 20, ...Array.from({ length: ROUNDS }, () => random.below(third.length))];
    for (const place of places) {
      const bit = 1 << random.below(8);
      const bytes = changed((copy) => {
        copy[start + place]! ^= bit;
      });
      await survives(bytes, `bit ${bit} of byte ${place}`);
      expect((await recovered()).includes(third)).toBe(false);
    }
  });

  test('by a file that was cut off, anywhere in the frame', async () => {
    for (let length = start; length <= end; length += Math.ceil((end - start) / (2 * ROUNDS)))
      await survives(after.subarray(0, length), `${length} bytes`);
  });

  test('by sectors that did not reach the disk', async () => {
    const random = new Random(SEED + 1);
    const sectors = (end - start) / SECTOR_BYTES;
    const losses = [[0], [1], [BLOCK_BYTES / SECTOR_BYTES], [sectors - 2]];
    for (let round = 0; round < ROUNDS; round++)
      losses.push([...Array(sectors).keys()].filter(() => random.chance(random.next() / 2 ** 32)));
    for (const lost of losses) {
      for (const source of [before, Buffer.alloc(before.length)]) {
        const bytes = changed((copy) => {
          for (const sector of lost) {
            const at = start + sector * SECTOR_BYTES;
            source.copy(copy, at, at, at + SECTOR_BYTES);
          }
        });
        await survives(bytes, `without the sectors ${lost}`);
      }
    }
  });

  test('by sectors in the wrong order', async () => {
    const random = new Random(SEED + 2);
    for (let round = 0; round < ROUNDS; round++) {
      const sectors = (end - start) / SECTOR_BYTES;
      const [a, b] = [start + random.below(sectors) * SECTOR_BYTES, start + random.below(sectors) * SECTOR_BYTES];
      const bytes = changed((copy) => {
        after.copy(copy, a, b, b + SECTOR_BYTES);
        after.copy(copy, b, a, a + SECTOR_BYTES);
      });
      await survives(bytes, `the sectors at ${a} and ${b}`);
    }
  });

  test('that looks like frames inside is not taken for any, also where a shorter frame is written over it', async () => {
    // A record with the very frames that a reader looks for next, made by somebody who knows all but the life of the file.
    const forged = Buffer.alloc(BLOCK_BYTES);
    const { bytes: length } = packFrame(forged, [{ data: Buffer.from('forged') }]);
    const bytes = changed((copy) => {
      copy[start]! ^= 1;
      for (const [block, life] of [0, 1].entries()) {
        sealFrame(forged, length, next + 1, life);
        forged.copy(copy, start + (block + 1) * BLOCK_BYTES);
      }
    });
    await survives(bytes, 'forged frames');
  });

  test('in front of whole frames is no torn tail: it is refused with what to do', async () => {
    const random = new Random(SEED + 3);
    const earlier = start - BLOCK_BYTES;
    for (const place of [0, 4, 8, 12, 16, 20, random.below(20)]) {
      writeFileSync(
        path,
        changed((copy) => {
          copy[earlier + place]! ^= 1 << random.below(8);
        }),
      );
      await expect(recovered()).rejects.toThrow(`is damaged at byte ${earlier}: record ${next - 1} `);
    }
    const refusal: unknown = await recovered().catch((error: unknown) => error);
    expect((refusal as Error).message).toContain(`truncate -s ${earlier} '${path}'`);
    truncateSync(path, earlier);
    expect(await recovered()).toEqual(acknowledged.slice(0, -1));
  });
});
