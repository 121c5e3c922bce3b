import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { AioContext, AioFile, PoolBuffer } from '../../../src/index.ts';
import { Random } from '../../support/random.ts';
import { SECTOR_BYTES } from './mapper.ts';

export const BLOCK_BYTES = 4096;
const SECTORS = BLOCK_BYTES / SECTOR_BYTES;

/** A sector says in each of its words where it belongs and which write it is of. */
function wordOf(sector: number, generation: number): bigint {
  return (BigInt(sector) << 32n) | BigInt(generation);
}

function stamp(bytes: Buffer, firstBlock: number, generation: number): void {
  const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
  const wordsOfSector = SECTOR_BYTES / 8;
  for (let at = 0; at < words.length; at += wordsOfSector) {
    words.fill(wordOf(firstBlock * SECTORS + at / wordsOfSector, generation), at, at + wordsOfSector);
  }
}

/** What may be in each sector of a device: what the last acknowledged write left, or part of one that failed after it. */
export class Ledger {
  readonly blocks: number;
  readonly #possible: Set<number>[];

  /** Of a device whose sectors all hold generation 0, see `fill`. */
  constructor(blocks: number) {
    this.blocks = blocks;
    this.#possible = Array.from({ length: blocks * SECTORS }, () => new Set([0]));
  }

  /** A write was acknowledged up to `bytes`, and beyond them it failed: there the device may have part of it. */
  wrote(block: number, generation: number, byteLength: number, bytes: number): void {
    for (let sector = 0; sector < byteLength / SECTOR_BYTES; sector++) {
      const possible = this.#possible[block * SECTORS + sector]!;
      if ((sector + 1) * SECTOR_BYTES <= bytes) possible.clear();
      possible.add(generation);
    }
  }

  /** Throws where bytes that were read are none of what may be there. */
  check(block: number, bytes: Buffer, what: string): void {
    const words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
    for (let at = 0; at < bytes.byteLength; at += SECTOR_BYTES) {
      const sector = block * SECTORS + at / SECTOR_BYTES;
      const word = words[at / 8]!;
      const [place, generation] = [Number(word >> 32n), Number(word & 0xffff_ffffn)];
      const possible = this.#possible[sector]!;
      // All words are the same where each is what the one before is.
      const whole = bytes.compare(bytes, at + 8, at + SECTOR_BYTES, at, at + SECTOR_BYTES - 8) === 0;
      if (whole && place === sector && possible.has(generation)) continue;
      const expected = [...possible].join(' or ');
      const found = whole ? `write ${generation} of sector ${place}` : 'parts of several writes';
      throw new Error(`${what}: sector ${sector} holds ${found}, not write ${expected} of its own`);
    }
  }

  /** Reads the whole device, without kaio, and checks it. */
  checkAll(path: string): void {
    const fd = openSync(path, constants.O_RDONLY);
    try {
      const bytes = Buffer.alloc(256 * BLOCK_BYTES);
      for (let block = 0; block < this.blocks; block += 256) {
        const length = Math.min(bytes.byteLength, (this.blocks - block) * BLOCK_BYTES);
        const read = readSync(fd, bytes, 0, length, block * BLOCK_BYTES);
        if (read !== length) throw new Error(`${path}: ${read} of ${length} bytes at block ${block}`);
        this.check(block, bytes.subarray(0, length), path);
      }
    } finally {
      closeSync(fd);
    }
  }
}

/** Writes generation 0 everywhere. */
export async function fill(file: AioFile, context: AioContext, blocks: number): Promise<void> {
  const bytes = context.allocate(64 * BLOCK_BYTES);
  for (let block = 0; block < blocks; block += 64) {
    const length = Math.min(64, blocks - block) * BLOCK_BYTES;
    stamp(bytes, block, 0);
    await file.write(bytes, 0, length, block * BLOCK_BYTES);
  }
  bytes[Symbol.dispose]();
  await file.datasync();
}

export interface LoadOptions {
  context: AioContext;
  file: AioFile;
  ledger: Ledger;
  seed: number;
  /** Requests in flight. */
  concurrency: number;
  /** Largest request, in blocks. */
  most: number;
}

/** Random reads and writes that never overlap while they are under way, each checked against the ledger. */
export class Load {
  readonly counts = { read: 0, written: 0, synced: 0 };
  /** How often requests failed, by the code of the error. */
  readonly failures: Record<string, number> = {};
  readonly #options: LoadOptions;
  readonly #random: Random;
  readonly #held: Set<readonly [from: number, to: number]> = new Set();
  #generation = 0;
  #stopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  /** Ends when `stop` has been called and every request has been settled; throws at the first byte that is wrong. */
  async run(): Promise<void> {
    const worker = async (): Promise<void> => {
      while (!this.#stopped) await this.#request();
    };
    await Promise.all(Array.from({ length: this.#options.concurrency }, worker));
  }

  stop(): void {
    this.#stopped = true;
  }

  get settled(): number {
    const { read, written, synced } = this.counts;
    return Object.values(this.failures).reduce((sum, count) => sum + count, read + written + synced);
  }

  async #request(): Promise<void> {
    const { ledger, most, file, context } = this.#options;
    const count = this.#random.between(1, most);
    const block = this.#random.below(ledger.blocks - count + 1);
    const held = [block, block + count] as const;
    if ([...this.#held].some(([from, to]) => from < held[1] && held[0] < to)) return turn();
    this.#held.add(held);
    const buffer = context.allocate(count * BLOCK_BYTES);
    try {
      if (this.#random.chance(0.05)) await this.#sync(file);
      else if (this.#random.chance(0.5)) await this.#read(buffer, block);
      else await this.#write(buffer, block);
    } finally {
      buffer[Symbol.dispose]();
      this.#held.delete(held);
    }
  }

  async #sync(file: AioFile): Promise<void> {
    if (await this.#failed(file.datasync())) return;
    this.counts.synced++;
  }

  async #read(buffer: PoolBuffer, block: number): Promise<void> {
    const { file, ledger } = this.#options;
    buffer.fill(0xff);
    const reading = file.read(buffer, 0, buffer.byteLength, block * BLOCK_BYTES);
    if (await this.#failed(reading)) return;
    const { bytesRead } = await reading;
    ledger.check(block, buffer.subarray(0, bytesRead), `a read of ${buffer.byteLength} bytes that gave ${bytesRead}`);
    this.counts.read++;
  }

  async #write(buffer: PoolBuffer, block: number): Promise<void> {
    const { file, ledger } = this.#options;
    const generation = ++this.#generation;
    stamp(buffer, block, generation);
    const writing = file.write(buffer, 0, buffer.byteLength, block * BLOCK_BYTES);
    const failed = await this.#failed(writing);
    const bytes = failed ? 0 : (await writing).bytesWritten;
    ledger.wrote(block, generation, buffer.byteLength, bytes);
    if (!failed) this.counts.written++;
  }

  /** Counts a failure that the kernel named; what kaio itself finds wrong is the end. */
  async #failed(request: Promise<unknown>): Promise<boolean> {
    try {
      await request;
      return false;
    } catch (error) {
      const { code = '', syscall } = error as NodeJS.ErrnoException;
      if (syscall === undefined) throw error;
      this.failures[code] = (this.failures[code] ?? 0) + 1;
      return true;
    }
  }
}

/** Waits until `load` has settled so many more requests. */
export async function progress(load: Load, requests: number): Promise<void> {
  const goal = load.settled + requests;
  while (load.settled < goal) await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
