/**
 * `kaio/layout`: the kernel's structures for asynchronous I/O, byte by byte, on every ABI. It needs nothing but WebAssembly: any
 * system, any JavaScript runtime, a browser.
 *
 * @example
 * ```ts
 * import { decodeIocb, encodeIocb, IOCB_CMD_PREAD, layoutOf } from 'kaio/layout';
 *
 * layoutOf('iocb', 's390x').size; // 64
 * const bytes = encodeIocb({ aio_lio_opcode: IOCB_CMD_PREAD, aio_fildes: 3, aio_nbytes: 4096 }, 's390x');
 * decodeIocb(bytes, 's390x').aio_nbytes; // 4096n
 * ```
 *
 * @module kaio/layout
 */
export { type Abi, type AbiName, abiOf, abis, hostAbi, type SystemCalls } from './abis.ts';
export { type Constant, type ConstantName, constantOn, constants } from './catalogue.ts';
export * from './constants.ts';
export { type DrawOptions, drawSvg, drawTable, drawText } from './draw.ts';
export type { LayoutError } from './errors.ts';
export { type Explanation, explain, type Problem } from './explain.ts';
export { parseHex } from './hex.ts';
export {
  declarations,
  diffLayouts,
  type Field,
  type Layout,
  type LayoutDifference,
  layoutOf,
  type StructName,
  structs,
} from './layouts.ts';
export {
  type AioRing,
  type AioSigset,
  type Batch,
  decode,
  decodeAll,
  decodeIocb,
  decodeIoEvent,
  decodeIoEvents,
  encode,
  encodeAll,
  encodeBatch,
  encodeIocb,
  encodeIoEvent,
  type Input,
  type Iocb,
  type IoEvent,
  type Iovec,
  type Records,
  type TimespecRecord,
} from './records.ts';
export { type Refusal, refusals } from './refusals.ts';
export { type VectorCase, type Vectors, vectors, vectorsJson } from './vectors.ts';
