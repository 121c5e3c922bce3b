import { constants } from 'node:fs';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { AioContext, type AioFile, type PoolBuffer } from 'kaio';
import { FRAME_BYTES, type LogRecord, packFrame, RECORD_BYTES, recordsOf, sealFrame, sizeOnDisk } from './frame.ts';
import { DamageError, newSegment, type Segment, SegmentReader, segmentsIn } from './segment.ts';

export type { LogRecord } from './frame.ts';

const { O_CREAT, O_RDWR } = constants;
const SPARE = '.spare';

export interface LogOptions {
  /** Whose queue and memory the log uses (2 MiB); default `AioContext.default`. */
  context?: AioContext;
  /** How long a segment file is, in bytes; default 16 MiB, at least 1 MiB. */
  segmentBytes?: number;
  /** Whether a folder that is not there is made; default true. */
  create?: boolean;
}

/** A record that waits to be durable. */
interface Waiting {
  readonly data: Uint8Array;
  readonly resolve: (number: number) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A write-ahead log: what `append` has acknowledged survives a crash of the program, of the kernel, and a power cut.
 *
 * It is right because of four rules:
 * - **One frame at a time.** A frame is written when the one before is durable. So a crash tears the last frame and no other, and nothing
 *   whole is ever behind a torn one. What came meanwhile makes up the next frame, however many records that are: group commit.
 * - **A block is written once in a segment's life.** To fill up a block that holds acknowledged records could tear those.
 * - **A segment is made durable before it is used**: its size, its blocks, and its name in the folder.
 * - **Recovery changes nothing that counts.** A frame that is not whole ends the log, and the next one is written over it.
 *
 * One program at a time may open a folder: the log does not lock it.
 */
export class Log implements AsyncDisposable {
  readonly #folder: string;
  readonly #context: AioContext;
  readonly #segmentBytes: number;
  readonly #memory: PoolBuffer;
  #segments: Segment[] = [];
  /** Files that may be used again. Blocks that were written before need no change of metadata, so that a datasync is quicker. */
  #spares: string[] = [];
  /** The last segment, where in it the next frame goes, and the number of the next record. */
  #file: AioFile | undefined;
  #position = 0;
  #next = 0;
  #waiting: Waiting[] = [];
  #committing: Promise<void> | undefined;
  /** Why it takes no more records. */
  #ended: Error | undefined;
  #syncs = 0;

  private constructor(folder: string, { context = AioContext.default, segmentBytes = 16 * FRAME_BYTES }: LogOptions) {
    if (!Number.isSafeInteger(segmentBytes) || segmentBytes < FRAME_BYTES) {
      throw new RangeError(`segmentBytes must be a whole number from ${FRAME_BYTES} on, not ${segmentBytes}`);
    }
    this.#folder = resolve(folder);
    this.#context = context;
    this.#segmentBytes = sizeOnDisk(segmentBytes);
    this.#memory = context.allocate(FRAME_BYTES);
  }

  /**
   * Opens the log in a folder, which is made if only its parent is there, unless `create` is false, and finds its end. All that it holds
   * then is durable.
   *
   * @throws (rejects) DamageError where more is missing than a crash can take away; the system errors of the file system.
   */
  static async open(folder: string, options: LogOptions = {}): Promise<Log> {
    const log = new Log(folder, options);
    try {
      if (options.create ?? true) await log.#makeFolder();
      await log.#recover();
      return log;
    } catch (error) {
      await log.#release();
      throw error;
    }
  }

  /** The number that the next record gets. */
  get next(): number {
    return this.#next + this.#waiting.length;
  }

  /** How often it has made frames durable: less often than records, if those come faster than the disk can. */
  get syncs(): number {
    return this.#syncs;
  }

