import { fstat as fstatCallback } from 'node:fs';
import { promisify } from 'node:util';
import type { RequestOptions } from '../engine/engine.ts';
import type { Handle } from './handle.ts';
import { Turns, unlessAborted } from './waiting.ts';

const fstat = promisify(fstatCallback);

/**
 * The file's own position: where a request begins that says nothing of it. Such requests go one after another, because only the end of
 * one says where the next begins.
 */
export class OwnPosition {
  readonly #handle: Handle;
  readonly #turns = new Turns();
  #bytes = 0;

  constructor(handle: Handle) {
    this.#handle = handle;
  }

  /** Where it is once the requests that were made earlier are done. */
  async current(): Promise<number> {
    return await this.#turns.take(async (before) => {
      await before;
      return this.#bytes;
    });
  }

  moveTo(position: number): void {
    this.#bytes = position;
  }

  /** Runs a request in its turn, from the position that it is given; it resolves to the bytes that it moved. */
  // One async function after another from the caller to the engine: V8 finds the caller's line only along promises that nobody else
  // waits for.
  async inTurn(signal: AbortSignal | undefined, run: (position: number) => Promise<number>): Promise<number> {
    return await this.#turns.take(async (before) => {
      await unlessAborted(before, signal);
      const moved = await run(this.#bytes);
      this.#bytes += moved;
      return moved;
    });
  }

  /** Runs an append in its turn. The position is then where that ended: where the file ends by now, for only the kernel knows. */
  append(options: RequestOptions | undefined, moves: boolean, run: () => Promise<number>): Promise<number> {
    return this.#turns.take(async (before) => {
      // Who would rather fail than wait goes at once: appends of others may come first anyway.
      if (options?.nowait !== true) await unlessAborted(before, options?.signal);
      const moved = await run();
      if (moves && moved > 0) this.#bytes = (await this.#handle.with((fd) => fstat(fd))).size;
      return moved;
    });
  }
}
