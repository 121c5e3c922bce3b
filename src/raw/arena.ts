import { aioError, invalidArgType, outOfRange } from '../errors.ts';
import { type Binding, binding, type Unsupported } from './binding.ts';
import { Runs } from './runs.ts';

/** One WebAssembly page; also a multiple of every page size that Linux has. */
const WASM_PAGE_BYTES = 65536;
const MAX_BYTES = 65536 * WASM_PAGE_BYTES - WASM_PAGE_BYTES;
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

/** Options of {@link Arena}. */
export interface ArenaOptions {
  /** Ask for transparent huge pages (madvise(2), MADV_HUGEPAGE) where the arena has 2 MiB or more. Default true. */
  hugePages?: boolean;
}

/**
 * Memory whose address never changes: a WebAssembly memory of fixed size, which can be neither detached, transferred nor moved. It
 * hands out runs aligned to 4096 bytes, which is what O_DIRECT wants of any device.
 *
 * The memory lives as long as the arena or any view of it does. Nothing is reclaimed by garbage collection: `free` what you no
 * longer need, and only when the kernel no longer does.
 */
export class Arena {
  /** Bytes, a multiple of 65536. */
  readonly byteLength: number;
  /** All of it. Views of it have the same address arithmetic: address = `address` + byteOffset. */
  readonly buffer: ArrayBuffer;
  /** Absolute address of the first byte. */
  readonly address: bigint;
  readonly #runs: Runs;
  /** Memory from here on was never handed out, and is zero still. */
  #fresh = 0;

  /**
   * @param byteLength 1 to 4294901760 bytes, rounded up to a multiple of 65536. Touched, and so backed by memory, only as it is used.
   * @throws `ERR_OUT_OF_RANGE`, or `ERR_AIO_NO_MEMORY` where the address space does not suffice (each arena reserves about 10 GiB
   * of it, which `ulimit -v` counts), or `ERR_AIO_UNSUPPORTED` without WebAssembly (`node --jitless`).
   * @param native For tests: what stands in for the native module.
   */
  constructor(byteLength: number, options: ArenaOptions = {}, native: Binding = binding()) {
    if (typeof byteLength !== 'number') throw invalidArgType('byteLength', 'of type number', byteLength);
    if (typeof options !== 'object' || options === null) throw invalidArgType('options', 'of type object', options);
    if (!Number.isInteger(byteLength) || byteLength < 1 || byteLength > MAX_BYTES) {
      throw outOfRange('byteLength', `a whole number of bytes from 1 to ${MAX_BYTES}`, byteLength);
    }
    const pages = Math.ceil(byteLength / WASM_PAGE_BYTES);
    this.buffer = reserveMemory(pages).buffer;
    this.byteLength = this.buffer.byteLength;
    this.address = native.addressOf(this.buffer);
    this.#runs = new Runs(0, this.byteLength);
    // A child that shares the page with a direct read in flight can get the data, and the parent not (open(2), NOTES on O_DIRECT).
    native.madvise(this.buffer, native.MADV_DONTFORK);
    if (options.hugePages !== false && this.byteLength >= HUGE_PAGE_BYTES) {
      // A kernel without huge pages refuses, and then there are none.
      native.madvise(this.buffer, native.MADV_HUGEPAGE);
    }
  }

  /** Bytes that are not handed out, not necessarily in one piece. */
  get freeBytes(): number {
    return this.#runs.freeBytes;
  }

  /**
   * A zeroed buffer of `byteLength` bytes (at least 1), aligned to 4096. It is yours until you `free` it.
   * @throws `ERR_OUT_OF_RANGE`, or `ERR_AIO_NO_MEMORY` where no run of the arena is long enough.
   */
  allocate(byteLength: number): Buffer<ArrayBuffer> {
    if (typeof byteLength !== 'number') throw invalidArgType('byteLength', 'of type number', byteLength);
    if (!Number.isInteger(byteLength) || byteLength < 1 || byteLength > this.byteLength) {
      throw outOfRange(
        'byteLength',
        `a whole number of bytes from 1 to ${this.byteLength}, the arena's size`,
        byteLength,
      );
    }
    const offset = this.#runs.take(byteLength);
    if (offset === -1) {
      throw aioError(
        'ERR_AIO_NO_MEMORY',
        `The arena has no free run of ${byteLength} bytes: ${this.freeBytes} of ${this.byteLength} bytes are free, in pieces. ` +
          'Free buffers that are done, or make a larger arena',
      );
    }
    const buffer = Buffer.from(this.buffer, offset, byteLength);
    // Only what was used before is wiped: the rest is not even touched.
    if (offset < this.#fresh) buffer.fill(0, 0, Math.min(byteLength, this.#fresh - offset));
    this.#fresh = Math.max(this.#fresh, offset + (this.#runs.lengthOf(offset) ?? 0));
    return buffer;
  }

  /**
   * Takes back a buffer that `allocate` gave. The kernel must be done with it.
   * @throws `ERR_INVALID_ARG_TYPE` for memory from elsewhere, `ERR_OUT_OF_RANGE` where no buffer that is handed out begins there.
   */
  free(buffer: Uint8Array): void {
    if (buffer?.buffer !== this.buffer) throw invalidArgType('buffer', 'a buffer that this arena allocated', buffer);
    this.#runs.release(buffer.byteOffset);
  }

  /**
   * Absolute address of a view of this arena; it never changes.
   * @throws `ERR_INVALID_ARG_TYPE` for memory from elsewhere.
   */
  addressOf(view: ArrayBufferView): bigint {
    if (view?.buffer !== this.buffer) throw invalidArgType('view', 'a view of this arena', view);
    return this.address + BigInt(view.byteOffset);
  }
}

/** Why there is no memory that stays where it is; undefined where there is. */
export function missingMemory(): Unsupported | undefined {
  if (typeof WebAssembly !== 'undefined') return undefined;
  const message =
    'kaio needs WebAssembly, since the kernel must find its memory where it was, and this process has none: --jitless and --no-expose-wasm take ' +
    'it away. Run node without them, also in NODE_OPTIONS';
  return { supported: false, reason: 'webassembly', message };
}

/** Linear memory of a fixed number of pages; throws `ERR_AIO_NO_MEMORY`, or `ERR_AIO_UNSUPPORTED` where there is no WebAssembly. */
export function reserveMemory(pages: number): { readonly buffer: ArrayBuffer } {
  const missing = missingMemory();
  if (missing !== undefined) throw aioError('ERR_AIO_UNSUPPORTED', missing.message);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw aioError(
      'ERR_AIO_NO_MEMORY',
      `Could not reserve ${pages * WASM_PAGE_BYTES} bytes. Besides its size each WebAssembly memory reserves about 10 GiB of ` +
        'address space, which costs no memory but counts under "ulimit -v": raise that limit or set it to unlimited',
      cause,
    );
  }
}
