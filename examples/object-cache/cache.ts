import { constants } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { AioContext, AioFile, PoolBuffer } from 'kaio';
import { Buffers } from './buffers.ts';

const { O_CREAT, O_RDWR } = constants;
const ALIGNMENT_BYTES = 4096;

export interface CacheOptions {
  /** How long the file is, in bytes: a multiple of `blockBytes`. */
  capacity: number;
  /** Objects take whole blocks of so many bytes, which need not be neighbours: a multiple of 4096, which is the default. */
  blockBytes?: number;
  /** The largest object in blocks; default 64. */
  maxBlocks?: number;
  /** Reads and writes of objects at once, each with memory for the largest one; default 32. */
  concurrency?: number;
}

export interface CacheStats {
  hits: number;
  misses: number;
  /** Objects that were read from the disk: fewer than hits where several asked for one at the same time. */
  reads: number;
  evictions: number;
  objects: number;
  freeBlocks: number;
}

/** An object on the disk. It never changes: whoever sets its key again makes another one. */
interface Entry {
  readonly bytes: number;
  blocks: number[];
  checksum: number;
  /** Settles when the object is on the disk, or cannot be. */
  written: Promise<void>;
  /** The read that everybody waits for who wants the object just now. */
  reading: Promise<Buffer> | undefined;
  /** Reads and writes that use the blocks. */
  uses: number;
  /** Whether the index has it. An entry without index and uses gives its blocks back. */
  indexed: boolean;
}

/**
 * A cache of objects in one file of a fixed size. The index is in memory, so that the cache is empty when it is opened, whatever the file
 * holds, and nothing is synced: all that a crash can take are copies.
 *
 * - A `get` sees what the last `set` before it has stored, and waits where that is still being written.
 * - Where there is no room, those objects go that nobody has used for the longest time and nobody is reading.
 * - What is deleted or set anew while it is read keeps its blocks until then: nobody ever gets bytes of another object.
 */
export class ObjectCache implements AsyncDisposable {
  readonly #file: AioFile;
  readonly #buffers: Buffers;
  readonly #blockBytes: number;
  readonly #maxBlocks: number;
  /** In the order of their last use, the oldest first: a Map keeps the order in which keys were added. */
  readonly #index = new Map<string, Entry>();
  readonly #free: number[];
  /** Room is made for one after another, so that a large object is not kept waiting by many small ones. */
  #allocating: Promise<unknown> = Promise.resolve();
  /** Called when an entry is no longer in use. */
  #wake = (): void => {};
  #hits = 0;
  #misses = 0;
  #reads = 0;
  #evictions = 0;

  private constructor(file: AioFile, { capacity, blockBytes, maxBlocks, concurrency }: Required<CacheOptions>) {
    this.#file = file;
    this.#blockBytes = blockBytes;
    this.#maxBlocks = maxBlocks;
    this.#buffers = new Buffers(file.context, concurrency, maxBlocks * blockBytes);
    this.#free = Array.from({ length: capacity / blockBytes }, (_, block) => block).reverse();
  }

  /** Opens an empty cache in the file at `path`, with memory of the context. What was in the file is lost. */
  static async open(context: AioContext, path: string, options: CacheOptions): Promise<ObjectCache> {
    const { capacity, blockBytes = ALIGNMENT_BYTES, maxBlocks = 64, concurrency = 32 } = options;
    if (!(blockBytes > 0) || blockBytes % ALIGNMENT_BYTES !== 0) {
      throw new RangeError(`blockBytes must be a multiple of ${ALIGNMENT_BYTES}, not ${blockBytes}`);
    }
    if (capacity % blockBytes !== 0 || !(capacity >= maxBlocks * blockBytes)) {
      throw new RangeError(
        `capacity must be a multiple of ${blockBytes} that holds the largest object of ${maxBlocks * blockBytes} bytes, not ${capacity}`,
      );
    }
    const file = await context.open(path, O_RDWR | O_CREAT, { direct: 'auto' });
    try {
      await file.preallocate(0, capacity);
      return new ObjectCache(file, { capacity, blockBytes, maxBlocks, concurrency });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Looks an object up.
   *
   * @returns Its bytes, or undefined. Those who ask at the same time are given the same Buffer: do not change it.
   */
  async get(key: string): Promise<Buffer | undefined> {
    const entry = this.#index.get(key);
    if (entry === undefined) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    this.#index.delete(key);
    this.#index.set(key, entry);
    entry.reading ??= this.#read(key, entry);
    return await entry.reading;
  }

  /** Stores an object, of up to `maxBlocks` blocks. Do not change `data` before the promise is settled. */
  async set(key: string, data: Uint8Array): Promise<void> {
    const most = this.#maxBlocks * this.#blockBytes;
    if (data.length > most) throw new RangeError(`An object has at most ${most} bytes, not ${data.length}`);
    this.delete(key);
    const entry: Entry = {
      bytes: data.length,
      blocks: [],
      checksum: 0,
      written: Promise.resolve(),
      reading: undefined,
      uses: 0,
      indexed: true,
    };
    this.#index.set(key, entry);
    entry.written = this.#write(key, entry, data);
    await entry.written;
  }

  /** Forgets an object. Returns whether there was one. */
  delete(key: string): boolean {
    const entry = this.#index.get(key);
    if (entry === undefined) return false;
    this.#index.delete(key);
    entry.indexed = false;
    this.#settle(entry);
    return true;
  }

  get stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      reads: this.#reads,
      evictions: this.#evictions,
      objects: this.#index.size,
      freeBlocks: this.#free.length,
    };
  }

