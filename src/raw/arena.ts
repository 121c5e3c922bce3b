import { aioError, invalidArgType, outOfRange } from '../errors.ts';
import { binding } from './binding.ts';

/** One WebAssembly page; also a multiple of every page size that Linux has. */
const WASM_PAGE_BYTES = 65536;
/** What allocations are rounded to and aligned at: no block device needs more. */
export const RUN_BYTES = 4096;
const MAX_BYTES = 65536 * WASM_PAGE_BYTES - WASM_PAGE_BYTES;
const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

export interface ArenaOptions {
  /** Ask for transparent huge pages (madvise(2), MADV_HUGEPAGE) where the arena has 2 MiB or more. Default true. */
  hugePages?: boolean;
}

interface Run {
  offset: number;
  length: number;
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
  readonly #memory: WebAssembly.Memory;
  /** What is free, by offset, never two neighbours. */
  readonly #free: Run[];
  readonly #taken = new Map<number, number>();
  #freeBytes: number;

  /**
   * @param byteLength 1 to 4294901760 bytes, rounded up to a multiple of 65536. Touched, and so backed by memory, only as it is used.
   * @throws `ERR_OUT_OF_RANGE`, or `ERR_AIO_NO_MEMORY` where the address space does not suffice (each arena reserves about 10 GiB
   * of it, which `ulimit -v` counts).
   */
  constructor(byteLength: number, options: ArenaOptions = {}) {
    if (typeof byteLength !== 'number') throw invalidArgType('byteLength', 'of type number', byteLength);
    if (!Number.isInteger(byteLength) || byteLength < 1 || byteLength > MAX_BYTES) {
      throw outOfRange('byteLength', `a whole number of bytes from 1 to ${MAX_BYTES}`, byteLength);
    }
    const pages = Math.ceil(byteLength / WASM_PAGE_BYTES);
    this.#memory = reserve(pages);
    this.buffer = this.#memory.buffer;
    this.byteLength = this.buffer.byteLength;
    this.address = binding().addressOf(this.buffer);
    this.#free = [{ offset: 0, length: this.byteLength }];
    this.#freeBytes = this.byteLength;
    // A child that shares the page with a direct read in flight can get the data, and the parent not (open(2), NOTES on O_DIRECT).
    binding().madvise(this.buffer, binding().MADV_DONTFORK);
    if (options.hugePages !== false && this.byteLength >= HUGE_PAGE_BYTES) {
      // A kernel without huge pages refuses, and then there are none.
      binding().madvise(this.buffer, binding().MADV_HUGEPAGE);
    }
  }

  /** Bytes that are not handed out, not necessarily in one piece. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** How many runs are handed out. */
  get allocations(): number {
    return this.#taken.size;
  }

  /** Takes a run for `byteLength` bytes: its offset, a multiple of 4096, or -1 where no run is long enough. */
  take(byteLength: number): number {
    const length = Math.max(Math.ceil(byteLength / RUN_BYTES), 1) * RUN_BYTES;
    const at = this.#free.findIndex((run) => run.length >= length);
    const run = this.#free[at];
    if (run === undefined) return -1;
    const { offset } = run;
    run.offset += length;
    run.length -= length;
    if (run.length === 0) this.#free.splice(at, 1);
    this.#taken.set(offset, length);
    this.#freeBytes -= length;
    return offset;
  }

  /** Bytes of the run that was taken at `offset`; undefined where none was. */
  runLength(offset: number): number | undefined {
    return this.#taken.get(offset);
  }

  /** Gives the run at `offset` back. A run that is not taken is an error of the caller: it would be handed out twice. */
  release(offset: number): void {
    const length = this.#taken.get(offset);
    if (length === undefined) throw outOfRange('offset', 'the offset of a run that is handed out', offset);
    this.#taken.delete(offset);
    this.#freeBytes += length;
    let at = this.#free.findIndex((run) => run.offset > offset);
    if (at === -1) at = this.#free.length;
    const before = this.#free[at - 1];
    const after = this.#free[at];
    const joinsBefore = before !== undefined && before.offset + before.length === offset;
    const joinsAfter = after !== undefined && offset + length === after.offset;
    if (joinsBefore) {
      before.length += length + (joinsAfter ? after.length : 0);
      if (joinsAfter) this.#free.splice(at, 1);
    } else if (joinsAfter) {
      after.offset = offset;
      after.length += length;
    } else {
      this.#free.splice(at, 0, { offset, length });
    }
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
    const offset = this.take(byteLength);
    if (offset === -1) {
      throw aioError(
        'ERR_AIO_NO_MEMORY',
        `The arena has no free run of ${byteLength} bytes: ${this.#freeBytes} of ${this.byteLength} bytes are free, in pieces. ` +
          'Free buffers that are done, or make a larger arena',
      );
    }
    return Buffer.from(this.buffer, offset, byteLength).fill(0);
  }

  /** Takes back a buffer that `allocate` gave. The kernel must be done with it. Throws for anything else. */
  free(buffer: Uint8Array): void {
    if (buffer.buffer !== this.buffer) throw invalidArgType('buffer', 'a buffer that this arena allocated', buffer);
    this.release(buffer.byteOffset);
  }

  /** Absolute address of a view of this arena. */
  addressOf(view: ArrayBufferView): bigint {
    if (view.buffer !== this.buffer) throw invalidArgType('view', 'a view of this arena', view);
    return this.address + BigInt(view.byteOffset);
  }
}

function reserve(pages: number): WebAssembly.Memory {
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
