const { call } = Function.prototype;
type Listening = (signal: AbortSignal, type: 'abort', listener: () => void) => void;
/** Node's own, whatever the signal has in their place: what they threw would be thrown amid the completions. */
const listen: Listening = call.bind(EventTarget.prototype.addEventListener) as Listening;
const unlisten: Listening = call.bind(EventTarget.prototype.removeEventListener) as Listening;

/** What waits for signals: one listener a signal, for thousands may share one. */
export class Aborts<T> {
  readonly #abort: (one: T) => void;
  readonly #waiting = new Map<AbortSignal, { readonly all: Set<T>; readonly listener: () => void }>();

  /** `abort` is called with each that waits for a signal that aborts; it may remove them. */
  constructor(abort: (one: T) => void) {
    this.#abort = abort;
  }

  add(signal: AbortSignal, one: T): void {
    const known = this.#waiting.get(signal);
    if (known !== undefined) {
      known.all.add(one);
      return;
    }
    const all = new Set([one]);
    const listener = (): void => {
      for (const one of [...all]) this.#abort(one);
    };
    listen(signal, 'abort', listener);
    this.#waiting.set(signal, { all, listener });
  }

  /** It waits no more, if it did. */
  remove(signal: AbortSignal, one: T): void {
    const known = this.#waiting.get(signal);
    if (known === undefined) return;
    known.all.delete(one);
    if (known.all.size > 0) return;
    unlisten(signal, 'abort', known.listener);
    this.#waiting.delete(signal);
  }
}
