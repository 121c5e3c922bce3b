import { addAbortListener } from 'node:events';
import type { CodedError } from '../errors.ts';
import { getter } from '../layout/view.ts';

// Of signals Node's own getters and methods are used, whatever an object has in their place: what that threw would be thrown amid the
// completions.
const { call } = Function.prototype;
type Listening = (signal: AbortSignal, type: 'abort', listener: () => void, options?: object) => void;
const listen: Listening = call.bind(EventTarget.prototype.addEventListener) as Listening;
const unlisten: Listening = call.bind(EventTarget.prototype.removeEventListener) as Listening;
const reasonOf = getter<unknown>(AbortSignal.prototype, 'reason');

/**
 * What addAbortListener, which would call the signal's own method, listens with: a listener with these hears of an abort although another one
 * stopped it (stopImmediatePropagation). Node has no other way to get at them.
 */
const RESISTANT: object = optionsOfNode();

function optionsOfNode(): object {
  let options: object = {};
  const { signal } = new AbortController();
  const addEventListener = (_type: string, _listener: unknown, given: object): void => {
    options = given;
  };
  addAbortListener(Object.assign(signal, { addEventListener }), () => {});
  return options;
}

/** Whether a signal has aborted. Throws a TypeError where it is none. */
export const isAborted: (signal: AbortSignal) => boolean = getter<boolean>(AbortSignal.prototype, 'aborted');

/** As Node's own, so that `error.name === 'AbortError'` and `error.code === 'ABORT_ERR'` hold. */
export function abortError(signal: AbortSignal): CodedError {
  const error = new Error('The operation was aborted', { cause: reasonOf(signal) });
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}

/** Throws the AbortError of a signal that has aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal !== undefined && isAborted(signal)) throw abortError(signal);
}

/** What waits for signals: one listener a signal, for thousands may share one. */
export class Aborts<T> {
  readonly #abort: (one: T) => void;
  readonly #waiting = new Map<AbortSignal, { readonly all: Set<T>; readonly listener: () => void }>();

  /** `abort` is called with each that waits for a signal that aborts; it may remove them. */
  constructor(abort: (one: T) => void) {
    this.#abort = abort;
  }

  /** Throws where Node refuses to listen to the signal; then it waits for nothing. */
  add(signal: AbortSignal, one: T): void {
    const known = this.#waiting.get(signal);
    if (known !== undefined) {
      known.all.add(one);
      return;
    }
    const all = new Set([one]);
    const listener = (): void => {
      // Not over a copy: one may let another end, whose record is then used again.
      for (const one of all) this.#abort(one);
    };
    listen(signal, 'abort', listener, RESISTANT);
    this.#waiting.set(signal, { all, listener });
  }

  /** It waits no more, if it did. */
  remove(signal: AbortSignal, one: T): void {
    const known = this.#waiting.get(signal);
    if (known === undefined) return;
    known.all.delete(one);
    if (known.all.size > 0) return;
    this.#waiting.delete(signal);
    try {
      unlisten(signal, 'abort', known.listener);
    } catch {
      // Node takes it for no EventTarget any more: it looks at `signal.constructor`. The listener that stays has nothing to abort.
    }
  }
}
