// Calls the package with values of every type. Whatever they are, a call answers, or fails with an error that says by its code what it is;
// nothing hangs, nothing is left behind, and the process survives. It prints a line of JSON with what it did.
//
//   node api.js '{"door": "kaio" | "raw" | "layout", "dir": ..., "from": SEED, "seeds": N, "calls": CALLS A SEED, "trace": false}'
//
// With "trace" it prints every call before it makes it: the last line is the one that a process did not survive.
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDoor } from './doors.js';
import { isTyped, show } from './typed.js';

const { door: name, dir, from = 1, seeds = 1, calls = 20_000, trace = false } = JSON.parse(process.argv[2]);
/** Calls that have not answered yet. */
const MOST_PENDING = 64;
/** What it asks for may be to read files of gigabytes, on a machine that does other things. */
const STUCK_MS = Number(process.env.KAIO_FUZZ_STUCK_MS ?? 300_000);

const done = { door: name, from, seeds, calls: 0, answered: 0, refused: {} };
/** One of each kind, by where it was thrown. */
const failures = new Map();
const MOST_FAILURES = 20;
let seed = from;

function failed(what, error) {
  const stack = error?.stack ?? String(error);
  const key = stack.split('\n').slice(0, 2).join();
  if (!failures.has(key)) failures.set(key, { seed, call: done.calls, what, error: stack });
}

process.on('uncaughtException', (error) => {
  // What a callback of ours throws comes here; all others are mistakes.
  if (!isTyped(error)) failed('uncaught', error);
});
process.on('warning', (warning) => {
  if (warning.code === 'KAIO_DROPPED') failed('warning', warning);
});

function answered() {
  done.answered++;
}

function refused(what, error) {
  if (!isTyped(error)) return failed(what(), error);
  const code = error.code ?? 'trap';
  done.refused[code] = (done.refused[code] ?? 0) + 1;
}

function make({ name: called, args, call }, pending) {
  const what = () => `${called}(${args.map(show)})`;
  if (trace) writeSync(1, `${seed} ${done.calls} ${what()}\n`);
  done.calls++;
  try {
    const result = call();
    if (typeof result?.then !== 'function') return answered();
    const settled = result.then(answered, (error) => refused(what, error)).finally(() => pending.delete(settled));
    pending.set(settled, what);
  } catch (error) {
    refused(what, error);
  }
}

async function one() {
  const door = await openDoor(name, dir, seed);
  const pending = new Map();
  for (let at = 0; at < calls && failures.size < MOST_FAILURES; at++) {
    make(door.next(), pending);
    if (pending.size >= MOST_PENDING) await Promise.race([...pending.keys(), sleep(2, undefined, { ref: true })]);
    else if (at % 256 === 255) await new Promise((resolve) => setImmediate(resolve));
  }
  const ended = Promise.all([door.end(), ...pending.keys()]);
  const timer = new AbortController();
  const late = sleep(STUCK_MS, 'late', { signal: timer.signal }).catch(() => {});
  if ((await Promise.race([ended, late])) === 'late')
    failed(`no answer: ${[...pending.values()].map((what) => what())}`);
  timer.abort();
}

for (; seed < from + seeds && failures.size < MOST_FAILURES; seed++) {
  await one().catch((error) => failed('the end', error));
}
writeSync(1, `${JSON.stringify({ ...done, failures: [...failures.values()] })}\n`);
process.exit(failures.size === 0 ? 0 : 1);