  /** Waits for what is being read and written, and closes the file. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#index.values()].flatMap(({ written, reading }) => [written, reading]));
    this.#index.clear();
    await this.#file.close();
    this.#buffers[Symbol.dispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- One object --------------------------------------------------------------------------------------------------------

  async #read(key: string, entry: Entry): Promise<Buffer> {
    entry.uses++;
    try {
      await entry.written;
      this.#reads++;
      return await this.#withBuffer((buffer) => this.#readInto(buffer, entry));
    } catch (error) {
      this.#forget(key, entry);
      throw error;
    } finally {
      entry.reading = undefined;
      this.#release(entry);
    }
  }

  async #readInto(buffer: PoolBuffer, entry: Entry): Promise<Buffer> {
    await this.#transfer(entry.blocks, (offset, length, position) =>
      this.#file.read(buffer, offset, length, position).then(({ bytesRead }) => bytesRead),
    );
    const data = Buffer.from(buffer.subarray(0, entry.bytes));
    if (crc32(data) !== entry.checksum) throw new Error(`Somebody else has written to ${this.#file.path}`);
    return data;
  }

  async #write(key: string, entry: Entry, data: Uint8Array): Promise<void> {
    entry.uses++;
    try {
      entry.blocks = await this.#allocate(Math.ceil(data.length / this.#blockBytes));
      await this.#withBuffer((buffer) => this.#writeFrom(buffer, entry, data));
    } catch (error) {
      this.#forget(key, entry);
      throw error;
    } finally {
      this.#release(entry);
    }
  }

  async #writeFrom(buffer: PoolBuffer, entry: Entry, data: Uint8Array): Promise<void> {
    buffer.set(data);
    buffer.fill(0, data.length, entry.blocks.length * this.#blockBytes);
    entry.checksum = crc32(data);
    await this.#transfer(entry.blocks, (offset, length, position) =>
      this.#file.write(buffer, offset, length, position).then(({ bytesWritten }) => bytesWritten),
    );
  }

  async #withBuffer<T>(use: (buffer: PoolBuffer) => Promise<T>): Promise<T> {
    const buffer = await this.#buffers.take();
    try {
      return await use(buffer);
    } finally {
      this.#buffers.give(buffer);
    }
  }

  /** Moves the blocks from or to a buffer, neighbours in one request, and all requests at once: they go to the kernel together. */
  async #transfer(
    blocks: readonly number[],
    request: (offset: number, length: number, position: number) => Promise<number>,
  ): Promise<void> {
    const requests: Promise<void>[] = [];
    for (let from = 0, to = 1; from < blocks.length; from = to++) {
      while (to < blocks.length && blocks[to] === blocks[to - 1]! + 1) to++;
      const length = (to - from) * this.#blockBytes;
      const moved = request(from * this.#blockBytes, length, blocks[from]! * this.#blockBytes);
      requests.push(
        moved.then((bytes) => {
          if (bytes !== length) throw new Error(`${this.#file.path} is too short: somebody else has cut it off`);
        }),
      );
    }
    // The buffer can be used again only when all of them have ended, also where one has failed.
    const failed = (await Promise.allSettled(requests)).find(({ status }) => status === 'rejected');
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  }

  /** Removes an entry that is of no use, unless the key has another one by now. */
  #forget(key: string, entry: Entry): void {
    if (this.#index.get(key) === entry) this.delete(key);
  }

  #release(entry: Entry): void {
    entry.uses--;
    this.#settle(entry);
  }

  /** Takes the blocks of an entry back that nobody can find or uses any more. */
  #settle(entry: Entry): void {
    if (entry.uses > 0) return;
    if (!entry.indexed) this.#free.push(...entry.blocks.splice(0).reverse());
    this.#wake();
  }

  // ---- Room --------------------------------------------------------------------------------------------------------------

  #allocate(count: number): Promise<number[]> {
    const allocated = this.#allocating.then(async () => {
      while (!this.#makeRoom(count)) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      return this.#free.splice(this.#free.length - count).reverse();
    });
    this.#allocating = allocated;
    return allocated;
  }

  /** Evicts what was not used for the longest time. Returns whether that was enough. */
  #makeRoom(count: number): boolean {
    if (this.#free.length >= count) return true;
    for (const [key, entry] of this.#index) {
      if (entry.uses > 0) continue;
      this.#evictions++;
      this.delete(key);
      if (this.#free.length >= count) return true;
    }
    return false;
  }
}
