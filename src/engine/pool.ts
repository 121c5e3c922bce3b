import { inspect } from 'node:util';
import { aioError, type CodedError, invalidArgType, outOfRange } from '../errors.ts';
import { Arena } from '../raw/arena.ts';
import type { Binding } from '../raw/binding.ts';
import { RUN_BYTES, Runs } from '../raw/runs.ts';
import { Claims } from './claims.ts';
import { PART_BYTES } from './policy.ts';

/**
 * Memory of a context's pool, from `context.allocate`: it stays in place, cannot be detached, and is yours until you dispose it
 * (`buffer[Symbol.dispose]()`, or `using`). Nothing else gives it back, since a subarray may outlive it. No new request may use it after
 * that; what the kernel still uses is given back at its event.
 */
export type PoolBuffer = Buffer<ArrayBuffer> & Disposable;

/** How finely it is known which memory was touched. */
export const TOUCH_BYTES = 65536;
/** Gives an object back from a constructor, so that a class can add a private field to one that it did not make. */
const Itself = class {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: this is what it is for
    return object;
  }
};

/**
 * What a buffer of the pool knows about itself. The memory of the pool neither moves, shrinks nor detaches, so it stays true; and to look
 * it up costs a fifth of what `buffer`, `byteOffset` and `byteLength` of a typed array cost.
 */
class Place extends Itself {
  readonly #pool: Pool;
  readonly #offset: number;
  readonly #length: number;
  #disposed = false;

  constructor(buffer: Buffer, pool: Pool, offset: number, length: number) {
    super(buffer);
    this.#pool = pool;
    this.#offset = offset;
    this.#length = length;
  }

