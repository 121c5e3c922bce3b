import { type NextBlock, randomBlocks, sequentialBlocks } from '../offsets.ts';
import { type Counters, MAX_SAMPLES, SAMPLE_EVERY, type TrialSpec } from '../protocol.ts';
import { PAGE_BYTES } from '../target.ts';

/** Requests of one thread for a while. */
export interface Load {
  /** Keeps `depth` requests in flight for this long and resolves when the last has ended. */
  run(milliseconds: number): Promise<Tally>;
  close(): Promise<void>;
  /** Counters of kaio's, where it is kaio's load. */
  counters?(): Counters;
}

export interface Tally {
  requests: number;
  samplesNs: number[];
}

/** One of the places that keep `depth` requests in flight: its memory, and where that lies in the words of the whole. */
export interface Place {
  readonly buffer: Uint8Array;
  readonly words: Uint32Array;
  readonly first: number;
  readonly last: number;
}

export type PromiseRead = (place: Place, position: number) => Promise<{ bytesRead: number }>;
export type CallbackRead = (
  place: Place,
  position: number,
  callback: (error: Error | null, bytes?: number) => void,
) => void;

export function placeOf(buffer: Uint8Array): Place {
  const words = new Uint32Array(buffer.buffer);
  const first = buffer.byteOffset / 4;
  return { buffer, words, first, last: first + buffer.byteLength / 4 - 2 };
}

function blocksOf({ targetBytes, bytes, pattern, seed }: TrialSpec): NextBlock {
  const blocks = Math.floor(targetBytes / bytes);
  return pattern === 'random' ? randomBlocks(blocks, seed) : sequentialBlocks(blocks);
}

/** What every load does besides reading: checks what came, counts, and samples latencies. */
class Books {
  readonly #bytes: number;
  readonly #pages: number;
  requests = 0;
  samplesNs: number[] = [];
  running = false;

  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#pages = Math.max(1, bytes / PAGE_BYTES);
  }

  /** Starts the clock where this request is one of those that are measured; else 0. */
  begin(): number {
    return ++this.requests % SAMPLE_EVERY === 0 ? performance.now() : 0;
  }

  end(place: Place, block: number, bytesRead: number, began: number): void {
    const page = block * this.#pages;
    const right = place.words[place.first] === page && place.words[place.last] === page + this.#pages - 1;
    if (bytesRead !== this.#bytes || !right) {
      throw new Error(`block ${block}: ${bytesRead} bytes, the first of them ${place.words[place.first]}`);
    }
    if (began !== 0 && this.samplesNs.length < MAX_SAMPLES) {
      this.samplesNs.push(Math.round((performance.now() - began) * 1e6));
    }
  }

  start(milliseconds: number): void {
    this.requests = 0;
    this.samplesNs = [];
    this.running = true;
    setTimeout(() => {
      this.running = false;
    }, milliseconds);
  }

  tally(): Tally {
    return { requests: this.requests, samplesNs: this.samplesNs };
  }
}

/** A load of `await read(...)`, one loop a place. */
export function promiseLoad(
  spec: TrialSpec,
  places: readonly Place[],
  read: PromiseRead,
  close: () => Promise<void>,
): Load {
  const books = new Books(spec.bytes);
  const next = blocksOf(spec);
  const { bytes } = spec;
  async function loop(place: Place): Promise<void> {
    while (books.running) {
      const block = next();
      const began = books.begin();
      const { bytesRead } = await read(place, block * bytes);
      books.end(place, block, bytesRead, began);
    }
  }
  return {
    async run(milliseconds) {
      books.start(milliseconds);
      await Promise.all(places.map(loop));
      return books.tally();
    },
    close,
  };
}

/** A load of `read(..., callback)`: each callback makes the next request of its place. */
export function callbackLoad(
  spec: TrialSpec,
  places: readonly Place[],
  read: CallbackRead,
  close: () => Promise<void>,
): Load {
  const books = new Books(spec.bytes);
  const next = blocksOf(spec);
  const { bytes } = spec;
  let open = 0;
  let finished: () => void = () => {};
  const starts = places.map((place) => {
    let block = 0;
    let began = 0;
    const issue = (): void => {
      block = next();
      began = books.begin();
      read(place, block * bytes, done);
    };
    const done = (error: Error | null, bytesRead?: number): void => {
      if (error !== null) throw error;
      books.end(place, block, bytesRead!, began);
      if (books.running) issue();
      else if (--open === 0) finished();
    };
    return issue;
  });
  return {
    async run(milliseconds) {
      books.start(milliseconds);
      open = starts.length;
      await new Promise<void>((resolve) => {
        finished = resolve;
        for (const start of starts) start();
      });
      return books.tally();
    },
    close,
  };
}
