import { randomInt } from 'node:crypto';
import { basename, join } from 'node:path';
import type { AioFile } from 'kaio';
import { BLOCK_BYTES, firstNumber, frameLength, isWhole, sizeOnDisk } from './frame.ts';

/** A file with frames one after another, and behind them zeros or what an older life of the file has left. */
export interface Segment {
  readonly path: string;
  /** The number of its first record. */
  readonly first: number;
  /** What the checksums of its frames begin with. */
  readonly life: number;
}

/** A name says all there is to know of a segment: unlike a header in the file it cannot be torn. */
const NAME = /^(\d{16})-([0-9a-f]{8})\.wal$/;

export function newSegment(folder: string, first: number): Segment {
  const life = randomInt(2 ** 32);
  const name = `${String(first).padStart(16, '0')}-${life.toString(16).padStart(8, '0')}.wal`;
  return { path: join(folder, name), first, life };
}

/** The segments among the files of a folder, oldest first. */
export function segmentsIn(folder: string, names: readonly string[]): Segment[] {
  const matches = names.map((name) => NAME.exec(name)).filter((match) => match !== null);
  const segments = matches.map(([name, first, life]) => ({
    path: join(folder, name),
    first: Number(first),
    life: Number.parseInt(life!, 16),
  }));
  return segments.sort((a, b) => a.first - b.first);
}

/** Something that no crash leaves behind. */
export class DamageError extends Error {
  constructor(segment: Segment, position: number, expected: number) {
    super(
      `${basename(segment.path)} is damaged at byte ${position}: record ${expected} should be there, and records behind it are there. No ` +
        'crash does that, the disk or another program did. Restore the file from a copy; or give up what follows: move all later segments ' +
        `away, and cut this one off with: truncate -s ${position} '${segment.path}'`,
    );
    this.name = 'DamageError';
  }
}

/** Reads the frames of one segment through `memory`, which holds at least one frame and is the reader's until it is done. */
export class SegmentReader {
  readonly #file: AioFile;
  readonly #segment: Segment;
  readonly #memory: Buffer;
  /** The part of the file that is in memory. */
  #start = 0;
  #end = 0;

  constructor(file: AioFile, segment: Segment, memory: Buffer) {
    this.#file = file;
    this.#segment = segment;
    this.#memory = memory;
  }

  /** The frame at a position, good until the next call; undefined where no whole one is, or where its first record has another number. */
  async frame(position: number, number: number): Promise<Buffer | undefined> {
    return await this.#frame(position, (first) => first === number);
  }

  /** Whether any frame with later records begins at `position` or behind it. */
  async hasLater(position: number, number: number): Promise<boolean> {
    for (let at = position; (await this.#bytes(at, BLOCK_BYTES)) !== undefined; at += BLOCK_BYTES) {
      if ((await this.#frame(at, (first) => first > number)) !== undefined) return true;
    }
    return false;
  }

  async #frame(position: number, matches: (first: number) => boolean): Promise<Buffer | undefined> {
    const header = await this.#bytes(position, BLOCK_BYTES);
    if (header === undefined || !matches(firstNumber(header))) return undefined;
    const length = frameLength(header);
    if (length === undefined) return undefined;
    const frame = await this.#bytes(position, sizeOnDisk(length));
    if (frame === undefined || !isWhole(frame.subarray(0, length), this.#segment.life)) return undefined;
    return frame.subarray(0, length);
  }

  /** The bytes at a position; undefined where the file ends before their end. */
  async #bytes(position: number, length: number): Promise<Buffer | undefined> {
    if (position < this.#start || position + length > this.#end) await this.#read(position);
    if (position + length > this.#end) return undefined;
    return this.#memory.subarray(position - this.#start, position - this.#start + length);
  }

  /** Fills the memory from a position on. A read may be short: then the next one meets the end of the file, or the error. */
  async #read(position: number): Promise<void> {
    this.#start = position;
    this.#end = position;
    const end = position + this.#memory.length;
    while (this.#end < end) {
      const at = this.#end;
      const { bytesRead } = await this.#file.read(this.#memory, at - position, end - at, at);
      this.#end += bytesRead;
      if (bytesRead === 0 || bytesRead % BLOCK_BYTES !== 0) return;
    }
  }
}
