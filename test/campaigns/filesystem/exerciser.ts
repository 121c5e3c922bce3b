// A file system exerciser, of the kind that fsx is: random operations on one file, each followed by what a model in memory says of it. Here
// the file is open four times at once: through kaio past the page cache and through it, in a mapping of another process, and by fs.
import assert from 'node:assert';
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import type { AioContext, AioFile } from '../../../src/index.ts';
import { Random } from '../../support/random.ts';
import { COLLAPSE_RANGE, INSERT_RANGE, KEEP_SIZE, notSuch, Peer, PUNCH_HOLE, unknownHere, ZERO_RANGE } from './peer.ts';

/** The file never gets larger; the peer maps as much. */
const MOST_BYTES = 1 << 20;
const MOST_TRANSFER_BYTES = 192 << 10;
const PAGE_BYTES = 4096;
/** What of the operations so far a failure shows. */
const SHOWN = 25;

interface Range {
  offset: number;
  length: number;
}

export interface Exercise {
  seed: number;
  operations: number;
  /** How often each operation was done, and what the file system does not have. */
  counts: Readonly<Record<string, number>>;
  missing: readonly string[];
}

/** How often each operation is drawn. */
const weights = {
  directRead: 12,
  directWrite: 12,
  bufferedRead: 8,
  bufferedWrite: 8,
  mappedRead: 8,
  mappedWrite: 8,
  fsRead: 2,
  fsWrite: 2,
  together: 20,
  truncate: 5,
  fsTruncate: 2,
  preallocate: 3,
  punch: 5,
  zero: 3,
  collapse: 2,
  insert: 2,
  clone: 4,
  copy: 3,
  sync: 2,
  evict: 2,
  reopen: 1,
} as const;

type Operation = keyof typeof weights;

const drawn = (Object.keys(weights) as Operation[]).flatMap((name) => new Array<Operation>(weights[name]).fill(name));

/** Does so many operations to a new file in `folder`, the same for the same seed. Throws where something is not as the model has it. */
export async function exercise(
  context: AioContext,
  folder: string,
  seed: number,
  operations: number,
): Promise<Exercise> {
  const exerciser = await Exerciser.begin(context, `${folder}/exercised-${seed}`, seed);
  try {
    for (let done = 0; done < operations; done++) await exerciser.step();
    await exerciser.end();
  } catch (error) {
    throw new Error(`seed ${seed}, the last operations:\n${exerciser.log.slice(-SHOWN).join('\n')}`, { cause: error });
  } finally {
    await exerciser.close();
  }
  return { seed, operations, counts: exerciser.counts, missing: [...exerciser.missing] };
}

class Exerciser {
  readonly counts: Record<string, number> = {};
  readonly missing: Set<string> = new Set();
  readonly log: string[] = [];
  #context: AioContext;
  #path: string;
  #random: Random;
  #direct!: AioFile;
  #buffered!: AioFile;
  #fd: number;
  #peer: Peer;
  #model: Buffer = Buffer.alloc(MOST_BYTES);
  #size = 0;
  /** Somebody stored into the mapping while a direct write was under way. */
  #collided = false;

  static async begin(context: AioContext, path: string, seed: number): Promise<Exerciser> {
    const exerciser = new Exerciser(context, path, seed);
    await exerciser.#open();
    return exerciser;
  }

  private constructor(context: AioContext, path: string, seed: number) {
    this.#context = context;
    this.#path = path;
    this.#random = new Random(seed);
    this.#fd = openSync(path, 'w+');
    this.#peer = new Peer(path, MOST_BYTES);
  }

