import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AioContext, AioFile, PoolBuffer } from '../../src/index.ts';
import { Random } from './random.ts';

const BLOCK_BYTES = 4096;

export interface ModelOptions {
  context: AioContext;
  directory: string;
  operations: number;
  /** Operations that are under way at once. */
  concurrency: number;
  files: number;
  /** Blocks of 4096 bytes that a file may grow to, and that one operation may move. */
  fileBlocks: number;
  operationBlocks: number;
  /** Of 1000 operations, how many are a sync, a truncate, or a close and open again. */
  disturbances: number;
  direct?: boolean;
  seed: number;
}

interface Held {
  from: number;
  to: number;
  exclusive: boolean;
}

/** What a file must contain, and which parts of it an operation is using: operations that would race are not started. */
class ModelFile {
  content = Buffer.alloc(0);
  file!: AioFile;
  readonly held = new Set<Held>();
  readonly path: string;
  /** Somebody waits to have the file alone: nothing new begins. */
  #reserved = false;

  constructor(path: string) {
    this.path = path;
  }

  /** Waits until nothing uses the file and runs something that needs it alone. False where somebody else does that already. */
  async alone(run: () => Promise<void>): Promise<boolean> {
    if (this.#reserved) return false;
    this.#reserved = true;
    while (this.held.size > 0) await turn();
    await run();
    this.#reserved = false;
    return true;
  }

  /** Reserves a range; undefined where it would meet one that is in use. */
  hold(from: number, to: number, exclusive: boolean): Held | undefined {
    if (this.#reserved) return undefined;
    for (const other of this.held) {
      if (from < other.to && other.from < to && (exclusive || other.exclusive)) return undefined;
    }
    const held = { from, to, exclusive };
    this.held.add(held);
    return held;
  }

  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.byteLength;
    if (end > this.content.byteLength) this.content = Buffer.concat([this.content], end);
    this.content.set(bytes, position);
  }
}

/** Runs random operations against files and a model of them in memory. Throws at the first difference. */
export class Model {
  readonly #options: ModelOptions;
  readonly #random: Random;
  readonly #files: ModelFile[];
  readonly counts = { read: 0, write: 0, sync: 0, truncate: 0, reopen: 0, shortReads: 0 };

  constructor(options: ModelOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#files = Array.from({ length: options.files }, (_, i) => new ModelFile(join(options.directory, `model-${i}`)));
  }

  async run(): Promise<void> {
    for (const entry of this.#files) entry.file = await this.#open(entry, 'w+');
    let left = this.#options.operations;
    const worker = async (): Promise<void> => {
      while (left > 0) {
        // An operation that would race with another is not done, and does not count.
        if (await this.#operation()) left--;
        else await turn();
      }
    };
    await Promise.all(Array.from({ length: this.#options.concurrency }, worker));
    for (const entry of this.#files) await entry.file.close();
    for (const { path, content } of this.#files) {
      if (!readFileSync(path).equals(content)) throw new Error(`${path} differs from the model`);
    }
  }

  #open({ path }: ModelFile, flags: string): Promise<AioFile> {
    return this.#options.context.open(path, flags, { direct: this.#options.direct ?? true });
  }

  async #operation(): Promise<boolean> {
    const entry = this.#files[this.#random.between(0, this.#files.length - 1)]!;
    if (this.#random.between(0, 999) < this.#options.disturbances) return this.#disturb(entry);
    const { fileBlocks, operationBlocks } = this.#options;
    const length = this.#random.between(1, operationBlocks) * BLOCK_BYTES;
    const position = this.#random.between(0, fileBlocks - 1) * BLOCK_BYTES;
    return this.#random.chance(0.5) ? this.#read(entry, position, length) : this.#write(entry, position, length);
  }

  async #read(entry: ModelFile, position: number, length: number): Promise<boolean> {
    const size = entry.content.byteLength;
    // What lies beyond the end depends on whether somebody extends the file: it is held like any other range.
    const held = entry.hold(position, Math.max(position + length, size), false);
    if (held === undefined) return false;
    this.counts.read++;
    const expected = entry.content.subarray(position, position + length);
    const [buffer, release] = this.#memory(length);
    const bytesRead = await readSomehow(entry.file, buffer, position, this.#random.chance(0.3));
    if (bytesRead !== expected.byteLength || !buffer.subarray(0, bytesRead).equals(expected)) {
      throw new Error(
        `${entry.path}: ${bytesRead} bytes at ${position} differ from the ${expected.byteLength} expected`,
      );
    }
    if (bytesRead < length) this.counts.shortReads++;
    release();
    entry.held.delete(held);
    return true;
  }

  async #write(entry: ModelFile, position: number, length: number): Promise<boolean> {
    const size = entry.content.byteLength;
    const extends_ = position + length > size;
    const held = entry.hold(
      Math.min(position, extends_ ? size : position),
      extends_ ? Infinity : position + length,
      true,
    );
    if (held === undefined) return false;
    this.counts.write++;
    const [buffer, release] = this.#memory(length);
    for (let at = 0; at < length; at += 512) buffer.fill(this.#random.between(1, 255), at, at + 512);
    const { bytesWritten } = await entry.file.write(buffer, 0, length, position);
    if (bytesWritten !== length) throw new Error(`${entry.path}: only ${bytesWritten} of ${length} bytes were written`);
    entry.write(position, buffer);
    release();
    entry.held.delete(held);
    return true;
  }

  /** Memory of the context where it has some left, else memory from elsewhere. */
  #memory(length: number): [Buffer, () => void] {
    if (this.#random.chance(0.7)) {
      try {
        const buffer: PoolBuffer = this.#options.context.allocate(length);
        return [buffer, () => buffer[Symbol.dispose]()];
      } catch {
        // The pool is small on purpose.
      }
    }
    return [Buffer.alloc(length), () => {}];
  }

  async #disturb(entry: ModelFile): Promise<boolean> {
    const kind = this.#random.between(0, 2);
    if (kind === 0) return this.#sync(entry);
    return kind === 1 ? entry.alone(() => this.#truncate(entry)) : entry.alone(() => this.#reopen(entry));
  }

  async #sync(entry: ModelFile): Promise<boolean> {
    // It reads nothing, but the file must stay open.
    const held = entry.hold(0, 0, false);
    if (held === undefined) return false;
    this.counts.sync++;
    await entry.file.datasync();
    entry.held.delete(held);
    return true;
  }

  async #truncate(entry: ModelFile): Promise<void> {
    this.counts.truncate++;
    const length = this.#random.between(0, this.#options.fileBlocks) * BLOCK_BYTES;
    await entry.file.truncate(length);
    entry.content = Buffer.concat([entry.content.subarray(0, length)], length);
  }

  async #reopen(entry: ModelFile): Promise<void> {
    this.counts.reopen++;
    await entry.file.close();
    entry.file = await this.#open(entry, 'r+');
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function readSomehow(file: AioFile, buffer: Buffer, position: number, byCallback: boolean): Promise<number> {
  if (!byCallback) return file.read(buffer, 0, buffer.byteLength, position).then(({ bytesRead }) => bytesRead);
  return new Promise((resolve, reject) => {
    file.read(buffer, 0, buffer.byteLength, position, (error, bytesRead) =>
      error ? reject(error) : resolve(bytesRead),
    );
  });
}
