// A program that ends in the middle of something. The exit matrix runs it in a process of its own, once for each way.
//
//   node victim.js '{"where": "main" | "worker", "state": ..., "end": ..., "contexts": ..., "files": {"read", "write", "slow"}}'
//
// It prints a line of JSON when it is about to end, and another when a worker has ended and the process is still sound.
import fs from 'node:fs';
import { isMainThread, parentPort, threadId, Worker, workerData } from 'node:worker_threads';
import { AioContext } from '../../dist/index.js';
import { eventfd } from '../../dist/raw/index.js';

const MEBIBYTE = 1024 * 1024;
const POLLIN = 1;

const job = isMainThread ? JSON.parse(process.argv[2]) : workerData;

/** Until the end: what nobody holds is closed with a warning when it is collected, and a slow end gives it the time. */
const held = [];

/** Requests whose promise is not settled. */
let pending = 0;

async function openHeld(context, ...rest) {
  const file = await context.open(...rest);
  held.push(file);
  return file;
}

function track(promise) {
  pending++;
  // An end of the process or of a context may reject what is pending: that is no fault of the program.
  promise.then(
    () => pending--,
    () => pending--,
  );
}

/** Brings a context into the state in which the end shall find it. */
const states = {
  async idle(context) {
    const file = await openHeld(context, job.files.read, 'r');
    await file.read(context.allocate(4096), 0, 4096, 0);
    pending = 0;
  },

  // Requested in this turn, and the end comes before it is over.
  async queued(context) {
    const file = await openHeld(context, job.files.read, 'r');
    for (let at = 0; at < 32; at++) track(file.read(context.allocate(MEBIBYTE), 0, MEBIBYTE, at * MEBIBYTE));
  },

  async reads(context) {
    await states.queued(context);
    await submitted();
  },

  async writes(context) {
    const file = await openHeld(context, job.files.write, 'r+');
    for (let at = 0; at < 32; at++) track(file.write(context.allocate(MEBIBYTE), 0, MEBIBYTE, at * MEBIBYTE));
    await submitted();
  },

  // From memory that is not the pool's: pieces are copied, and what has no room waits.
  async copies(context) {
    const file = await openHeld(context, job.files.read, 'r');
    for (let at = 0; at < 32; at++) track(file.read(Buffer.alloc(MEBIBYTE), 0, MEBIBYTE, at * MEBIBYTE));
    await submitted();
  },

  async polls(context) {
    for (let at = 0; at < 16; at++) track(context.poll(eventfd(0, 0), POLLIN));
    await submitted();
  },

  // The file is on a slow FUSE file system, where extending writes hold io_submit.
  async offthread(context) {
    const file = await openHeld(context, `${job.files.slow}/${process.pid}-${threadId}-${Math.random()}`, 'w+', {
      submit: 'offload',
    });
    for (let at = 0; at < 6; at++) track(file.write(context.allocate(4096), 0, 4096, at * 4096));
    await submitted();
    // The threads need a moment to get stuck.
    await new Promise((resolve) => setTimeout(resolve, 30));
  },

  // Files that are being opened: the module's own calls on libuv's threads, whose results come when nobody can take them.
  async opening(context) {
    const file = await openHeld(context, job.files.read, 'r');
    for (let at = 0; at < 64; at++) track(context.attach(file.fd));
  },

  // close() has been called and waits for what is in flight.
  async closing(context) {
    await states.reads(context);
    track(context.close());
  },
};

/** Long enough for the requests of this turn to be submitted, not for a device to answer them all. */
function submitted() {
  return new Promise((resolve) => setImmediate(resolve));
}

const ends = {
  exit: () => process.exit(7),
  throw: () => {
    // Out of the promise job, as a callback's throw would be.
    setImmediate(() => {
      throw new Error('on purpose');
    });
  },
  SIGTERM: () => process.kill(process.pid, 'SIGTERM'),
  SIGKILL: () => process.kill(process.pid, 'SIGKILL'),
  // What is in flight does not keep an unref'ed context's loop alive, so this ends with everything pending.
  natural: (contexts) => {
    for (const context of contexts) context.unref();
  },
  // These three are the main thread's doing, and the worker is there to see them.
  terminate: () => setInterval(() => {}, 1000),
  spin: () => {
    for (;;);
  },
  mainExit: () => setInterval(() => {}, 1000),
};

/** How many requests the contexts are made for all together: enough to be told from the contexts of other processes. */
const QUOTA = 8192;

/** A context is a mapping of the kernel's own. */
/** The file is read page by page, and may miss what moves meanwhile, as other threads map and unmap. */
function mappedContexts() {
  const count = () => fs.readFileSync('/proc/self/maps', 'utf8').match(/\/\[aio\]/g)?.length ?? 0;
  return Math.max(count(), count(), count());
}

async function live() {
  const options = { depth: QUOTA / job.contexts, memory: 64 * MEBIBYTE };
  const contexts = Array.from({ length: job.contexts }, () => new AioContext(options));
  held.push(...contexts);
  await Promise.all(contexts.map((context) => states[job.state](context)));
  const ready = { pending, contexts: mappedContexts() };
  // Not through the main thread: a signal may be quicker.
  fs.writeSync(1, `${JSON.stringify(ready)}\n`);
  parentPort?.postMessage('ready');
  ends[job.end](contexts);
}

/** The worker is gone: nothing of it may be left, and nothing may still write into what was its memory. */
async function lookAround(ending) {
  const contexts = mappedContexts();
  const blocks = Array.from({ length: 16 }, () => new Uint8Array(4 * MEBIBYTE));
  await new Promise((resolve) => setTimeout(resolve, 30));
  const clean = blocks.every((block) => Buffer.compare(block, new Uint8Array(block.length)) === 0);
  fs.writeSync(1, `${JSON.stringify({ ...ending, contexts, clean })}\n`);
}

function supervise() {
  const worker = new Worker(new URL(import.meta.url), { workerData: job });
  const ending = {};
  worker.on('message', () => {
    if (job.end === 'terminate' || job.end === 'spin') void worker.terminate();
    if (job.end === 'mainExit') process.exit(7);
  });
  worker.on('error', (error) => {
    ending.error = error.message;
  });
  worker.on('exit', (exitCode) => void lookAround({ ...ending, exitCode }));
}

if (isMainThread && job.where === 'worker') supervise();
else await live();
