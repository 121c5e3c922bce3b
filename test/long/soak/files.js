// The files and the context of one thread's load, and how they are closed and opened again under it.
import assert from 'node:assert';
import { writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { AioContext } from '../../../dist/index.js';
import { WAYS } from './latency.js';
import { fillUnit, UNIT_BYTES, UNITS, wordsOf } from './model.js';
import { below } from './random.js';

/** Each file is either direct or buffered: the kernel promises nothing to those who mix. */
export const kinds = [
  { direct: true },
  { direct: true },
  { direct: false },
  { direct: true, submit: 'offload' },
  { direct: false, submit: 'inline' },
];

const DEPTH = 64;
const POOL_BYTES = 8 * 1024 * 1024;

/** Makes the files, so that the numbers of a model that knows nothing yet are theirs. */
export function createFiles(dir, model) {
  for (let file = 0; file < kinds.length; file++) {
    const content = new Uint8Array(UNITS * UNIT_BYTES);
    const number = model.begin(file, 0, UNITS);
    for (let unit = 0; unit < UNITS; unit++) {
      fillUnit(wordsOf(content.subarray(unit * UNIT_BYTES, (unit + 1) * UNIT_BYTES)), file, unit, number);
    }
    writeFileSync(`${dir}/${file}`, content);
    model.written(file, 0, UNITS, number);
  }
}

/** A context that reaps in this way. Each thread has an environment of its own. */
function newContext(way) {
  process.env.KAIO_REAP = way;
  return new AioContext({ depth: DEPTH, memory: POOL_BYTES });
}

export class Files {
  #dir;
  #model;
  #context;
  #way = WAYS[below(2)];
  #freeBytes = 0;
  #renewing = false;
  /** For each kind: the open file, and the promise of it while it is not. */
  #entries = kinds.map(() => ({ file: undefined, ready: undefined }));

  constructor(dir, model) {
    this.#dir = dir;
    this.#model = model;
  }

  get context() {
    return this.#context;
  }

  /** How the context reaps: half of them in one way, half in the other. */
  get way() {
    return this.#way;
  }

  async open() {
    this.#context = newContext(this.#way);
    this.#freeBytes = this.#context.stats().freeBytes;
    await Promise.all(kinds.map((_, at) => this.#open(at)));
  }

  async #open(at) {
    this.#entries[at].file = await this.#context.open(`${this.#dir}/${at}`, 'r+', kinds[at]);
  }

  /** The open file, or undefined while it is not open. */
  at(at) {
    const { file, ready } = this.#entries[at];
    return ready === undefined ? file : undefined;
  }

  /** Resolves when the file may be open again: look in the same turn, for it may be closed in the next. */
  changed(at) {
    return this.#entries[at].ready;
  }

  /** Holds new requests to a file back while something is done to it. */
  async #whileShut(at, act) {
    const entry = this.#entries[at];
    let opened;
    entry.ready = new Promise((resolve) => {
      opened = resolve;
    });
    await act(entry);
    entry.ready = undefined;
    opened();
  }

  /** Closes a file with whatever is in flight, twice at once, and opens it again. False where that is going on already. */
  async reopen(at) {
    if (this.#renewing || this.#entries[at].ready !== undefined) return false;
    await this.#whileShut(at, async ({ file }) => {
      await Promise.all([file.close(), file.close()]);
      this.#model.settled(at);
      await this.#open(at);
    });
    return true;
  }

  /** Closes the context with whatever is in flight, and makes a new one. False where a file is not open. */
  async renew() {
    if (this.#renewing || this.#entries.some(({ ready }) => ready !== undefined)) return false;
    this.#renewing = true;
    const renewed = this.#close(this.#context).then(() => {
      this.#way = WAYS[1 - WAYS.indexOf(this.#way)];
      this.#context = newContext(this.#way);
    });
    await Promise.all(
      kinds.map((_, at) =>
        this.#whileShut(at, async () => {
          await renewed;
          await this.#open(at);
        }),
      ),
    );
    this.#renewing = false;
    return true;
  }

  async #close(context) {
    await context.close();
    for (let at = 0; at < kinds.length; at++) this.#model.settled(at);
    // Those who waited for the last requests give their buffers back.
    await turn();
    const { inFlight, inFlightBytes, queued, buffers, freeBytes } = context.stats();
    const left = { inFlight, inFlightBytes, queued, buffers, freeBytes };
    assert.deepStrictEqual(left, { inFlight: 0, inFlightBytes: 0, queued: 0, buffers: 0, freeBytes: this.#freeBytes });
  }

  /** Nobody uses the files any more. */
  async end() {
    await this.#close(this.#context);
  }
}
