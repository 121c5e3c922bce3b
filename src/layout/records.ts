import type { AbiName } from './abis.ts';
import { invalidType, invalidValue, outOfRange } from './errors.ts';
import { type PlacedField, type PlacedLayout, placedLayout, type StructName } from './layouts.ts';
import { placement } from './placement.ts';
import { bytesOf as bytesOfView, isArrayBuffer } from './view.ts';

/** `struct iocb`, one request. Values of 64-bit fields are bigints. */
export interface Iocb {
  /** Comes back in the event's `data`. */
  aio_data: bigint;
  /** Written by the kernel at io_submit, to 0; io_cancel refuses anything else. */
  aio_key: number;
  /** `RWF_*` flags. */
  aio_rw_flags: number;
  /** `IOCB_CMD_*`. */
  aio_lio_opcode: number;
  /** An I/O priority, looked at only with `IOCB_FLAG_IOPRIO` and only by reads and writes. */
  aio_reqprio: number;
  /** The file descriptor. */
  aio_fildes: number;
  /** Address of the buffer or of the iovecs; the mask of a poll. */
  aio_buf: bigint;
  /** Bytes, or how many iovecs. */
  aio_nbytes: bigint;
  /** Bytes from the start of the file. */
  aio_offset: bigint;
  /** Must be 0. */
  aio_reserved2: bigint;
  /** `IOCB_FLAG_*`. */
  aio_flags: number;
  /** The eventfd to signal, looked at only with `IOCB_FLAG_RESFD`. */
  aio_resfd: number;
}

/** `struct io_event`, one completion. */
export interface IoEvent {
  /** The request's `aio_data`. */
  data: bigint;
  /** Address of its iocb. */
  obj: bigint;
  /** Bytes, or a negated errno. */
  res: bigint;
  /** 0. */
  res2: bigint;
}

/** The header of a completion ring; a context is its address. */
export interface AioRing {
  id: number;
  /** How many events fit. */
  nr: number;
  head: number;
  tail: number;
  /** 0xa10a10a1. */
  magic: number;
  compat_features: number;
  incompat_features: number;
  /** Bytes before the first event. */
  header_length: number;
}

/** `struct iovec`. */
export interface Iovec {
  iov_base: bigint;
  iov_len: bigint;
}

/** `struct timespec` or `struct __kernel_timespec`: seconds and nanoseconds. */
export interface TimespecRecord {
  tv_sec: bigint;
  tv_nsec: bigint;
}

/** `struct __aio_sigset`. */
export interface AioSigset {
  /** Address of the signal mask. */
  sigmask: bigint;
  /** Bytes of it. */
  sigsetsize: bigint;
}

/** The value of each structure. */
export interface Records {
  iocb: Iocb;
  io_event: IoEvent;
  aio_ring: AioRing;
  iovec: Iovec;
  timespec: TimespecRecord;
  timespec64: TimespecRecord;
  aio_sigset: AioSigset;
  aio_context_t: { aio_context_t: bigint };
  iocbp: { iocbp: bigint };
}

/** What an encoder takes: every field as a bigint or a safe integer; what is left out is 0. */
export type Input<T> = { readonly [K in keyof T]?: bigint | number };

/** The smallest and largest value of a field. */
export function rangeOf(field: {
  readonly size: number;
  readonly signed: boolean;
}): readonly [min: bigint, max: bigint] {
  const bits = BigInt(field.size * 8);
  return field.signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
}

function exact(name: string, value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value !== 'number') throw invalidType(name, 'a bigint or a safe integer', value);
  if (!Number.isSafeInteger(value)) throw outOfRange(name, 'a bigint or a safe integer (below 2^53)', value);
  return BigInt(value);
}

function checked(layout: PlacedLayout, field: PlacedField, value: unknown): bigint {
  const name = `${layout.name}.${field.name}`;
  const number = exact(name, value);
  const [min, max] = rangeOf(field);
  if (number < min || number > max) {
    const range = `>= ${min} and <= ${max} (${field.signed ? 'signed' : 'unsigned'}, ${field.size} bytes on ${layout.abi})`;
    throw outOfRange(name, range, value);
  }
  return number;
}

function choose(layout: PlacedLayout): void {
  placement().wasm.choose(layout.abiNumber, layout.structNumber);
}

/** Writes one record to `at` of `target`. All is checked before the first byte is written. */
function put(layout: PlacedLayout, record: unknown, target: Uint8Array, at: number): void {
  if (typeof record !== 'object' || record === null) throw invalidType(layout.name, 'an object of its fields', record);
  const given = record as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(given)) {
    if (layout.fields.some((field) => field.name === name)) continue;
    throw invalidValue(
      layout.name,
      `an object with no other fields than ${layout.fields.map((f) => f.name).join(', ')}`,
      name,
    );
  }
  const values = layout.fields.map((field) => {
    const value = given[field.name];
    return value === undefined ? 0n : checked(layout, field, value);
  });
  choose(layout);
  const { wasm, record: bytes } = placement();
  wasm.clear();
  for (const [i, field] of layout.fields.entries()) wasm.write(field.number, BigInt.asIntN(64, values[i]!));
  target.set(bytes.subarray(0, layout.size), at);
}

/** Types whose values JavaScript's numbers hold on every ABI; the others are bigints on every ABI, so that a program never sees both. */
const narrow = new Set(['__u16', '__s16', '__u32', '__kernel_rwf_t', 'unsigned']);

