/**
 * The structures on every ABI, for kaio/layout: where a compiler puts each field, and reading and writing the fields of records. It
 * is WebAssembly of its own, so that the packer of the hot path stays small. Its memory:
 *
 *        0                         placed fields
 *   RECORD                         one record, read and written here
 */
import { abi, name, select } from './abi';
import { bytesOf, ctype, isSigned } from './ctype';
import { begin, fieldCount, offsetOfField, structureAlign, structureSize, typeOfField } from './placement';
import {
  aio_context_t,
  aio_ring,
  aio_sigset,
  io_event,
  iocb,
  iocbp,
  iovec,
  placeFields,
  structure,
  timespec,
  timespec64,
} from './structures';

export {
  aio_context_t,
  aio_ring,
  aio_sigset,
  ctype,
  fieldCount,
  io_event,
  iocb,
  iocbp,
  iovec,
  name,
  offsetOfField,
  structure,
  structureAlign,
  structureSize,
  timespec,
  timespec64,
  typeOfField,
};

/** Where the record lies that `read` and `write` work on. No structure is longer than the rest of the page. */
export const RECORD: i32 = 1024;

/** Selects an ABI and a structure of it for all that follows. False where either number names none. */
export function choose(which: name, record: structure): bool {
  begin();
  return select(which) && placeFields(record);
}

export function isBigEndian(): bool {
  return abi.bigEndian;
}

export function wordBytes(): i32 {
  return abi.wordBytes;
}

export function kernelLongBytes(): i32 {
  return abi.kernelLongBytes;
}

export function alignBytes(): i32 {
  return abi.alignBytes;
}

/** The number of a system call on the selected ABI; -1 where the kernel has none. */
export function io_setup(): i32 {
  return abi.io_setup;
}

export function io_destroy(): i32 {
  return abi.io_destroy;
}

export function io_getevents(): i32 {
  return abi.io_getevents;
}

export function io_submit(): i32 {
  return abi.io_submit;
}

export function io_cancel(): i32 {
  return abi.io_cancel;
}

export function io_pgetevents(): i32 {
  return abi.io_pgetevents;
}

export function io_pgetevents_time64(): i32 {
  return abi.io_pgetevents_time64;
}

export function fieldBytes(field: i32): i32 {
  return bytesOf(typeOfField(field));
}

export function fieldSigned(field: i32): bool {
  return isSigned(typeOfField(field));
}

/** Bytes go to the record one by one, so that the order is the ABI's and not that of WebAssembly. */
function byteAt(field: i32, significance: i32): usize {
  const last = fieldBytes(field) - 1;
  return RECORD + offsetOfField(field) + (abi.bigEndian ? last - significance : significance);
}

/** Writes the low bytes of `value` into a field of the record. TypeScript has checked that the rest says nothing. */
export function write(field: i32, value: i64): void {
  for (let i = 0; i < fieldBytes(field); i++) store<u8>(byteAt(field, i), <u8>(value >> ((<i64>i) << 3)));
}

/** Reads a field of the record, extended by its sign where its type has one. */
export function read(field: i32): i64 {
  let value: u64 = 0;
  for (let i = 0; i < fieldBytes(field); i++) value |= (<u64>load<u8>(byteAt(field, i))) << ((<u64>i) << 3);
  if (!fieldSigned(field)) return value;
  const unused: i64 = 64 - (fieldBytes(field) << 3);
  return <i64>(value << unused) >> unused;
}

/** Makes every byte of the record zero, padding included: nothing stale may reach the kernel. */
export function clear(): void {
  memory.fill(RECORD, 0, structureSize());
}