  /**
   * Where in `pool` this object's first byte is; -1 where that is not known so quickly. One that was disposed is behind the end, where no
   * request may claim anything: its memory may be another buffer's by now.
   */
  static offsetOf(object: object, pool: Pool): number {
    if (!(#offset in object)) return -1;
    if (object.#disposed) return pool.arena.byteLength;
    return object.#pool === pool ? object.#offset : -1;
  }

  static isDisposed(object: object): boolean {
    return #disposed in object && object.#disposed;
  }

  static lengthOf(object: object): number {
    return #length in object ? object.#length : -1;
  }

  /** Gives the buffer back to its pool, once. */
  static dispose(object: object): void {
    if (!(#disposed in object) || object.#disposed) return;
    object.#disposed = true;
    object.#pool.dispose(object.#offset);
  }

  static stateOf(object: object): string {
    if (!(#disposed in object)) return 'of no pool';
    if (object.#disposed) return 'disposed';
    return object.#pool.isClaimed(object.#offset) ? 'in flight' : 'free to use';
  }
}

/** What every buffer of a pool has besides what a Buffer has; shared, so that a buffer costs no closure. */
const PROPERTIES: PropertyDescriptorMap = {
  [Symbol.dispose]: {
    value(this: Buffer): void {
      Place.dispose(this);
    },
  },
  [inspect.custom]: {
    value(this: Buffer): string {
      const bytes = this.subarray(0, 16)
        .toString('hex')
        .replace(/(..)(?=.)/g, '$1 ');
      return `<PoolBuffer of ${this.byteLength} bytes, ${Place.stateOf(this)}: ${bytes}${this.byteLength > 16 ? ' ...' : ''}>`;
    },
  },
};

/** What the memory of a pool knows about itself. */
class Ground extends Itself {
  readonly #pool: Pool;

  constructor(memory: ArrayBuffer, pool: Pool) {
    super(memory);
    this.#pool = pool;
  }

  static poolOf(memory: ArrayBufferLike): Pool | undefined {
    return #pool in memory ? memory.#pool : undefined;
  }
}

/**
 * Keeps memory from being given back to the pool that it is of, of whichever context, until what this returns is called: for requests that no
 * kernel has yet. It is no claim, so others may use it as well. Throws where it was disposed, unless it is `held` already.
 */
export function hold(views: readonly Uint8Array[], held = false): () => void {
  const claimed: Uint8Array[] = [];
  const letGo = (): void => {
    for (const view of claimed.splice(0)) countHold(view, -1);
  };
  for (const view of views) {
    const refusal = refusalToHold(view, held);
    if (refusal !== undefined) {
      letGo();
      throw refusal;
    }
    countHold(view, 1);
    claimed.push(view);
  }
  return letGo;
}

function countHold(view: Uint8Array, change: 1 | -1): void {
  Ground.poolOf(view.buffer)?.hold(view.byteOffset, view.byteLength, change);
}

function refusalToHold(view: Uint8Array, held: boolean): CodedError | undefined {
  return held ? undefined : Ground.poolOf(view.buffer)?.refusalToHold(view.byteOffset, view.byteLength);
}

/** How many there ever were: while there is one, nobody needs to ask whether memory is of another. */
let pools = 0;

/** As {@link hold}, of one view that is not of the pool that asks. Returns the error that explains a refusal. */
export function holdElsewhere(view: Uint8Array, held: boolean): CodedError | undefined {
  const refusal = refusalElsewhere(view, held);
  if (refusal === undefined && pools > 1) countHold(view, 1);
  return refusal;
}

export function refusalElsewhere(view: Uint8Array, held: boolean): CodedError | undefined {
  return pools > 1 ? refusalToHold(view, held) : undefined;
}

export function letGoElsewhere(view: Uint8Array): void {
  if (pools > 1) countHold(view, -1);
}

/** How long a buffer is that `allocate` gave out, in bytes; -1 for any other object, also for a part of one. */
export function knownLength(object: object): number {
  return Place.lengthOf(object);
}

/** Throws where this is a buffer that was disposed: a view of its memory would not know. */
export function checkNotDisposed(object: object): void {
  if (Place.isDisposed(object)) throw disposedError();
}

const MAX_COPY_BYTES = 16 * 1024 * 1024;

/** The data pool of a context: what it hands out, what is in flight, and a region kept back for copying. */
export class Pool {
  readonly arena: Arena;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The region for copies, and the largest piece of it that one request should take at once. */
  readonly copyBytes: number;
  readonly pieceBytes: number;
  readonly #runs: Runs;
  readonly #copies: Runs;
  readonly #buffers = new Map<number, { readonly length: number; doomed: boolean }>();
  #doomed = 0;
  /** For each 4096 bytes: whether they are handed out, what uses them, and how many hold them (see hold). */
  readonly #owned: Uint8Array;
  readonly #claims: Claims;
  readonly #holds: Uint32Array;
  readonly #touched: Uint8Array;
  #fresh = 0;

  constructor(byteLength: number, hugePages: boolean, binding: Binding) {
    this.arena = new Arena(byteLength, { hugePages }, binding);
    this.bytes = new Uint8Array(this.arena.buffer);
    new Ground(this.arena.buffer, this);
    pools++;
    const total = this.arena.byteLength;
    this.copyBytes = Math.min(Math.floor(total / 4 / RUN_BYTES) * RUN_BYTES, MAX_COPY_BYTES);
    this.pieceBytes = Math.min(this.copyBytes, PART_BYTES);
    this.#runs = new Runs(0, total - this.copyBytes);
    this.#copies = new Runs(total - this.copyBytes, this.copyBytes);
    const pages = total / RUN_BYTES;
    this.#owned = new Uint8Array(pages);
    this.#claims = new Claims(pages);
    this.#holds = new Uint32Array(pages);
    this.#touched = new Uint8Array(Math.ceil(total / TOUCH_BYTES));
  }

  get freeBytes(): number {
    return this.#runs.freeBytes;
  }

  /** Buffers that are handed out. */
  get buffers(): number {
    return this.#buffers.size - this.#doomed;
  }

  /** Zeroed memory, aligned to 4096. Throws `ERR_AIO_NO_MEMORY` where no run is long enough. */
  allocate(byteLength: number): PoolBuffer {
    if (typeof byteLength !== 'number') throw invalidArgType('byteLength', 'of type number', byteLength);
    if (!Number.isSafeInteger(byteLength) || byteLength < 1) {
      throw outOfRange('byteLength', 'a whole number of bytes, at least 1', byteLength);
    }
    const fresh = this.#fresh;
    const buffer = this.tryAllocate(byteLength);
    if (buffer === undefined) throw this.#exhausted(byteLength);
    const offset = buffer.byteOffset;
    if (offset < fresh) this.bytes.fill(0, offset, Math.min(offset + this.#buffers.get(offset)!.length, fresh));
    return buffer;
  }

  /** The same without clearing it, for those who overwrite it anyway; undefined where no run is long enough. */
  tryAllocate(byteLength: number): PoolBuffer | undefined {
    const offset = this.#runs.take(byteLength);
    if (offset === -1) return undefined;
    const length = this.#runs.lengthOf(offset) ?? 0;
    this.#owned.fill(1, offset / RUN_BYTES, (offset + length) / RUN_BYTES);
    this.#buffers.set(offset, { length, doomed: false });
    this.#fresh = Math.max(this.#fresh, offset + length);
    const buffer = Buffer.from(this.arena.buffer, offset, byteLength);
    new Place(buffer, this, offset, byteLength);
    return Object.defineProperties(buffer, PROPERTIES) as PoolBuffer;
  }

  #exhausted(byteLength: number): CodedError {
    return aioError(
      'ERR_AIO_NO_MEMORY',
      `The context's memory has no free run of ${byteLength} bytes: ${this.freeBytes} bytes are free, perhaps in pieces, and ` +
        `${this.buffers} buffers are handed out. Dispose buffers that are done (buffer[Symbol.dispose]()), or make the context ` +
        'with a larger "memory"',
    );
  }

  /** Takes a buffer back, at the last event if the kernel still uses it. No new request may use it from now on. */
  dispose(offset: number): void {
    const buffer = this.#buffers.get(offset)!;
    this.#owned.fill(0, offset / RUN_BYTES, (offset + buffer.length) / RUN_BYTES);
    if (this.isClaimed(offset)) {
      buffer.doomed = true;
      this.#doomed++;
      return;
    }
    this.#buffers.delete(offset);
    this.#runs.release(offset);
  }

  /** Whether a request uses any of the buffer that begins here, or will. */
  isClaimed(offset: number): boolean {
    const length = this.#buffers.get(offset)?.length ?? 0;
    for (let page = offset / RUN_BYTES; page < (offset + length) / RUN_BYTES; page++) {
      if (this.#claims.has(page) || this.#holds[page]! > 0) return true;
    }
    return false;
  }

  /** Where in the pool a view begins, in bytes; -1 where it is other memory, and behind the end where it is a buffer that was disposed. */
  offsetOf(view: Uint8Array): number {
    const known = Place.offsetOf(view, this);
    if (known !== -1) return known;
    return view.buffer === this.arena.buffer ? view.byteOffset : -1;
  }

  /**
   * Marks a range as used by a request until `unclaim`. Memory that the kernel writes to belongs to one request alone (exclusive); memory
   * that it only reads can be in several. Returns the error that explains a refusal. What is held for a request may have been disposed since.
   */
  claim(offset: number, length: number, exclusive: boolean, held: boolean): CodedError | undefined {
    const refusal = this.refusalOf(offset, length, exclusive, held);
    if (refusal === undefined) this.#claims.count(offset, length, exclusive, 1);
    return refusal;
  }

  /** Why a range cannot be claimed. */
  refusalOf(offset: number, length: number, exclusive: boolean, held: boolean): CodedError | undefined {
    const first = Math.floor(offset / RUN_BYTES);
    const end = Math.ceil((offset + length) / RUN_BYTES);
    for (let page = first; page < end; page++) {
      if (this.#owned[page] !== 1 && !held) return disposedError();
      if (this.#claims.forbids(page, offset, length, exclusive)) return busyError();
    }
    return undefined;
  }

  /** Claims a range without asking whether it can be. */
  claimAnyway(offset: number, length: number, exclusive: boolean): void {
    this.#claims.count(offset, length, exclusive, 1);
  }

  unclaim(offset: number, length: number, exclusive: boolean): void {
    this.#claims.count(offset, length, exclusive, -1);
    if (this.#doomed > 0) this.#reconsider();
  }

  /** Why a range cannot be held. */
  refusalToHold(offset: number, length: number): CodedError | undefined {
    const end = Math.ceil((offset + length) / RUN_BYTES);
    return this.#owned.subarray(Math.floor(offset / RUN_BYTES), end).includes(0) ? disposedError() : undefined;
  }

  /** Counts one more (1) or one less (-1) for whom a range is kept from being given back. */
  hold(offset: number, length: number, change: 1 | -1): void {
    const end = Math.ceil((offset + length) / RUN_BYTES);
    for (let page = Math.floor(offset / RUN_BYTES); page < end; page++) this.#holds[page]! += change;
    if (change === -1 && this.#doomed > 0) this.#reconsider();
  }

  /** Gives back what was disposed while it was in flight, where that has ended. */
  #reconsider(): void {
    for (const [offset, buffer] of this.#buffers) {
      if (!buffer.doomed) continue;
      buffer.doomed = false;
      this.#doomed--;
      this.dispose(offset);
    }
  }

  /** Whether filling this range, of more than TOUCH_BYTES, makes the kernel find and clear memory first; that it may even wait for (compaction). */
  faults(offset: number, length: number): boolean {
    const last = Math.floor((offset + length - 1) / TOUCH_BYTES);
    for (let at = Math.floor(offset / TOUCH_BYTES); at <= last; at++) if (this.#touched[at] === 0) return true;
    return false;
  }

  /** Notes that a range is about to be filled. Returns whether all of it was touched before, and so has its pages. */
  touch(offset: number, length: number): boolean {
    const first = Math.floor(offset / TOUCH_BYTES);
    const last = Math.floor((offset + Math.max(length, 1) - 1) / TOUCH_BYTES);
    let touched = true;
    for (let at = first; at <= last; at++) {
      if (this.#touched[at] === 0) touched = false;
      this.#touched[at] = 1;
    }
    return touched;
  }

  /** Room to copy a piece: its offset, or -1 where there is none now. */
  takeWindow(byteLength: number): number {
    return this.#copies.take(byteLength);
  }

  releaseWindow(offset: number): void {
    this.#copies.release(offset);
  }
}

function disposedError(): CodedError {
  return aioError(
    'ERR_AIO_BUFFER_DISPOSED',
    'This memory of the context is not handed out: its buffer was disposed, or the view reaches beyond it. Dispose a buffer only ' +
      'after its last request was made, and use the buffer that allocate() returned or a subarray of it',
  );
}

function busyError(): CodedError {
  return aioError(
    'ERR_AIO_BUFFER_BUSY',
    'Another request is using this memory: the kernel may be writing to it or reading from it. Wait for that request, or allocate ' +
      'a buffer for each request in flight',
  );
}