function get(layout: PlacedLayout, source: Uint8Array, at: number): Record<string, bigint | number> {
  choose(layout);
  const { wasm, record } = placement();
  record.set(source.subarray(at, at + layout.size));
  const values: Record<string, bigint | number> = {};
  for (const { name, number, type, signed, size } of layout.fields) {
    const value = signed ? wasm.read(number) : BigInt.asUintN(size * 8, wasm.read(number));
    values[name] = narrow.has(type) ? Number(value) : value;
  }
  return values;
}

function bytesOf(name: string, bytes: unknown): Uint8Array {
  if (!ArrayBuffer.isView(bytes) && !isArrayBuffer(bytes)) {
    throw invalidType(name, 'an ArrayBuffer or a view of one', bytes);
  }
  try {
    return ArrayBuffer.isView(bytes) ? bytesOfView(bytes) : new Uint8Array(bytes);
  } catch {
    throw invalidValue(name, 'memory that is there: this was transferred away, or shrunk', bytes);
  }
}

/**
 * The bytes of one structure. Fields that are left out are 0, and so is padding.
 *
 * @param abi By default that of the host.
 * @throws {RangeError} `ERR_OUT_OF_RANGE` for a value that does not fit its field or is not exact (a number from 2^53 on); nothing is
 * ever cut off. {TypeError} `ERR_INVALID_ARG_TYPE`, or `ERR_INVALID_ARG_VALUE` for a field or a name that is not known.
 */
export function encode<S extends StructName>(
  struct: S,
  record: Input<Records[S]>,
  abi?: AbiName,
): Uint8Array<ArrayBuffer> {
  return encodeAll(struct, [record], abi);
}

/**
 * What the bytes of one structure say. Fixed types of up to 32 bits come as numbers, all others as bigints, on every ABI.
 *
 * @param bytes Exactly as many as the structure has.
 * @throws {RangeError} `ERR_OUT_OF_RANGE` for another length. {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`.
 */
export function decode<S extends StructName>(
  struct: S,
  bytes: ArrayBuffer | ArrayBufferView,
  abi?: AbiName,
): Records[S] {
  const layout = placedLayout(struct, abi);
  const source = bytesOf('bytes', bytes);
  if (source.length !== layout.size) {
    throw outOfRange('bytes.length', `${layout.size}, the size of ${struct} on ${layout.abi}`, source.length);
  }
  return get(layout, source, 0) as unknown as Records[S];
}

/** The bytes of an array of structures; as {@link encode} for each. */
export function encodeAll<S extends StructName>(
  struct: S,
  records: readonly Input<Records[S]>[],
  abi?: AbiName,
): Uint8Array<ArrayBuffer> {
  const layout = placedLayout(struct, abi);
  if (!Array.isArray(records)) throw invalidType('records', 'an array', records);
  const target = new Uint8Array(records.length * layout.size);
  for (const [i, record] of records.entries()) put(layout, record, target, i * layout.size);
  return target;
}

/**
 * What the bytes of an array of structures say; as {@link decode} for each.
 *
 * @param bytes A whole number of structures, none included.
 */
export function decodeAll<S extends StructName>(
  struct: S,
  bytes: ArrayBuffer | ArrayBufferView,
  abi?: AbiName,
): Records[S][] {
  const layout = placedLayout(struct, abi);
  const source = bytesOf('bytes', bytes);
  if (source.length % layout.size !== 0) {
    throw outOfRange(
      'bytes.length',
      `a multiple of ${layout.size}, the size of ${struct} on ${layout.abi}`,
      source.length,
    );
  }
  const records: Records[S][] = [];
  for (let at = 0; at < source.length; at += layout.size)
    records.push(get(layout, source, at) as unknown as Records[S]);
  return records;
}

/** The bytes of a `struct iocb`; as {@link encode}. */
export function encodeIocb(iocb: Input<Iocb>, abi?: AbiName): Uint8Array<ArrayBuffer> {
  return encode('iocb', iocb, abi);
}

/** What the 64 bytes of a `struct iocb` say; as {@link decode}. */
export function decodeIocb(bytes: ArrayBuffer | ArrayBufferView, abi?: AbiName): Iocb {
  return decode('iocb', bytes, abi);
}

/** The bytes of a `struct io_event`; as {@link encode}. */
export function encodeIoEvent(event: Input<IoEvent>, abi?: AbiName): Uint8Array<ArrayBuffer> {
  return encode('io_event', event, abi);
}

/** What the 32 bytes of a `struct io_event` say; as {@link decode}. */
export function decodeIoEvent(bytes: ArrayBuffer | ArrayBufferView, abi?: AbiName): IoEvent {
  return decode('io_event', bytes, abi);
}

/** What io_submit takes for several requests: the iocbs one after the other, and the array of pointers to them. */
export interface Batch {
  /** Must come to lie at the address that was given. */
  readonly iocbs: Uint8Array<ArrayBuffer>;
  /** The `iocb*` array, for io_submit's third argument. */
  readonly pointers: Uint8Array<ArrayBuffer>;
}

/**
 * The bytes of a batch.
 *
 * @param address Where the first iocb will lie.
 * @throws As {@link encode}, also where the ABI's pointers do not reach.
 */
export function encodeBatch(iocbs: readonly Input<Iocb>[], address: bigint | number, abi?: AbiName): Batch {
  const bytes = encodeAll('iocb', iocbs, abi);
  const { size } = placedLayout('iocb', abi);
  const first = exact('address', address);
  const pointers = iocbs.map((_, i) => ({ iocbp: first + BigInt(i * size) }));
  return { iocbs: bytes, pointers: encodeAll('iocbp', pointers, abi) };
}

/** The events that io_getevents left in memory; as {@link decodeAll}. */
export function decodeIoEvents(bytes: ArrayBuffer | ArrayBufferView, abi?: AbiName): IoEvent[] {
  return decodeAll('io_event', bytes, abi);
}
