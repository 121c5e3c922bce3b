import type { TrialSpec } from '../protocol.ts';
import { PAGE_BYTES } from '../target.ts';
import { callbackLoad, type Load, type Place, placeOf, promiseLoad } from './load.ts';

/**
 * The load over nothing: reads that are collected in an array and completed together at the end of the turn, the data's first and last
 * word written. What it costs, the load itself costs; and it is a fixed amount of JavaScript to hold other figures against.
 */
export function yardstickLoad(spec: TrialSpec, style: 'promise' | 'callback'): Load {
  const bytes = new Uint8Array(spec.depth * spec.bytes);
  const places = Array.from({ length: spec.depth }, (_, i) =>
    placeOf(bytes.subarray(i * spec.bytes, (i + 1) * spec.bytes)),
  );
  const end = async (): Promise<void> => {};
  const turn = new Turn(spec.bytes);
  if (style === 'callback') return callbackLoad(spec, places, turn.read, end);
  return promiseLoad(
    spec,
    places,
    (place, position) =>
      new Promise((resolve) => {
        turn.read(place, position, (_error, bytesRead) => resolve({ bytesRead: bytesRead! }));
      }),
    end,
  );
}

type Callback = (error: Error | null, bytes?: number) => void;

class Turn {
  readonly #bytes: number;
  #places: Place[] = [];
  #positions: number[] = [];
  #callbacks: Callback[] = [];

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  readonly read = (place: Place, position: number, callback: Callback): void => {
    // An immediate, and no tick: the timer that ends the slice must have its turn.
    if (this.#callbacks.length === 0) setImmediate(this.#complete);
    this.#places.push(place);
    this.#positions.push(position);
    this.#callbacks.push(callback);
  };

  readonly #complete = (): void => {
    const places = this.#places;
    const positions = this.#positions;
    const callbacks = this.#callbacks;
    this.#places = [];
    this.#positions = [];
    this.#callbacks = [];
    for (let i = 0; i < callbacks.length; i++) {
      const { words, first, last } = places[i]!;
      const page = positions[i]! / PAGE_BYTES;
      words[first] = page;
      words[last] = page + this.#bytes / PAGE_BYTES - 1;
      callbacks[i]!(null, this.#bytes);
    }
  };
}
