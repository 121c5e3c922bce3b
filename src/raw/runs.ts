import { outOfRange } from '../errors.ts';

/** What runs are rounded to and aligned at: no block device needs more, and every page size is a multiple or a divisor. */
export const RUN_BYTES = 4096;

interface Run {
  offset: number;
  length: number;
}

/** Hands out runs of a range of memory, first fit, and joins what comes back with its neighbours. It only counts; it touches nothing. */
export class Runs {
  readonly #free: Run[];
  readonly #taken = new Map<number, number>();
  #freeBytes: number;

  /** `begin` and `length` are multiples of 4096. */
  constructor(begin: number, length: number) {
    this.#free = [{ offset: begin, length }];
    this.#freeBytes = length;
  }

  /** Bytes that are not handed out, not necessarily in one piece. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** How many runs are handed out. */
  get count(): number {
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
  lengthOf(offset: number): number | undefined {
    return this.#taken.get(offset);
  }

  /** Gives the run at `offset` back. One that is not taken is refused: it would be handed out twice. */
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
}
