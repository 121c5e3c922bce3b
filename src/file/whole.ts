import { Buffer } from 'node:buffer';
import type { Abortable } from 'node:events';
import type { ObjectEncodingOptions } from 'node:fs';
import { throwIfAborted } from '../engine/aborts.ts';
import { hold } from '../engine/pool.ts';
import { fileTooLarge, invalidArgType, invalidArgValue } from '../errors.ts';
import { checkEncoding, checkSignal, checkView, VIEWS } from './arguments.ts';
import type { Transfers } from './transfers.ts';

/** What a file takes as a whole: text, memory, or these one after another. */
export type FileData =
  | string
  | NodeJS.ArrayBufferView
  | Iterable<string | NodeJS.ArrayBufferView>
  | AsyncIterable<string | NodeJS.ArrayBufferView>;

/** What `readFile` may be told: an encoding, a buffer to read into, and a signal. */
export interface ReadFileOptions extends Abortable {
  /** Gives a string; by default the bytes. */
  encoding?: BufferEncoding | null | undefined;
  /**
   * Where the data goes: memory that is as long as the file at least, or a function that is given the file's size in bytes and returns
   * such memory. By default a new buffer.
   */
  buffer?: NodeJS.ArrayBufferView | ((size: number) => NodeJS.ArrayBufferView) | undefined;
}

/** What `writeFile` and `appendFile` may be told: an encoding of strings, and a signal. */
export interface WriteFileOptions extends ObjectEncodingOptions, Abortable {
  /** Makes the data durable as well, as `sync()` does; default false. */
  flush?: boolean | undefined;
}

/** Longest file that is read as a whole, in bytes, as Node has it. */
const MAX_BYTES = 2 ** 31 - 1;
/** Read at once where the size is not known: at first, and then as much as there is by now, up to the second. */
const UNKNOWN_BYTES = 65536;
const MOST_UNKNOWN_BYTES: number = 8 * 1024 * 1024;

// What options say is taken once: they are their user's to change, and may have getters.

/** The memory that a file is to be read into, or who gives it once the size is known. */
export type Into = Uint8Array | ((size: number) => unknown) | undefined;

/** The options of `readFile`, which may be just the encoding. Throws as Node does. */
export function checkReadOptions(options: unknown): WholeOptions & { into: Into } {
  const given = optionsOf<ReadFileOptions>(options);
  const checked = checkWholeOptions(given);
  const { buffer } = given;
  if (buffer === undefined || typeof buffer === 'function') return { ...checked, into: buffer };
  return { ...checked, into: checkView('options.buffer', buffer, 'a function or ') };
}

/** The same of `writeFile`. */
export function checkWriteOptions(options: unknown): WholeOptions & { flush: boolean } {
  const given = optionsOf<WriteFileOptions>(options);
  const checked = checkWholeOptions(given);
  const { flush } = given;
  if (flush === undefined || flush === null || typeof flush === 'boolean') return { ...checked, flush: flush === true };
  throw invalidArgType('options.flush', 'of type boolean', flush);
}

interface WholeOptions {
  encoding: BufferEncoding | null | undefined;
  signal: AbortSignal | undefined;
}

function optionsOf<T extends object>(options: unknown): Partial<T> {
  if (options === undefined || options === null || typeof options === 'function') return {};
  const given = typeof options === 'string' ? { encoding: options } : options;
  if (typeof given !== 'object') throw invalidArgType('options', 'of type string or an instance of Object', options);
  return given as Partial<T>;
}

function checkWholeOptions({ encoding, signal }: Partial<WholeOptions>): WholeOptions {
  checkEncoding(encoding);
  checkSignal(signal);
  return { encoding, signal };
}

/** Reads on, `done` bytes after where it began: how many bytes; 0 at the end of the file. */
export type ReadOn = (view: Uint8Array, done: number) => Promise<number>;

/**
 * Reads a file from a position on, into the memory that the options say. `size` is the file's, 0 where nobody knows it. Resolves to the
 * part of that memory that was filled.
 */
export async function readWhole(
  size: number,
  position: number,
  into: Into,
  read: ReadOn,
): Promise<Buffer<ArrayBuffer>> {
  if (size > MAX_BYTES) throw fileTooLarge(size);
  const given = givenBuffer(into, size);
  if (given === undefined) return size > position ? await filled(size - position, read) : await collected(read);
  const letGo = hold([given], typeof into !== 'function');
  try {
    const total = await fill(size > 0 ? given.subarray(0, size) : given, 0, read);
    if (size === 0 && total === given.byteLength && (await read(Buffer.allocUnsafeSlow(1), total)) > 0) {
      throw invalidArgValue(bufferName(into), 'is too small to contain the entire file', total);
    }
    return given.subarray(0, total);
  } finally {
    letGo();
  }
}

