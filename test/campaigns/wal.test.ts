// The log of examples/wal under SIGKILL at random moments, and with the power cut at random moments on a disk that forgets what was
// not synced. KAIO_LONG=1 does each two hundred times; KAIO_SEED runs another series.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AioContext, AioFile } from 'kaio';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import { FRAME_BYTES } from '../../examples/wal/frame.ts';
import { Log } from '../../examples/wal/log.ts';
import { runNode } from '../support/child.ts';
import { Random } from '../support/random.ts';
import { campaignCommand, keepResults, repetitionOf } from '../support/results.ts';
import { place, scratchFolder } from '../support/scratch.ts';

const ROUNDS = process.env.KAIO_LONG === '1' ? 200 : 12;
const SEED = Number(process.env.KAIO_SEED ?? 6);
const WRITERS = 32;
/** Two hundred kills take some minutes, and more on a busy machine. */
const TIME_LIMIT_MS = 3_600_000;

const folder = scratchFolder();
const context = new AioContext({ depth: 16, memory: 16 * FRAME_BYTES });
/** What the log went through, and came back from. */
const figures: Record<string, object> = {};
afterAll(async () => {
  await context.close();
  keepResults('wal', repetitionOf(campaignCommand('wal'), SEED), figures);
});

/** What the record with a number holds: mostly small, now and then large, so that frames of all sizes are torn. The child has it too. */
function contentOf(number: number): Buffer {
  const mixed = Math.imul(number + 1, 0x9e3779b1) >>> 0;
  const length = mixed % 97 === 0 ? 400_000 : mixed % 9000;
  return Buffer.alloc(length, `record ${number} ${mixed} `);
}

/** Appends for ever, as many writers that each wait for their own record, and says what was acknowledged. */
const writer = `
  import { writeSync } from 'node:fs';
  const { Log } = await import('${new URL('../../examples/out/wal/log.js', import.meta.url).href}');
  ${contentOf.toString()}
  writeSync(1, 'opening\\n');
  const log = await Log.open(process.argv.at(-1), { segmentBytes: ${FRAME_BYTES} });
  async function write() {
    for (;;) {
      const number = await log.append(contentOf(log.next));
      writeSync(1, number + '\\n');
      if (number % 100 === 0) await log.forget(number - 1000);
    }
  }
  await Promise.all(Array.from({ length: ${WRITERS} }, write));
`;

interface Recovered {
  first: number;
  next: number;
}

/** Opens the log and holds every record against what it must be. */
async function recover(path: string): Promise<Recovered> {
  await using log = await Log.open(path, { context, segmentBytes: FRAME_BYTES });
  let first: number | undefined;
  let next: number | undefined;
  for await (const { number, data } of log.records()) {
    first ??= number;
    expect(number).toBe(next ?? first);
    expect(data.equals(contentOf(number)), `record ${number}`).toBe(true);
    next = number + 1;
  }
  expect(log.next).toBe(next ?? 0);
  return { first: first ?? 0, next: log.next };
}

test(
  `after each of ${ROUNDS} SIGKILLs all that was acknowledged is there, and nothing is torn`,
  async () => {
    const random = new Random(SEED);
    const path = join(folder, 'killed');
    let acknowledged = 0;
    let [duringOpen, recoveredMore] = [0, 0];
    for (let round = 0; round < ROUNDS; round++) {
      // One in four in the first milliseconds, when it recovers; the others once some records were acknowledged, and a moment later.
      const early = random.chance(0.25);
      const [delay, wanted] = [random.between(0, early ? 30 : 20), early ? 0 : random.between(1, 3000)];
      let armed = false;
      const { stdout, stderr, signal } = await runNode(writer, {
        args: ['--', path],
        timeLimitMs: 60_000,
        onOutput(sofar, child) {
          if (armed || sofar.split('\n').length - 1 <= wanted) return;
          armed = true;
          setTimeout(() => child.kill('SIGKILL'), delay);
        },
      });
      expect({ signal, stderr }, `round ${round} of seed ${SEED}`).toEqual({ signal: 'SIGKILL', stderr: '' });
      // The last line may be cut off in the middle.
      const numbers = stdout.split('\n').slice(1, -1).map(Number);
      const before = acknowledged;
      for (const number of numbers) acknowledged = Math.max(acknowledged, number + 1);
      // Nobody was told that an old record's number is free.
      expect(numbers.every((number) => number >= before || numbers.length === 0)).toBe(true);
      if (numbers.length === 0) duringOpen++;

      const { first, next } = await recover(path);
      expect(next, `round ${round} of seed ${SEED}`).toBeGreaterThanOrEqual(acknowledged);
      expect(first).toBeLessThanOrEqual(Math.max(acknowledged - 900, 0));
      if (next > acknowledged) recoveredMore++;
      acknowledged = next;
    }
    expect(acknowledged).toBeGreaterThan(ROUNDS);
    figures['kills'] = { seed: SEED, rounds: ROUNDS, records: acknowledged, duringOpen, recoveredMore };
  },
  TIME_LIMIT_MS,
);

