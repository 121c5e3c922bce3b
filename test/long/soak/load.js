// The mixed load of one thread: many lanes that do one random thing after another, and check every byte that they read.
import assert from 'node:assert';
import { readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createFiles, Files, kinds } from './files.js';
import { record } from './latency.js';
import { fillUnit, Model, UNIT_BYTES, UNITS, wordsOf } from './model.js';
import { below, oneIn, random, seedRandom } from './random.js';

export const LANES = 12;
const FEW_LANES = 3;
export const FILES = kinds.length;
/** What the threads tell each other: how long a lane rests after each thing it does, and how many were done. */
export const PAUSE_US = 0;
export const DONE = 1;

const POLLIN = 1;
const MOST_UNITS = 8;
/** One request in so many is large: it goes to the kernel in parts. */
const LARGE_ONE_IN = 24;
const LARGE_UNITS = 96;
const ABORTED_ONE_IN = 12;

/** Codes that requests may fail with, and whether they may be short: where a preloaded library injects faults. */
const injected = new Set(process.env.KAIO_SOAK_INJECTED?.split(','));

/** The things that a lane does, and how often each of them. */
const weights = Object.entries({
  read: 340,
  write: 300,
  readv: 80,
  writev: 80,
  datasync: 30,
  sync: 10,
  poll: 40,
  reopen: 12,
  renew: 4,
}).flatMap(([name, weight]) => new Array(weight).fill(name));

export class Load {
  counts = { checked: 0, aborted: 0, failed: 0, short: 0 };
  #files;
  #model;
  #control;
  #latencies;
  #eventfds;
  #stopping = false;
  #lanes = [];

  /** `eventfds` are one a lane. With `fresh`, the files are made first. */
  constructor({ dir, shared, base, control, latencies, eventfds, fresh, seed }) {
    seedRandom(seed);
    this.#model = new Model(shared, FILES, base);
    if (fresh) createFiles(dir, this.#model);
    this.#files = new Files(dir, this.#model);
    this.#control = control;
    this.#latencies = latencies;
    this.#eventfds = eventfds;
  }

  async start() {
    await this.#files.open();
    // Half of the time few lanes: what is forgotten is found by the next thing that happens, if there is much that does.
    const lanes = oneIn(2) ? this.#eventfds.slice(0, FEW_LANES) : this.#eventfds;
    this.#lanes = lanes.map((eventfd) => this.#lane(eventfd));
    // A lane that fails is seen when the load ends, or at once by whoever listens to unhandled rejections.
  }

  async end() {
    this.#stopping = true;
    await Promise.all(this.#lanes);
    await this.#files.end();
  }

  async #lane(eventfd) {
    while (!this.#stopping) {
      const name = weights[below(weights.length)];
      await this.#do(name, eventfd);
      this.counts[name] = (this.counts[name] ?? 0) + 1;
      Atomics.add(this.#control, DONE, 1);
      const pauseMs = (Atomics.load(this.#control, PAUSE_US) / 1000) * 2 * random();
      if (pauseMs > 0.5) await sleep(pauseMs);
    }
  }

  async #do(name, eventfd) {
    switch (name) {
      case 'poll':
        return await this.#poll(eventfd);
      case 'reopen':
        return await this.#files.reopen(below(FILES));
      case 'renew':
        return await this.#files.renew();
      case 'sync':
      case 'datasync':
        return await this.#sync(name);
      default:
        return await this.#transfer(name.startsWith('read'), name.endsWith('v'));
    }
  }

  // ---- Reads and writes ----------------------------------------------------------------------------------------------------

  async #transfer(reads, vectored) {
    const file = below(FILES);
    const count = oneIn(LARGE_ONE_IN) ? 1 + below(LARGE_UNITS) : 1 + below(MOST_UNITS);
    const first = below(UNITS - count + 1);
    if (!this.#model.claim(file, first, count)) return;
    while (this.#files.at(file) === undefined) await this.#files.changed(file);
    const handle = this.#files.at(file);
    const memory = this.#memory(count, vectored);
    const position = first * UNIT_BYTES;
    if (reads) await this.#read(handle, memory, position, { file, first, count });
    else await this.#write(handle, memory, position, { file, first, count });
    // Also of an aborted request: what is in flight is given back at its event.
    for (const view of memory) view[Symbol.dispose]?.();
    this.#model.release(file, first, count);
  }

  async #read(handle, memory, position, { file, first, count }) {
    for (const view of memory) view.fill(0xee);
    const answer = await this.#abortable((signal) => this.#timed(handle, 'read', memory, position, signal));
    if (typeof answer !== 'number') return;
    const whole = this.#unitsOf(answer, count);
    for (const [at, words] of units(memory)) {
      if (at < whole && this.#model.check(file, first + at, words)) this.counts.checked++;
    }
  }

  async #write(handle, memory, position, { file, first, count }) {
    const number = this.#model.begin(file, first, count);
    for (const [at, words] of units(memory)) fillUnit(words, file, first + at, number);
    const answer = await this.#abortable((signal) => this.#timed(handle, 'write', memory, position, signal));
    // Of a write that failed, or behind the end of a short one, parts may be in the file: the model knows both numbers since it began.
    if (answer === 'aborted') this.#model.givenUp(file, first, count);
    else if (answer !== 'failed') this.#model.written(file, first, this.#unitsOf(answer, count), number);
  }

  async #timed(handle, name, memory, position, signal) {
    const { way } = this.#files;
    const began = performance.now();
    const bytes = await request(handle, name, memory, position, signal);
    record(this.#latencies[way], performance.now() - began);
    return bytes;
  }

  /** How many units were moved: all of them where nothing injects faults. */
  #unitsOf(bytes, count) {
    if (bytes === count * UNIT_BYTES) return count;
    assert.ok(injected.size > 0 && bytes > 0 && bytes % UNIT_BYTES === 0, `${bytes} bytes of ${count * UNIT_BYTES}`);
    this.counts.short++;
    return bytes / UNIT_BYTES;
  }

  /** Memory of the context for most requests, where it has some left, else memory from elsewhere. */
  #memory(count, vectored) {
    const sizes = vectored ? split(count) : [count];
    return sizes.map((size) => {
      if (oneIn(4)) return Buffer.from(new ArrayBuffer(size * UNIT_BYTES));
      try {
        return this.#files.context.allocate(size * UNIT_BYTES);
      } catch (error) {
        assert.strictEqual(error.code, 'ERR_AIO_NO_MEMORY');
        return Buffer.from(new ArrayBuffer(size * UNIT_BYTES));
      }
    });
  }

  // ---- Waiting and giving up -----------------------------------------------------------------------------------------------

  /** Makes a request, some with a signal that aborts it soon: then the answer may be 'aborted', and 'failed' by an injected fault. */
  async #abortable(make) {
    const controller = oneIn(ABORTED_ONE_IN) ? new AbortController() : undefined;
    const made = make(controller?.signal);
    if (controller !== undefined) {
      const later = [(act) => act(), process.nextTick, setImmediate, (act) => setTimeout(act, below(4))];
      later[below(later.length)](() => controller.abort());
    }
    try {
      return await made;
    } catch (error) {
      const ending = error.code === 'ABORT_ERR' ? 'aborted' : injected.has(error.code) ? 'failed' : undefined;
      if (ending === undefined) throw error;
      this.counts[ending]++;
      return ending;
    }
  }

