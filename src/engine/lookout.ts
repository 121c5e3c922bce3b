import type { Core } from './core.ts';
import { LOOK_PAUSE_MS, LOOKS_IN_VAIN } from './policy.ts';

/** Looks for the completions that do not wake the event loop, as long as there are any to come. */
export class Lookout {
  readonly #core: Core;
  readonly #onEvents: (count: number) => void;
  /** Whether looking keeps the event loop alive. */
  keepAlive = true;
  /** Looks in a row that found nothing. */
  #inVain = 0;
  #soon: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;

  /** `onEvents` is called with the number of events that are in the control memory then; or with a negative one, if the ring is broken. */
  constructor(core: Core, onEvents: (count: number) => void) {
    this.#core = core;
    this.#onEvents = onEvents;
  }

  /** To be called after every submit and every wake. */
  watch(): void {
    const { unheard, slots, poison } = this.#core;
    if (unheard === 0 || poison !== undefined) return;
    // What will wake the loop finds the others too; only if it takes longer than they do must somebody look.
    if (slots.used > unheard || this.#inVain >= LOOKS_IN_VAIN) {
      this.#later ??= this.#mayEnd(setTimeout(this.#onLater, LOOK_PAUSE_MS));
    } else {
      this.#soon ??= this.#mayEnd(setImmediate(this.#onSoon));
    }
  }

  #mayEnd<T extends NodeJS.Immediate | NodeJS.Timeout>(handle: T): T {
    if (!this.keepAlive) handle.unref();
    return handle;
  }

  readonly #onSoon = (): void => {
    this.#soon = undefined;
    this.#look();
  };

  readonly #onLater = (): void => {
    this.#later = undefined;
    this.#look();
  };

  #look(): void {
    if (this.#core.unheard === 0) return;
    const count = this.#core.kernel.reap();
    this.#inVain = count === 0 ? this.#inVain + 1 : 0;
    if (count === 0) this.watch();
    else this.#onEvents(count);
  }
}
