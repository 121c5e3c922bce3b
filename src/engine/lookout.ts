import type { Core } from './core.ts';
import { LOOK_PAUSE_MS, LOOKS_IN_VAIN } from './policy.ts';

/**
 * Looks for the completions that do not wake the event loop, as long as there are any to come. Mostly another completion, which does wake
 * it, brings them along: then a look after a pause is enough. Where they are all that is in flight, it looks in every turn of the loop,
 * until many looks were in vain. What a look finds is settled at once, not in pieces.
 */
export class Lookout {
  readonly #core: Core;
  readonly #onEvents: (count: number) => void;
  /** Whether looking keeps the event loop alive. */
  keepAlive = true;
  /** Turns in a row in which nothing was found. */
  #inVain = 0;
  #soon: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;

  /** `onEvents` is called with the number of events that are in the control memory then; a negative one says that the ring is broken. */
  constructor(core: Core, onEvents: (count: number) => void) {
    this.#core = core;
    this.#onEvents = onEvents;
  }

  /** To be called after every submit and every wake. */
  watch(): void {
    const { unheard, poison } = this.#core;
    if (unheard === 0) this.#inVain = 0;
    else if (poison === undefined) this.#arm();
  }

  #arm(): void {
    const { unheard, slots, polls, loop } = this.#core;
    const others = slots.used - polls > unheard;
    // An immediate that does not keep the loop alive does not run either before something else wakes the loop.
    if (!others && this.keepAlive && this.#inVain < LOOKS_IN_VAIN) {
      this.#soon ??= loop.next(this.#onSoon);
    } else if (this.#later === undefined) {
      this.#later = loop.after(LOOK_PAUSE_MS, this.#onLater);
      if (!this.keepAlive) this.#later.unref();
    }
  }

  readonly #onSoon = (): void => {
    this.#soon = undefined;
    this.#inVain++;
    this.#look();
  };

  readonly #onLater = (): void => {
    this.#later = undefined;
    this.#look();
  };

  #look(): void {
    if (this.#core.unheard === 0) return;
    const count = this.#core.kernel.reap();
    if (count === 0) {
      this.watch();
      return;
    }
    this.#inVain = 0;
    this.#onEvents(count);
  }
}
