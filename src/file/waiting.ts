import { Aborts, abortError, isAborted } from '../engine/aborts.ts';
import type { Target } from '../engine/target.ts';

const waits = new Aborts<() => void>((stop) => stop());

/** Calls back with an AbortError when the signal says to stop, perhaps at once. Whoever no longer waits calls what this returns. */
export function whenAborted(signal: AbortSignal | undefined, callback: (error: Error) => void): () => void {
  if (signal === undefined) return () => {};
  const stop = (): void => callback(abortError(signal));
  if (isAborted(signal)) stop();
  else waits.add(signal, stop);
  return () => waits.remove(signal, stop);
}

/** Waits, unless the signal says to stop: then it rejects at once. */
export async function unlessAborted(before: Promise<unknown>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) {
    await before;
    return;
  }
  let leave = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    leave = whenAborted(signal, reject);
  });
  try {
    await Promise.race([aborted, before]);
  } finally {
    leave();
  }
}

/** What was asked of a file and has not come to the engine, or not as a whole: it waits for something, or has several steps. */
export class Pending {
  readonly #target: Target;
  readonly #all = new Set<Promise<void>>();

  constructor(target: Target) {
    this.#target = target;
  }

  get none(): boolean {
    return this.#all.size === 0;
  }

  /** Resolves when all that is pending now is over. */
  async over(): Promise<void> {
    await Promise.all(this.#all);
  }

  /** Runs it. It counts as open from now on, so that close() waits for it. */
  async run<T>(what: () => Promise<T>): Promise<T> {
    let end = (): void => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#all.add(over);
    this.#target.hold();
    try {
      return await what();
    } finally {
      this.#all.delete(over);
      end();
      this.#target.release();
    }
  }
}

/** Runs one after another, in the order of the calls. */
export class Turns {
  /** Settled when the last one is over. */
  #last: Promise<void> = Promise.resolve();

  /** `run` is given the promise of those before; what it does must be over when it settles. */
  async take<T>(run: (before: Promise<void>) => Promise<T>): Promise<T> {
    // One that is aborted while it waits does not let the next one overtake those before.
    const before = this.#last;
    let end = (): void => {};
    this.#last = new Promise((resolve) => {
      end = () => before.then(resolve);
    });
    try {
      return await run(before);
    } finally {
      end();
    }
  }
}
