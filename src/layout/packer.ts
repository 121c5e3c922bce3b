import { packerBase64 } from './generated/packer.ts';
import { wasmBytes } from './wasm.ts';

/**
 * The packer: WebAssembly that writes iocbs and decodes events in linear memory. This is the one file that says what it exports;
 * every byte offset stays on its side.
 */
export interface Packer {
  /** Bytes of linear memory that a context with this many requests and iovecs needs. */
  controlBytes(depth: number, iovecs: number): number;
  /** Must be called once, first. */
  init(depth: number, iovecs: number, controlBase: bigint, poolBase: bigint, resfd: number, swap: number): void;
  /** Where the pointer array, the events and the decoded completions begin in linear memory. */
  pointersAt(depth: number): number;
  eventsAt(depth: number): number;
  completionsAt(depth: number): number;
  /** Where the native module reports of a submit: three 32-bit words, taken, reaped and microseconds. */
  reportAt(): number;
  /** 32-bit words of one decoded completion: slot, res, res2. */
  readonly completion_words: { readonly value: number };
  pack(
    index: number,
    slot: number,
    opcode: number,
    fd: number,
    buffer: number,
    nbytes: number,
    position: number,
    rwFlags: number,
    reqprio: number,
    flags: number,
  ): void;
  /** Puts the iocb of a slot that is packed already into the pointer array. */
  point(index: number, slot: number): void;
  vector(index: number, offset: number, length: number): void;
  /** Decodes this many events. Fewer than that back: the event at that index belongs to no request. */
  decode(count: number): number;
}

let compiled: WebAssembly.Module | undefined;

/**
 * A packer over `memory`, a WebAssembly.Memory which must be of fixed size and belong to it alone: whoever writes an iocb commands the kernel.
 * `debug` holds the bytes of another build of it.
 */
export function instantiatePacker(memory: { readonly buffer: ArrayBuffer }, debug?: Uint8Array<ArrayBuffer>): Packer {
  compiled ??= new WebAssembly.Module(wasmBytes(packerBase64));
  const wasm = debug === undefined ? compiled : new WebAssembly.Module(debug);
  const instance = new WebAssembly.Instance(wasm, { env: { memory } });
  return instance.exports as unknown as Packer;
}

/** Whether this host is big-endian: WebAssembly memory never is, so the packer then swaps what others read. */
export const bigEndian: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 0;
