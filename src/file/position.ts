import type { Callback } from '../engine/request.ts';
import type { Target } from '../engine/target.ts';
import { abortError } from '../errors.ts';

/**
 * The file's own position: where a request begins that says nothing of it. Such requests go one after another, because only the end of
 * one says where the next begins.
 */
export class OwnPosition {
  readonly #target: Target;
  #bytes = 0;
  /** Settled when the last of those requests is. */
  #turn: Promise<void> = Promise.resolve();

  constructor(target: Target) {
    this.#target = target;
  }

  /** Where it is once the requests that were made earlier are done. */
  current(): Promise<number> {
    return this.inTurn(
      undefined,
      async () => 0,
      () => this.#bytes,
    );
  }

  moveTo(position: number): void {
    this.#bytes = position;
  }

  /** Runs a request in its turn; it resolves to the bytes that it moved. */
  // One async function from the caller to the engine: V8 finds the caller's line only along promises that nobody else waits for.
  async inTurn<T>(
    signal: AbortSignal | undefined,
    run: (position: number) => Promise<number>,
    shape: (moved: number) => T,
  ): Promise<T> {
    // One that is aborted while it waits does not let the next one overtake those before.
    const before = this.#turn;
    let end = (): void => {};
    this.#turn = new Promise((resolve) => {
      end = () => before.then(resolve);
    });
    // It counts from now on: close() waits for it although it has not begun.
    this.#target.hold();
    try {
      await unlessAborted(before, signal);
      const moved = await run(this.#bytes);
      this.#bytes += moved;
      return shape(moved);
    } finally {
      end();
      this.#target.release();
    }
  }
}

/** Waits, unless the signal says to stop: then it rejects at once. */
async function unlessAborted(before: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) {
    await before;
    return;
  }
  if (signal.aborted) throw abortError(signal);
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(abortError(signal));
    signal.addEventListener('abort', stop);
  });
  try {
    await Promise.race([before, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Has a callback called with what a promise comes to. */
export function callBackWith(callback: Callback, result: Promise<unknown>, buffer: unknown): void {
  result.then(
    (bytes) => callBack(callback, null, bytes as number, buffer),
    (error) => callBack(callback, error),
  );
}

/** Calls back; what it throws becomes an uncaught exception, as from any other callback, and not a rejection that nobody handles. */
function callBack(callback: Callback, ...result: Parameters<Callback>): void {
  try {
    callback(...result);
  } catch (thrown) {
    process.nextTick(() => {
      throw thrown;
    });
  }
}