  async #sync(name) {
    const handle = this.#files.at(below(FILES));
    if (handle !== undefined) await this.#abortable((signal) => handle[name]({ signal }));
  }

  /** Waits for an eventfd that gets ready, or for the end of the wait. */
  async #poll(eventfd) {
    const ready = setTimeout(() => writeSync(eventfd, new BigUint64Array([1n])), below(20));
    const context = this.#files.context;
    try {
      const events = await this.#abortable((signal) => context.poll(eventfd, POLLIN, { signal }));
      if (typeof events === 'number') assert.strictEqual(events & POLLIN, POLLIN);
    } catch (error) {
      if (error.code !== 'ERR_AIO_CONTEXT_CLOSED') throw error;
    }
    clearTimeout(ready);
    empty(eventfd);
  }
}

/** Takes what an eventfd counts, if anything. */
export function empty(eventfd) {
  try {
    readSync(eventfd, new BigUint64Array(1));
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error;
  }
}

/** Up to four numbers with this sum. */
function split(sum) {
  const sizes = [];
  for (let left = sum; left > 0; ) {
    const size = sizes.length === 3 ? left : 1 + below(left);
    sizes.push(size);
    left -= size;
  }
  return sizes;
}

/** Each unit of some pieces of memory, with its number among them. */
function* units(memory) {
  let at = 0;
  for (const view of memory) {
    for (let from = 0; from < view.byteLength; from += UNIT_BYTES) {
      yield [at++, wordsOf(view.subarray(from, from + UNIT_BYTES))];
    }
  }
}

/** One request, in one of the ways to make it: how many bytes it moved. */
function request(handle, name, memory, position, signal) {
  const [buffer] = memory;
  const { byteLength: length } = buffer;
  const bytesOf = ({ bytesRead, bytesWritten }) => bytesRead ?? bytesWritten;
  const called = (make) =>
    new Promise((resolve, reject) => {
      make((error, bytes) => (error === null ? resolve(bytes) : reject(error)));
    });
  const promised = oneIn(2);
  if (memory.length > 1) {
    return promised || signal !== undefined
      ? handle[`${name}v`](memory, position, { signal }).then(bytesOf)
      : called((done) => handle[`${name}v`](memory, position, done));
  }
  if (signal !== undefined || oneIn(8)) {
    const options = { offset: 0, length, position, signal };
    return promised
      ? handle[name](buffer, options).then(bytesOf)
      : called((done) => handle[name](buffer, options, done));
  }
  return promised
    ? handle[name](buffer, 0, length, position).then(bytesOf)
    : called((done) => handle[name](buffer, 0, length, position, done));
}
