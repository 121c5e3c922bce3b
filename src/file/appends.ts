import { constants } from 'node:os';
import { Turns, unlessAborted } from './waiting.ts';

const { EINVAL } = constants.errno;

/**
 * Appends to a file with direct I/O, in the order of the calls. Only the kernel knows where the file ends when one is carried out: if not
 * where direct I/O can begin, it answers EINVAL, and the append goes through the page cache.
 */
export class Appends {
  readonly #turns = new Turns();
  /** Appends through the cache that run or wait: they may move the end to where a direct one would overtake them. */
  #cached = 0;

  /** `direct` is undefined where direct I/O cannot take the length. */
  async inTurn<T>(
    signal: AbortSignal | undefined,
    direct: (() => Promise<T>) | undefined,
    cached: () => Promise<T>,
  ): Promise<T> {
    return await this.#turns.take(async (before) => {
      if (direct !== undefined && this.#cached === 0) {
        try {
          return await direct();
        } catch (error) {
          if ((error as { errno?: number }).errno !== -EINVAL) throw error;
        }
      }
      this.#cached++;
      try {
        await unlessAborted(before, signal);
        return await cached();
      } finally {
        this.#cached--;
      }
    });
  }
}
