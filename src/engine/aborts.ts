import type { Request } from './request.ts';

const { call } = Function.prototype;
type Listening = (signal: AbortSignal, type: 'abort', listener: () => void) => void;
/** Node's own, whatever the signal has in their place: what they threw would be thrown amid the completions. */
export const listen: Listening = call.bind(EventTarget.prototype.addEventListener) as Listening;
export const unlisten: Listening = call.bind(EventTarget.prototype.removeEventListener) as Listening;

/** The requests that listen to a signal: one listener a signal, for thousands may share one. */
export class Aborts {
  readonly #abort: (request: Request) => void;
  readonly #waiting = new Map<AbortSignal, { readonly requests: Set<Request>; readonly listener: () => void }>();

  constructor(abort: (request: Request) => void) {
    this.#abort = abort;
  }

  add(request: Request, signal: AbortSignal): void {
    request.signal = signal;
    const known = this.#waiting.get(signal);
    if (known !== undefined) {
      known.requests.add(request);
      return;
    }
    const requests = new Set([request]);
    const listener = (): void => {
      for (const one of [...requests]) this.#abort(one);
    };
    listen(signal, 'abort', listener);
    this.#waiting.set(signal, { requests, listener });
  }

  /** The request is settled: nobody waits for its end any more. */
  remove(request: Request): void {
    const { signal } = request;
    const known = signal && this.#waiting.get(signal);
    if (known === undefined) return;
    known.requests.delete(request);
    if (known.requests.size > 0) return;
    unlisten(signal!, 'abort', known.listener);
    this.#waiting.delete(signal!);
  }
}
