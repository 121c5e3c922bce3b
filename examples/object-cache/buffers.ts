import type { AioContext, PoolBuffer } from 'kaio';

/**
 * A fixed number of buffers that are lent, one after another, to whoever needs one. Those who come when all are lent wait in a line: so a
 * program's memory is bounded however much it is asked to do. Memory that was used before is also the quicker one.
 */
export class Buffers implements Disposable {
  readonly #free: PoolBuffer[];
  readonly #line: ((buffer: PoolBuffer) => void)[] = [];
  #disposed = false;

  /** Takes `count` buffers of `bytes` each from the context's memory. */
  constructor(context: AioContext, count: number, bytes: number) {
    this.#free = Array.from({ length: count }, () => context.allocate(bytes));
  }

  /** Lends a buffer, now or when it is one's turn. Give it back once no request uses it any more. */
  async take(): Promise<PoolBuffer> {
    return this.#free.pop() ?? (await new Promise((resolve) => this.#line.push(resolve)));
  }

  give(buffer: PoolBuffer): void {
    const next = this.#line.shift();
    if (next !== undefined) next(buffer);
    else if (this.#disposed) buffer[Symbol.dispose]();
    else this.#free.push(buffer);
  }

  /** Gives the memory back to the context: what is lent when it comes back. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const buffer of this.#free.splice(0)) buffer[Symbol.dispose]();
  }
}
