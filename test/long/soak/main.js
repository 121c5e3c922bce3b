// A long run of mixed load, in the main thread and in workers that are restarted and terminated all the time. It prints a sample as a line
// of JSON every few seconds, a quiet one now and then (everything closed, all garbage collected), and a verdict in the end: exit code 1
// where a byte was wrong, something did not end, or memory, descriptors, threads, slots, latency or the kernel's quota are not flat.
//
//   KAIO_SOAK_SECONDS=3600 KAIO_SOAK_CORES=0.4 KAIO_SOAK_WORKERS=4 KAIO_SOAK_SEED=1 node --expose-gc main.js DIRECTORY
import assert from 'node:assert';
import { closeSync, mkdirSync, writeSync } from 'node:fs';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { eventfd } from '../../../dist/raw/index.js';
import { aioNr, judge, measure, othersHaveContexts, threads } from './gauge.js';
import { createLatencies, takeLatencies, WAYS } from './latency.js';
import { DONE, empty, FILES, LANES, Load, PAUSE_US } from './load.js';
import { createShared } from './model.js';
import { below, random, seedRandom } from './random.js';
import { Yardstick } from './yardstick.js';

const seconds = Number(process.env.KAIO_SOAK_SECONDS ?? 3600);
/** How much of the machine it may take: it rests in between. */
const cores = Number(process.env.KAIO_SOAK_CORES ?? 0.4);
const workerCount = Number(process.env.KAIO_SOAK_WORKERS ?? 4);
const seed = Number(process.env.KAIO_SOAK_SEED ?? 1);
const [, , dir] = process.argv;

const SAMPLE_MS = Math.min(5000, (seconds * 1000) / 12);
/** From one quiet sample to the next. */
const ROUND_MS = Math.min(30_000, (seconds * 1000) / 10);
/** Fewer cannot be judged, however long they took. */
const FEWEST_ROUNDS = 4;
const WORKER_MOST_MS = Math.min(8000, ROUND_MS / 2);
/** Less than a context has, and more than anything else. */
const ADDRESSES_MIB = 5000;
const STUCK_MS = 120_000;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

const started = performance.now();
const total = {};
const ends = ['stop', 'terminate', 'terminate', 'spin', 'exit', 'throw'];

function print(kind, fields) {
  writeSync(
    1,
    `${JSON.stringify({ kind, seconds: Math.round((performance.now() - started) / 100) / 10, ...fields })}\n`,
  );
}

function count(counts) {
  for (const [name, number] of Object.entries(counts)) total[name] = (total[name] ?? 0) + number;
}

/** Rejects where something takes for ever. */
async function within(ms, what, promise) {
  const timer = new AbortController();
  const late = sleep(ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} did not happen within ${ms / 1000} s. Threads:\n${threads().join('\n')}`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

const control = new Int32Array(new SharedArrayBuffer(8));
const latencies = Object.fromEntries(WAYS.map((way) => [way, createLatencies()]));
let loads = 0;

/** What a thread's load needs, and what stays when the thread ends. `base` keeps the numbers of the threads apart. */
class Place {
  #name;
  #fresh = true;
  #base;
  #shared = createShared(FILES);
  eventfds = Array.from({ length: LANES }, () => eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

  constructor(name, base) {
    this.#name = name;
    this.#base = base;
    mkdirSync(`${dir}/${name}`, { recursive: true });
  }

  /** For the next load here; the files are made for the first one. */
  next() {
    for (const fd of this.eventfds) empty(fd);
    const fresh = this.#fresh;
    this.#fresh = false;
    const { eventfds } = this;
    const own = { dir: `${dir}/${this.#name}`, shared: this.#shared, base: this.#base, eventfds, fresh };
    return { ...own, control, latencies, seed: seed + ++loads };
  }
}

const main = new Place('main', 0);
const others = Array.from({ length: workerCount }, (_, at) => new Place(`worker-${at}`, (at + 1) * 2 ** 28));

/** Keeps the processor time of all threads near what was allowed. */
function govern() {
  let before = process.cpuUsage();
  let at = performance.now();
  let pauseUs = 5000;
  return setInterval(() => {
    const now = performance.now();
    const { user, system } = process.cpuUsage(before);
    const used = (user + system) / 1000 / (now - at);
    before = process.cpuUsage();
    at = now;
    pauseUs = Math.min(100_000, Math.max(100, pauseUs * Math.min(2, Math.max(0.5, used / cores))));
    Atomics.store(control, PAUSE_US, pauseUs);
  }, 500);
}

// ---- The worker ------------------------------------------------------------------------------------------------------------