const SECTOR_BYTES = 512;

/** What a disk may have done when the power goes: of a write that no sync has followed, any sectors may have arrived. */
class ForgetfulDisk {
  /** Each file as of its last sync, and the writes since then. */
  readonly #durable = new Map<string, Buffer>();
  readonly #volatile = new Map<string, { at: number; data: Buffer }[]>();

  /** Follows what is written in a folder, all of which is durable so far. */
  watch(folder: string): void {
    const disk = this;
    for (const name of readdirSync(folder)) this.#sync(join(folder, name));
    const { write, datasync, sync } = AioFile.prototype;
    vi.spyOn(AioFile.prototype, 'write').mockImplementation(async function (this: AioFile, ...args: unknown[]) {
      const [memory, offset, length, at] = args as [Buffer, number, number, number];
      const data = Buffer.from(memory.subarray(offset, offset + length));
      const writes = disk.#volatile.get(this.path!) ?? [];
      disk.#volatile.set(this.path!, [...writes, { at, data }]);
      return await Reflect.apply(write, this, args);
    } as never);
    vi.spyOn(AioFile.prototype, 'datasync').mockImplementation(async function (this: AioFile) {
      await Reflect.apply(datasync, this, []);
      const bytes = disk.#durable.get(this.path!)!;
      for (const { at, data } of disk.#volatile.get(this.path!) ?? []) data.copy(bytes, at);
      disk.#volatile.delete(this.path!);
    } as never);
    // That of a segment which is prepared: it may have got another size, or another name.
    vi.spyOn(AioFile.prototype, 'sync').mockImplementation(async function (this: AioFile) {
      await Reflect.apply(sync, this, []);
      if (this.path!.endsWith('.wal')) disk.#sync(this.path!);
    } as never);
  }

  #sync(path: string): void {
    this.#durable.set(path, readFileSync(path));
  }

  /** The folder as it may be found when the power is back. */
  image(from: string, to: string, random: Random): void {
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to);
    for (const name of readdirSync(from)) {
      const bytes = Buffer.from(this.#durable.get(join(from, name)) ?? Buffer.alloc(0));
      for (const { at, data } of this.#volatile.get(join(from, name)) ?? []) {
        const probability = random.pick([0, 0.1, 0.5, 0.9, 1]);
        for (let sector = 0; sector < data.length; sector += SECTOR_BYTES) {
          if (random.chance(probability)) data.copy(bytes, at + sector, sector, sector + SECTOR_BYTES);
        }
      }
      writeFileSync(join(to, name), bytes);
    }
  }
}

test(
  `after each of ${ROUNDS} power cuts all that was acknowledged is there, and nothing is torn`,
  async () => {
    const random = new Random(SEED + 1);
    // What is durable is the model's affair: the files may be in memory.
    const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : place, 'kaio-test-wal-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    let path = join(folder, 'before');
    mkdirSync(path);
    let acknowledged = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const disk = new ForgetfulDisk();
      disk.watch(path);
      const after = join(folder, `after-${round}`);
      const log = await Log.open(path, { context, segmentBytes: FRAME_BYTES });
      await log.forget(log.next - 300);
      const cut = acknowledged + random.between(1, 600);
      const write = async (): Promise<void> => {
        while (log.next < cut + WRITERS) {
          const number = await log.append(contentOf(log.next));
          acknowledged = Math.max(acknowledged, number + 1);
        }
      };
      const writers = Array.from({ length: WRITERS }, write);
      while (acknowledged < cut) await new Promise(setImmediate);
      // Between here and the copy nothing else runs: what is acknowledged now must be in it.
      disk.image(path, after, random);
      const known = acknowledged;
      await Promise.all(writers);
      await log.close();
      vi.restoreAllMocks();

      // Recovering twice comes to the same, as if the power had gone again in the middle.
      const copy = join(folder, 'copy');
      cpSync(after, copy, { recursive: true });
      const recovered = await recover(after);
      expect(await recover(copy)).toEqual(recovered);
      rmSync(copy, { recursive: true });
      const { next } = recovered;
      expect(next, `round ${round} of seed ${SEED}`).toBeGreaterThanOrEqual(known);
      rmSync(path, { recursive: true });
      acknowledged = next;
      path = after;
    }
    expect(basename(path)).toBe(`after-${ROUNDS - 1}`);
    figures['power cuts'] = { seed: SEED + 1, rounds: ROUNDS, records: acknowledged };
  },
  TIME_LIMIT_MS,
);
