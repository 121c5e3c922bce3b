import type { Request } from './request.ts';

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
    signal.addEventListener('abort', listener);
    this.#waiting.set(signal, { requests, listener });
  }

  /** The request is settled: nobody waits for its end any more. */
  remove(request: Request): void {
    const { signal } = request;
    const known = signal && this.#waiting.get(signal);
    if (known === undefined) return;
    known.requests.delete(request);
    if (known.requests.size > 0) return;
    signal!.removeEventListener('abort', known.listener);
    this.#waiting.delete(signal!);
  }
}