/** Starts a worker, lets it work for a time, and ends it in one of the ways. */
async function oneWorker(place, ms, end) {
  const worker = new Worker(new URL('worker.js', import.meta.url), { workerData: place.next() });
  let failure;
  worker.on('error', (error) => {
    if (end !== 'throw' || error.message !== 'on purpose') failure = error;
  });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  const ready = new Promise((resolve) => worker.once('message', resolve));
  await within(STUCK_MS, 'the start of a worker', Promise.race([ready, ended]));
  await Promise.race([sleep(ms), ended]);
  worker.on('message', count);
  worker.postMessage(end);
  if (end === 'terminate' || end === 'spin') await within(STUCK_MS, 'the end of a worker', worker.terminate());
  await within(STUCK_MS, `the end of a worker by ${end}`, ended);
  if (failure !== undefined) throw failure;
  total[end] = (total[end] ?? 0) + 1;
}

/** One worker after another until a time. */
async function workers(place, until) {
  do {
    const left = until - performance.now();
    await oneWorker(place, Math.max(0, Math.min(left, 100 + random() * WORKER_MOST_MS)), ends[below(ends.length)]);
  } while (performance.now() < until);
}

// ---- Rounds ----------------------------------------------------------------------------------------------------------------

/** Load in all threads for a time, with samples. */
async function round(until) {
  const load = new Load(main.next());
  await load.start();
  const done = Atomics.load(control, DONE);
  const samples = setInterval(() => print('sample', { ...measure(), done: Atomics.load(control, DONE) }), SAMPLE_MS);
  await Promise.all(others.map((place) => workers(place, until)));
  await within(STUCK_MS, 'the end of the load', load.end());
  clearInterval(samples);
  count(load.counts);
  assert.ok(Atomics.load(control, DONE) > done, 'nothing was done');
}

/** A sample with everything closed and collected. What threads leave behind goes when they have ended. */
async function quiet(baseline) {
  let sample;
  for (let tries = 0; tries < 100; tries++) {
    // What is only kept alive by a finalizer or a task takes more than one collection to go.
    globalThis.gc?.();
    await turn();
    sample = measure();
    if (tries >= 5 && (baseline === undefined || isBack(sample, baseline))) break;
    await sleep(20);
  }
  const { aborted = 0, checked = 0 } = total;
  const latency = Object.fromEntries(WAYS.map((way) => [way, takeLatencies(latencies[way])]));
  const machine = await within(STUCK_MS, 'the answer of the yardstick', yardstick.take());
  sample = { ...sample, seconds: Math.round(performance.now() - started) / 1000, latency, machine };
  print('quiet', { ...sample, done: Atomics.load(control, DONE), aborted, checked });
  return sample;
}

function isBack(sample, baseline) {
  const { address } = sample;
  const same = ['descriptors', 'threads', 'contexts'].every((name) => sample[name] === baseline[name]);
  return same && address < baseline.address + ADDRESSES_MIB;
}

/** fs.aio-nr is everybody's: it says something only where nobody else has contexts. */
async function quotaFault(before) {
  for (let tries = 0; tries < 100 && aioNr() > before; tries++) await sleep(100);
  if (aioNr() <= before) return [];
  if (othersHaveContexts()) print('note', { text: 'other processes have contexts: fs.aio-nr is not judged' });
  else return [`fs.aio-nr is ${aioNr()}, and was ${before}`];
  return [];
}

process.on('warning', (warning) => {
  throw warning;
});

seedRandom(seed);
const quotaBefore = aioNr();
const governor = govern();
const yardstick = new Yardstick(dir);
const samples = [];
// Whatever the first use opens for good is open after a round.
await round(performance.now() + 500);
const baseline = await quiet(undefined);
while (performance.now() - started < seconds * 1000 || samples.length < FEWEST_ROUNDS) {
  const now = performance.now();
  await round(Math.min(Math.max(started + seconds * 1000, now + ROUND_MS / 2), now + ROUND_MS));
  samples.push(await quiet(baseline));
}
clearInterval(governor);
await within(STUCK_MS, 'the end of the yardstick', yardstick.end());
for (const { eventfds } of [main, ...others]) for (const fd of eventfds) closeSync(fd);
const { faults, ...figures } = judge(samples);
faults.push(...(await quotaFault(quotaBefore)));
const { user, system } = process.cpuUsage();
const usedCores = Math.round((user + system) / 10 / (performance.now() - started)) / 100;
print('verdict', {
  flat: faults.length === 0,
  faults,
  ...figures,
  counts: total,
  usedCores,
  workers: workerCount,
  seed,
});
process.exitCode = faults.length === 0 ? 0 : 1;