async function filled(bytes: number, read: ReadOn): Promise<Buffer<ArrayBuffer>> {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  return buffer.subarray(0, await fill(buffer, 0, read));
}

async function collected(read: ReadOn): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer<ArrayBuffer>[] = [];
  for (let total = 0; ; ) {
    const chunk = Buffer.allocUnsafeSlow(Math.min(Math.max(UNKNOWN_BYTES, total), MOST_UNKNOWN_BYTES));
    const bytes = await fill(chunk, total, read);
    chunks.push(chunk.subarray(0, bytes));
    total += bytes;
    if (bytes < chunk.byteLength) return Buffer.concat(chunks);
    // A file without an end, or one that others extend: it must not take all the memory there is.
    if (total > MAX_BYTES) throw fileTooLarge(total);
  }
}

/** Reads until the memory is full or the file ends. Returns the bytes. */
async function fill(view: Buffer, done: number, read: ReadOn): Promise<number> {
  let total = 0;
  while (total < view.byteLength) {
    const bytes = await read(view.subarray(total), done + total);
    if (bytes === 0) break;
    total += bytes;
  }
  return total;
}

function bufferName(into: Into): string {
  return typeof into === 'function' ? 'options.buffer().byteLength' : 'options.buffer.byteLength';
}

/** The memory that the caller wants filled; undefined where there is none. Throws where it is none, or too short. */
function givenBuffer(into: Into, size: number): Buffer<ArrayBuffer> | undefined {
  if (into === undefined) return undefined;
  const view = typeof into === 'function' ? checkView('options.buffer()', into(size)) : into;
  if (size > view.byteLength) {
    throw invalidArgValue(bufferName(into), `is smaller than the file size of ${size} bytes`, view.byteLength);
  }
  // Memory that is shared was refused.
  return Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
}

/** Writes data at the file's own position, or at its end where it appends; `sync` makes it durable, where that was asked for. */
export async function writeWhole(
  data: FileData,
  { encoding, signal, flush }: ReturnType<typeof checkWriteOptions>,
  transfers: Transfers,
  sync: () => Promise<void>,
): Promise<void> {
  const several = inPieces(data);
  throwIfAborted(signal);
  // How much it is now: the memory may be gone when its turn comes.
  const writing = (bytes: Uint8Array, length = bytes.byteLength) => {
    return (): Promise<void> => transfers.writeAll(bytes, length, signal);
  };
  const writePieces = async (write: (bytes: Uint8Array) => Promise<void>): Promise<void> => {
    for await (const piece of data as AsyncIterable<unknown>) {
      throwIfAborted(signal);
      await write(bytesOf(piece, encoding));
    }
    throwIfAborted(signal);
  };
  const whole = async (written: Promise<void>): Promise<void> => {
    await written;
    // All of it is written: what else was requested need not be waited for, and may wait for this.
    if (flush) await sync();
  };
  if (!several) {
    const bytes = bytesOf(data, encoding);
    const write = writing(bytes);
    await transfers.asOne([bytes], signal, () => whole(write()));
  } else if (Symbol.asyncIterator in (data as object)) {
    const alone = (bytes: Uint8Array): Promise<void> => transfers.asOne([bytes], signal, writing(bytes));
    await transfers.byAndBy(() => whole(writePieces(alone)));
  } else {
    const step = (bytes: Uint8Array): Promise<void> => transfers.holding([bytes], writing(bytes));
    await transfers.asOne([], signal, () => whole(writePieces(step)));
  }
}

/** What is to be written as bytes. Throws as Node does where it is nothing of the kind. */
function bytesOf(data: unknown, encoding: BufferEncoding | null | undefined): Uint8Array {
  if (ArrayBuffer.isView(data)) return checkView('data', data);
  try {
    return Buffer.from(data as string, encoding || 'utf8');
  } catch (error) {
    // An array, which Buffer.from takes as well, of what is no number: a Symbol, a BigInt.
    if (error instanceof TypeError && !('code' in error))
      throw invalidArgType('data', `of type string or ${VIEWS}`, data);
    throw error;
  }
}

/** Whether data comes in pieces. Throws where it is neither that, nor text, nor memory. */
function inPieces(data: unknown): data is Iterable<unknown> | AsyncIterable<unknown> {
  if (typeof data === 'string' || ArrayBuffer.isView(data)) return false;
  if (typeof data === 'object' && data !== null) {
    const { [Symbol.asyncIterator]: later, [Symbol.iterator]: now } = data as Partial<
      AsyncIterable<unknown> & Iterable<unknown>
    >;
    if (typeof (later ?? now) === 'function') return true;
  }
  throw invalidArgType('data', `of type string or ${VIEWS}`, data);
}
