/**
 * A frame is what one write and one datasync make durable: records that were appended at about the same time.
 *
 *     0          4          8                    16
 *     | checksum |  bytes   |  number of the     | length | record | length | record | ... | zeros up to the
 *     |          |          |  first record      |        |        |        |        |     | end of the block
 *
 * All numbers are little-endian. `bytes` counts from the checksum up to the zeros. The checksum is a CRC-32 of all bytes after it, begun
 * with the `life` of the segment file: a random number that the file has in its name and gets anew whenever it is used again. So neither
 * what an older life has left behind in the file, nor a record that was made to look like a frame, is ever taken for a frame.
 */
import { crc32 } from 'node:zlib';

/** Frames begin at multiples of it, as direct I/O wants: no device asks for more. */
export const BLOCK_BYTES = 4096;
/** The largest frame. */
export const FRAME_BYTES = 1024 * 1024;
const HEADER_BYTES = 16;
const LENGTH_BYTES = 4;
/** The longest record: it has to fit into a frame. */
export const RECORD_BYTES: number = FRAME_BYTES - HEADER_BYTES - LENGTH_BYTES;

export interface LogRecord {
  /** Records are numbered from 0 on in the order in which they were appended. */
  readonly number: number;
  readonly data: Buffer;
}

/** How much of a file a frame takes, in bytes. */
export function sizeOnDisk(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

/** Puts as many records into a frame as there is room for. Answers with how many that are, and with the frame's length. */
export function packFrame(memory: Buffer, records: readonly { data: Uint8Array }[]): { count: number; bytes: number } {
  let bytes = HEADER_BYTES;
  let count = 0;
  for (const { data } of records) {
    if (bytes + LENGTH_BYTES + data.length > FRAME_BYTES) break;
    bytes = memory.writeUInt32LE(data.length, bytes);
    memory.set(data, bytes);
    bytes += data.length;
    count++;
  }
  memory.fill(0, bytes, sizeOnDisk(bytes));
  return { count, bytes };
}

/** Completes a frame: where it belongs is known only now. */
export function sealFrame(memory: Buffer, bytes: number, number: number, life: number): void {
  memory.writeUInt32LE(bytes, 4);
  memory.writeBigUInt64LE(BigInt(number), 8);
  memory.writeUInt32LE(crc32(memory.subarray(4, bytes), life), 0);
}

/** How long the frame with this header says it is; undefined where no frame is so long. */
export function frameLength(header: Buffer): number | undefined {
  const bytes = header.readUInt32LE(4);
  return bytes > HEADER_BYTES && bytes <= FRAME_BYTES ? bytes : undefined;
}

export function isWhole(frame: Buffer, life: number): boolean {
  return crc32(frame.subarray(4), life) === frame.readUInt32LE(0);
}

export function firstNumber(header: Buffer): number {
  return Number(header.readBigUInt64LE(8));
}

/** The records of a whole frame, in the frame's memory. */
export function* recordsOf(frame: Buffer): Generator<LogRecord> {
  let number = firstNumber(frame);
  for (let at = HEADER_BYTES; at < frame.length; number++) {
    const from = at + LENGTH_BYTES;
    at = from + frame.readUInt32LE(at);
    yield { number, data: frame.subarray(from, at) };
  }
}
