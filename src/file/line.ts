import { throwIfAborted } from '../engine/aborts.ts';
import type { Target } from '../engine/target.ts';
import { whenAborted } from './waiting.ts';

interface Waiting {
  readonly exclusive: boolean;
  readonly go: () => void;
}

/**
 * Keeps the calls that change a file's size apart from its requests, in the order in which they were made: such a call waits for what was
 * requested before it, and what is requested after it waits for it. While there is none, requests need not ask.
 */
export class Line {
  /** Whether requests may go without asking. A field of its own, since every request looks at it. */
  free = true;
  readonly #target: Target;
  readonly #waiting: Waiting[] = [];
  #running = false;

  constructor(target: Target) {
    this.#target = target;
  }

  /** Runs a call that changes the size. */
  async exclusively(run: () => Promise<void>): Promise<void> {
    this.free = false;
    await new Promise<void>((go) => this.#wait({ exclusive: true, go }));
    try {
      await run();
    } finally {
      this.#running = false;
      this.#advance();
    }
  }

  /** Waits until a request may go. It must count as open from before until it is over. */
  async enter(signal: AbortSignal | undefined): Promise<void> {
    if (this.free) return;
    throwIfAborted(signal);
    // One promise, signal or not: whoever has another number of them to go through would be overtaken by those behind.
    let leave = (): void => {};
    const turn = new Promise<void>((go, reject) => {
      const waiting = { exclusive: false, go };
      // First: it throws where a signal cannot be listened to, and then nothing may wait.
      leave = whenAborted(signal, (error) => {
        this.#leave(waiting);
        reject(error);
      });
      this.#target.behind++;
      this.#wait(waiting);
    });
    try {
      await turn;
    } finally {
      leave();
    }
  }

  #leave(waiting: Waiting): void {
    const at = this.#waiting.indexOf(waiting);
    if (at === -1) return;
    this.#waiting.splice(at, 1);
    this.#target.behind--;
  }

  /** Runs what is open for long, without being in the way of those that change the size. Requests that it makes stand in the line as any. */
  async aside(run: () => Promise<void>): Promise<void> {
    this.#target.behind++;
    try {
      await run();
    } finally {
      this.#target.behind--;
    }
  }

  #wait(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#target.onQuiet ??= () => this.#advance();
    this.#advance();
  }

  /** Lets go whoever may. */
  #advance(): void {
    while (!this.#running) {
      const first = this.#waiting[0];
      if (first === undefined || (first.exclusive && !this.#target.quiet)) break;
      this.#waiting.shift();
      if (first.exclusive) this.#running = true;
      else this.#target.behind--;
      first.go();
    }
    this.free = !this.#running && this.#waiting.length === 0;
  }
}