  /**
   * Appends a record of up to 1 MiB less 20 bytes. Do not change `data` before the promise is settled.
   *
   * @returns The record's number, once the record is durable. Records become durable in the order in which they were appended.
   * @throws (rejects) the system error of the write or sync that failed. What becomes of the record is then open, and the log takes no
   * more: open it again to see.
   */
  append(data: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) throw this.#ended;
      if (!(data instanceof Uint8Array))
        throw new TypeError('A record is a Buffer or Uint8Array: Buffer.from(text) makes one');
      if (data.length > RECORD_BYTES) {
        throw new RangeError(`A record has at most ${RECORD_BYTES} bytes, not ${data.length}: divide it`);
      }
      this.#waiting.push({ data, resolve, reject });
      this.#committing ??= this.#commit();
    });
  }

  /**
   * The records from a number on, up to the last that is durable when the first of them is asked for.
   *
   * @throws (rejects) DamageError where one is missing.
   */
  async *records(from = 0): AsyncGenerator<LogRecord> {
    const end = this.#next;
    const segments = [...this.#segments];
    using memory = this.#context.allocate(FRAME_BYTES);
    for (const [index, segment] of segments.entries()) {
      const segmentEnd = segments[index + 1]?.first ?? end;
      if (segmentEnd <= from) continue;
      await using file = await this.#context.open(segment.path, 'r', { direct: 'auto' });
      const reader = new SegmentReader(file, segment, memory);
      let position = 0;
      for (let number = segment.first; number < segmentEnd; ) {
        const frame = await reader.frame(position, number);
        if (frame === undefined) throw new DamageError(segment, position, number);
        position += sizeOnDisk(frame.length);
        for (const record of recordsOf(frame)) {
          number = record.number + 1;
          if (record.number >= from) yield { number: record.number, data: Buffer.from(record.data) };
        }
      }
    }
  }

  /**
   * Says that records before this number are no longer needed. Segments that hold no others are used again; `records` gives what is left.
   * Not while somebody reads them.
   */
  async forget(before: number): Promise<void> {
    // One after another, each durably, so that no crash leaves a gap.
    while (this.#segments.length > 1 && this.#segments[1]!.first <= before) {
      const { path } = this.#segments.shift()!;
      await rename(path, path + SPARE);
      await this.#syncFolder(this.#folder);
      this.#spares.push(path + SPARE);
    }
  }

  /** Waits until all records are durable, or have failed, and closes the log. */
  async close(): Promise<void> {
    this.#ended ??= new Error('The log is closed: open it again to append');
    await this.#committing;
    await this.#release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #release(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#memory[Symbol.dispose]();
    await file?.close();
  }

  // ---- Appending ---------------------------------------------------------------------------------------------------------

  async #commit(): Promise<void> {
    await undefined; // What is appended in the same turn shares the first frame.
    while (this.#waiting.length > 0) {
      const { count, bytes } = packFrame(this.#memory, this.#waiting);
      const group = this.#waiting.slice(0, count);
      try {
        await this.#write(bytes);
      } catch (error) {
        this.#fail(error as Error);
        break;
      }
      this.#waiting.splice(0, count);
      for (const { resolve } of group) resolve(this.#next++);
    }
    this.#committing = undefined;
  }

  /** Makes the frame in memory durable. */
  async #write(bytes: number): Promise<void> {
    const size = sizeOnDisk(bytes);
    if (this.#file === undefined || this.#position + size > this.#segmentBytes) await this.#begin();
    sealFrame(this.#memory, bytes, this.#next, this.#segments.at(-1)!.life);
    const file = this.#file!;
    // A datasync waits for the writes before it by itself.
    const [{ bytesWritten }] = await Promise.all([file.write(this.#memory, 0, size, this.#position), file.datasync()]);
    if (bytesWritten !== size) throw new Error(`${bytesWritten} of ${size} bytes could be written to ${file.path}`);
    this.#position += size;
    this.#syncs++;
  }

  /** After a failed write or sync nobody knows what is on the disk: only recovery can tell. */
  #fail(error: Error): void {
    this.#ended = error;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  // ---- Segments ----------------------------------------------------------------------------------------------------------

  /** Begins a new segment. */
  async #begin(): Promise<void> {
    const segment = newSegment(this.#folder, this.#next);
    const spare = this.#spares.pop();
    if (spare !== undefined) await rename(spare, segment.path);
    const before = this.#file;
    this.#file = await this.#prepare(segment);
    this.#segments.push(segment);
    this.#position = 0;
    await before?.close();
  }

  /** Opens a segment for writing. After that it is durable, with its full size and its name. */
  async #prepare({ path }: Segment): Promise<AioFile> {
    const file = await this.#context.open(path, O_RDWR | O_CREAT, { direct: 'auto' });
    try {
      await file.preallocate(0, this.#segmentBytes);
      await file.sync();
      await this.#syncFolder(this.#folder);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async #syncFolder(path: string): Promise<void> {
    await using folder = await this.#context.open(path);
    await folder.sync();
  }

  // ---- Recovery ----------------------------------------------------------------------------------------------------------

  async #recover(): Promise<void> {
    const names = await readdir(this.#folder);
    this.#segments = segmentsIn(this.#folder, names);
    this.#spares = names.filter((name) => name.endsWith(SPARE)).map((name) => join(this.#folder, name));
    const last = this.#segments.at(-1);
    // The first record begins the first segment.
    if (last === undefined) return;
    // It is synced before it is read: what recovery finds cannot be lost afterwards.
    this.#file = await this.#prepare(last);
    await this.#findEnd(this.#file, last);
  }

  /** Makes the folder, unless it is there, and its name durable: a crash may have come in between the last time. */
  async #makeFolder(): Promise<void> {
    await mkdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await this.#syncFolder(dirname(this.#folder));
  }

  /** Goes through the last segment. The frame before it was durable before it was begun, so nothing else can be torn. */
  async #findEnd(file: AioFile, segment: Segment): Promise<void> {
    const reader = new SegmentReader(file, segment, this.#memory);
    this.#next = segment.first;
    for (;;) {
      const frame = await reader.frame(this.#position, this.#next);
      if (frame === undefined) break;
      for (const { number } of recordsOf(frame)) this.#next = number + 1;
      this.#position += sizeOnDisk(frame.length);
    }
    if (await reader.hasLater(this.#position, this.#next)) throw new DamageError(segment, this.#position, this.#next);
  }
}
