import { Buffer } from 'node:buffer';
import { types } from 'node:util';
import { isAborted } from '../engine/aborts.ts';
import type { RequestOptions } from '../engine/engine.ts';
import { checkNotDisposed } from '../engine/pool.ts';
import { invalidArgType, invalidArgValue, outOfRange } from '../errors.ts';
import { bufferOf, bytesOf, isResizable } from '../layout/view.ts';

/** Checks of what users give, with the errors that Node's `fs` has for the same mistakes. */

export const VIEWS = 'an instance of Buffer, TypedArray, or DataView';

/** The bytes of a view, as a view that its user cannot change; `or` names what else would do, for the error. */
export function checkView(name: string, value: unknown, or = ''): Uint8Array {
  if (!ArrayBuffer.isView(value)) throw invalidArgType(name, `${or}${VIEWS}`, value);
  checkNotDisposed(value);
  checkMemory(name, value);
  try {
    return bytesOf(value);
  } catch {
    throw invalidArgValue(name, 'must not be a view of memory that was transferred away, or shrunk', value);
  }
}

export function checkViews(value: unknown): Uint8Array[] {
  if (!Array.isArray(value)) throw invalidArgType('buffers', 'an array of ArrayBufferView', value);
  // By no method of the array: it may have others, and getters for elements, after which nothing may be checked or remembered.
  const views: unknown[] = [];
  const { length } = value;
  for (let i = 0; i < length; i++) views.push(value[i]);
  return views.map((view, i) => checkView(`buffers[${i}]`, view));
}

/** Memory that others may shrink or write to at any time cannot be copied from and to as a whole. */
function checkMemory(name: string, view: ArrayBufferView): void {
  const buffer = bufferOf(view);
  if (types.isSharedArrayBuffer(buffer)) {
    throw invalidArgValue(name, 'must not be a view of a SharedArrayBuffer: copy it, or use context.allocate()', view);
  }
  if (isResizable(buffer)) {
    throw invalidArgValue(
      name,
      'must not be a view of a resizable ArrayBuffer: its memory can go away while the request runs',
      view,
    );
  }
}

/** An AbortSignal of Node's, or none. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  try {
    isAborted(signal as AbortSignal);
  } catch {
    throw invalidArgType('options.signal', 'an instance of AbortSignal', signal);
  }
}

/** The encoding of text; none and `'buffer'` are as good. */
export function checkEncoding(value: unknown): void {
  if (!value || value === 'buffer' || Buffer.isEncoding(value as string)) return;
  throw invalidArgValue('encoding', 'is invalid encoding', value);
}

/** A whole number from 0 up to `most`; `fallback` where it is missing. */
export function checkCount(name: string, value: unknown, most: number, fallback: number): number {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < 0 || value > most) throw outOfRange(name, `>= 0 && <= ${most}`, value);
  return value;
}

/** A position in a file in bytes; undefined stands for the file's own. */
export function checkPosition(value: unknown, length: number): number | undefined {
  if (value === undefined || value === null || value === -1 || value === -1n) return undefined;
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number') throw invalidArgType('position', 'of type number or bigint', value);
  if (!Number.isSafeInteger(number) && typeof value === 'number') throw outOfRange('position', 'an integer', value);
  if (number < 0 || number + length > Number.MAX_SAFE_INTEGER) {
    throw outOfRange('position', `>= 0 && <= ${Number.MAX_SAFE_INTEGER - length}`, value);
  }
  return number;
}

/** The options of one request; undefined where there are none. */
export function checkOptions(options: RequestOptions | undefined): RequestOptions | undefined {
  if (options === undefined || options === null) return undefined;
  if (typeof options !== 'object') throw invalidArgType('options', 'of type object', options);
  const { signal, ioprio, dsync, nowait } = options;
  if (signal === undefined && ioprio === undefined && dsync === undefined && nowait === undefined) return undefined;
  checkSignal(signal);
  if (ioprio !== undefined) checkCount('options.ioprio', ioprio, 0xffff, 0);
  for (const [name, value] of Object.entries({ dsync, nowait })) {
    if (value !== undefined && typeof value !== 'boolean')
      throw invalidArgType(`options.${name}`, 'of type boolean', value);
  }
  // A class in the upper three bits: 0 none, 1 realtime, 2 best effort, 3 idle (ioprio_set(2)); the field itself is signed.
  return { signal, dsync, nowait, ioprio: ioprio === undefined ? undefined : (ioprio << 16) >> 16 };
}