  async #open(): Promise<void> {
    this.#direct = await this.#context.open(this.#path, 'r+');
    this.#buffered = await this.#context.open(this.#path, 'r+', { direct: false });
  }

  async step(): Promise<void> {
    const name = this.#random.pick(drawn);
    if (this.missing.has(name)) return;
    await this[name]();
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    assert.strictEqual(fstatSync(this.#fd).size, this.#size, 'the size');
  }

  /** The whole file, in each of the ways. */
  async end(): Promise<void> {
    this.log.push('all of it');
    const whole = { offset: 0, length: this.#size };
    await this.#readMapped(whole);
    this.#readByFs(whole);
    await this.#readBuffered(whole);
    await this.evict();
    await this.#readDirect({ offset: 0, length: MOST_BYTES });
    this.#readByFs(whole);
  }

  async close(): Promise<void> {
    await this.#direct.close();
    await this.#buffered.close();
    await this.#peer[Symbol.asyncDispose]();
    closeSync(this.#fd);
  }

  // ---- Ranges, and the model -----------------------------------------------------------------------------------------------

  /** Multiples of `unit`; up to `limit` from the beginning of the file, where that is so long. */
  #range(unit: number, limit: number = MOST_BYTES, most: number = MOST_TRANSFER_BYTES): Range {
    // Now and then up to 1 in 4 of the time a small one: edges meet more often.
    const longest = this.#random.chance(0.4) ? 2 * Math.max(unit, PAGE_BYTES) : most;
    const length = unit * this.#random.between(1, Math.max(1, Math.floor(Math.min(longest, limit) / unit)));
    const offset = unit * this.#random.below(Math.max(1, Math.floor((limit - length) / unit) + 1));
    return { offset, length };
  }

  #note(name: string, { offset, length }: Range, more = ''): void {
    this.log.push(`${name} ${length} at ${offset}${more} (size ${this.#size})`);
  }

  #bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length, this.#random.between(1, 255));
    // Not all alike, or what lands elsewhere would not be seen.
    for (let at = 0; at + 4 <= length; at += 512) bytes.writeUInt32LE(this.#random.next(), at);
    return bytes;
  }

  #wrote({ offset, length }: Range, bytes: Uint8Array): void {
    this.#model.set(bytes, offset);
    this.#size = Math.max(this.#size, offset + length);
  }

  #resized(size: number): void {
    if (size < this.#size) this.#model.fill(0, size, this.#size);
    this.#size = size;
  }

  #expect({ offset, length }: Range, bytes: Uint8Array): void {
    const expected = this.#model.subarray(offset, Math.max(offset, Math.min(offset + length, this.#size)));
    assert.strictEqual(bytes.length, expected.length, 'how much was read');
    if (expected.equals(bytes)) return;
    const at = expected.findIndex((value, i) => value !== bytes[i]);
    assert.fail(`byte ${offset + at} is ${bytes[at]}, and should be ${expected[at]}`);
  }

  /** Memory of the context, or any. */
  #memory(length: number): Buffer & Partial<Disposable> {
    return this.#random.chance(0.7) ? this.#context.allocate(length) : Buffer.alloc(length);
  }

  // ---- Reads and writes in every way ---------------------------------------------------------------------------------------

  async #readBy(file: AioFile, range: Range): Promise<void> {
    const memory = this.#memory(range.length);
    memory.fill(0xee);
    const { bytesRead } = await file.read(memory, 0, range.length, range.offset);
    this.#expect(range, memory.subarray(0, bytesRead));
    memory[Symbol.dispose]?.();
  }

  async #writeBy(file: AioFile, range: Range, bytes: Buffer): Promise<void> {
    const memory = this.#memory(range.length);
    memory.set(bytes);
    const { bytesWritten } = await file.write(memory, 0, range.length, range.offset);
    assert.strictEqual(bytesWritten, range.length);
    memory[Symbol.dispose]?.();
  }

  async #readDirect(range: Range): Promise<void> {
    await this.#readBy(this.#direct, range);
  }

  async #readBuffered(range: Range): Promise<void> {
    await this.#readBy(this.#buffered, range);
  }

  async #readMapped(range: Range): Promise<void> {
    if (range.length > 0) this.#expect(range, await this.#peer.load(range.offset, range.length));
  }

  #readByFs({ offset, length }: Range): void {
    const bytes = Buffer.alloc(length);
    this.#expect({ offset, length }, bytes.subarray(0, readSync(this.#fd, bytes, 0, length, offset)));
  }

  async directRead(): Promise<void> {
    const range = this.#range(this.#direct.alignment.offset);
    this.#note('direct read', range);
    await this.#readDirect(range);
  }

  async directWrite(): Promise<void> {
    // Of whole pages: where a part of a page is dirty, ext4's next fsync fails (docs/durability.md).
    const range = this.#range(Math.max(PAGE_BYTES, this.#direct.alignment.offset));
    this.#note('direct write', range);
    const bytes = this.#bytes(range.length);
    await this.#writeBy(this.#direct, range, bytes);
    this.#wrote(range, bytes);
  }

  async bufferedRead(): Promise<void> {
    const range = this.#range(1);
    this.#note('buffered read', range);
    await this.#readBuffered(range);
  }

  async bufferedWrite(): Promise<void> {
    const range = this.#range(1);
    this.#note('buffered write', range);
    const bytes = this.#bytes(range.length);
    await this.#writeBy(this.#buffered, range, bytes);
    this.#wrote(range, bytes);
  }

  async mappedRead(): Promise<void> {
    if (this.#size === 0) return;
    const range = this.#range(1, this.#size);
    this.#note('mapped read', range);
    await this.#readMapped(range);
  }

  async mappedWrite(): Promise<void> {
    if (this.#size === 0) return;
    const range = this.#range(1, this.#size);
    this.#note('mapped write', range);
    const bytes = this.#bytes(range.length);
    await this.#peer.store(range.offset, bytes);
    this.#wrote(range, bytes);
  }

  async fsRead(): Promise<void> {
    const range = this.#range(1);
    this.#note('fs read', range);
    this.#readByFs(range);
  }

  async fsWrite(): Promise<void> {
    const range = this.#range(1);
    this.#note('fs write', range);
    const bytes = this.#bytes(range.length);
    writeSync(this.#fd, bytes, 0, range.length, range.offset);
    this.#wrote(range, bytes);
  }

  /** Several at once, in different pages and different ways: none may disturb another. */
  async together(): Promise<void> {
    const unit = Math.max(PAGE_BYTES, this.#direct.alignment.offset);
    const size = this.#size;
    const parts: Promise<void>[] = [];
    const written: [Range, Buffer][] = [];
    let end = unit * this.#random.below(16);
    for (let count = this.#random.between(2, 12); count > 0 && end < MOST_BYTES; count--) {
      const length = unit * this.#random.between(1, 8);
      const range = { offset: end, length: Math.min(length, MOST_BYTES - end) };
      end += range.length + unit * this.#random.below(4);
      parts.push(this.#part(range, size, written));
    }
    await Promise.all(parts);
    this.#collided = true;
    for (const [range, bytes] of written) this.#wrote(range, bytes);
  }

  #part(range: Range, size: number, written: [Range, Buffer][]): Promise<void> {
    const within = range.offset + range.length <= size;
    const way = this.#random.pick(['direct', 'buffered', 'mapped'] as const);
    const file = way === 'direct' ? this.#direct : this.#buffered;
    const mapped = way === 'mapped' && within;
    const reads = this.#random.chance(0.4);
    this.#note(
      `together: ${mapped ? 'mapped' : file === this.#direct ? 'direct' : 'buffered'} ${reads ? 'read' : 'write'}`,
      range,
    );
    // How far a read gets is open where another request may extend the file meanwhile.
    if (reads && !within) return Promise.resolve();
    if (reads && mapped) return this.#readMapped(range);
    if (reads) return this.#insist(way, () => this.#readBy(file, range));
    const bytes = this.#bytes(range.length);
    written.push([range, bytes]);
    return mapped ? this.#peer.store(range.offset, bytes) : this.#insist(way, () => this.#writeBy(file, range, bytes));
  }

  /**
   * A store to a hole reserves blocks for the whole folio, which may reach into the range of a direct request. If that finds it before it is
   * written back, the kernel says "Direct I/O collision with buffered writes!" and the request fails: EIO (fs/iomap/direct-io.c,
   * iomap_dio_iter). Nothing is wrong with the file, and the same request passes later.
   */
  async #insist(way: 'direct' | 'buffered' | 'mapped', request: () => Promise<void>): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        return await request();
      } catch (error) {
        if (way !== 'direct' || tries === 20 || (error as { code: string }).code !== 'EIO') throw error;
        this.counts['requestsInCollision'] = (this.counts['requestsInCollision'] ?? 0) + 1;
        fsyncSync(this.#fd);
      }
    }
  }

  // ---- What changes the size, or where the blocks are ----------------------------------------------------------------------

  async truncate(): Promise<void> {
    const size = this.#random.below(MOST_BYTES);
    this.#note('truncate', { offset: size, length: 0 });
    await (this.#random.chance(0.5) ? this.#direct : this.#buffered).truncate(size);
    this.#resized(size);
  }

  async fsTruncate(): Promise<void> {
    const size = this.#random.below(MOST_BYTES);
    this.#note('fs truncate', { offset: size, length: 0 });
    ftruncateSync(this.#fd, size);
    this.#resized(size);
  }

  async preallocate(): Promise<void> {
    const range = this.#range(1);
    this.#note('preallocate', range);
    const failure = await this.#direct
      .preallocate(range.offset, range.length)
      .catch((error: { code: string }) => error);
    if (failure?.code === 'ENOTSUP') this.missing.add('preallocate');
    else if (failure !== undefined) throw failure;
    else this.#resized(Math.max(this.#size, range.offset + range.length));
  }

  /** False where the file system does not have it. */
  #has(name: Operation, result: number): boolean {
    if (unknownHere(result)) this.missing.add(name);
    if (unknownHere(result) || notSuch(result)) return false;
    assert.ok(result >= 0, `${name} gave ${result}`);
    return true;
  }

  async punch(): Promise<void> {
    const range = this.#range(1);
    this.#note('punch', range);
    const result = await this.#peer.fallocate(PUNCH_HOLE, range.offset, range.length);
    if (this.#has('punch', result)) this.#model.fill(0, range.offset, range.offset + range.length);
  }

  async zero(): Promise<void> {
    const range = this.#range(1);
    const keep = this.#random.chance(0.5);
    this.#note('zero', range, keep ? ', size kept' : '');
    const result = await this.#peer.fallocate(ZERO_RANGE | (keep ? KEEP_SIZE : 0), range.offset, range.length);
    if (!this.#has('zero', result)) return;
    this.#model.fill(0, range.offset, range.offset + range.length);
    if (!keep) this.#resized(Math.max(this.#size, range.offset + range.length));
  }

  async collapse(): Promise<void> {
    const range = this.#range(PAGE_BYTES);
    if (range.offset + range.length >= this.#size) return;
    this.#note('collapse', range);
    if (!this.#has('collapse', await this.#peer.fallocate(COLLAPSE_RANGE, range.offset, range.length))) return;
    this.#model.copyWithin(range.offset, range.offset + range.length, this.#size);
    this.#resized(this.#size - range.length);
  }

  async insert(): Promise<void> {
    const range = this.#range(PAGE_BYTES);
    if (range.offset >= this.#size || this.#size + range.length > MOST_BYTES) return;
    this.#note('insert', range);
    if (!this.#has('insert', await this.#peer.fallocate(INSERT_RANGE, range.offset, range.length))) return;
    this.#model.copyWithin(range.offset + range.length, range.offset, this.#size);
    this.#model.fill(0, range.offset, range.offset + range.length);
    this.#resized(this.#size + range.length);
  }

  /** A source and a destination of the same length that do not touch, the source within the file. */
  #two(unit: number): { from: Range; to: number } | undefined {
    if (this.#size < unit) return undefined;
    const from = this.#range(unit, this.#size);
    const to = unit * this.#random.below((MOST_BYTES - from.length) / unit);
    return Math.abs(to - from.offset) < from.length ? undefined : { from, to };
  }

  async clone(): Promise<void> {
    const two = this.#two(PAGE_BYTES);
    if (two === undefined) return;
    const { from, to } = two;
    this.#note('clone', from, ` to ${to}`);
    if (this.#has('clone', await this.#peer.clone(from.offset, to, from.length))) this.#copied(from, to);
  }

  async copy(): Promise<void> {
    const two = this.#two(1);
    if (two === undefined) return;
    const { from, to } = two;
    this.#note('copy', from, ` to ${to}`);
    const copied = await this.#peer.copy(from.offset, to, from.length);
    if (this.#has('copy', copied)) this.#copied({ ...from, length: copied }, to);
  }

  #copied(from: Range, to: number): void {
    this.#wrote({ offset: to, length: from.length }, this.#model.slice(from.offset, from.offset + from.length));
  }

  // ---- What changes nothing ------------------------------------------------------------------------------------------------

  async sync(): Promise<void> {
    this.log.push('sync');
    await this.#syncAll(this.#random.chance(0.5));
    await this.#peer.flush(0, PAGE_BYTES);
  }

  /**
   * Where a page was stored to between a direct write's look at the page cache and its end, the kernel says so at the next fsync of each
   * descriptor, once (mm/filemap.c, dio_warn_stale_pagecache): EIO. What is in the file is looked at all the same.
   */
  async #syncAll(data: boolean): Promise<void> {
    for (const file of [this.#direct, this.#buffered]) {
      try {
        await (data ? file.datasync() : file.sync());
      } catch (error) {
        if (!this.#collided || (error as { code: string }).code !== 'EIO') throw error;
        this.counts['syncsAfterCollision'] = (this.counts['syncsAfterCollision'] ?? 0) + 1;
        await file.sync();
      }
    }
    this.#collided = false;
  }

  /** What is read next comes from the disk. */
  async evict(): Promise<void> {
    this.log.push('sync and evict');
    await this.#syncAll(false);
    await this.#peer.evict();
  }

  async reopen(): Promise<void> {
    this.log.push('reopen');
    await this.#direct.close();
    await this.#buffered.close();
    await this.#open();
  }
}
