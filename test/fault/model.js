// Random reads and writes through kaio, checked against a model of the files, while a preloaded library makes the kernel's answers
// worse. It prints what it saw, and exits with 1 where a byte is wrong, a promise settles twice or something leaks.
//
//   node model.js '{"dir": ..., "operations": ..., "seed": ..., "depth": ..., "large": ..., "allowed": [code, ...]}'
//
// Every file is a row of units, each full of one number. A request holds its units until it settles, so that the model knows what
// they are. The library moves no data where it makes a transfer fail, so what a write does not say it has done is as before. Not so
// of large requests, which go in parts: one may be done though an earlier one failed, and its units are undecided until they are read.
import assert from 'node:assert';
import fs from 'node:fs';
import { AioContext } from '../../dist/index.js';

const { dir, operations, seed, depth, large, allowed } = JSON.parse(process.argv[2]);
const FILES = 4;
const UNIT_BYTES = 4096;
const MOST_UNITS = large ? 256 : 8;
const UNITS = 12 * MOST_UNITS;
const CONCURRENCY = large ? 12 : 48;

let state = seed >>> 0;
/** mulberry32, as in test/support/random.ts. */
function below(bound) {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
}

const descriptors = () => fs.readdirSync('/proc/self/fd').length;
const contexts = () => fs.readFileSync('/proc/self/maps', 'utf8').match(/\/\[aio\]/g)?.length ?? 0;

/** What each unit may be full of. */
const model = Array.from({ length: FILES }, (_, file) => Array.from({ length: UNITS }, () => new Set([file + 1])));
const busy = Array.from({ length: FILES }, () => new Array(UNITS).fill(false));
const seen = { reads: 0, writes: 0, short: 0, errors: {} };
let tag = 1000;

function fill(buffer, number) {
  new Uint32Array(buffer.buffer, buffer.byteOffset, buffer.length / 4).fill(number);
}

/** The number that a unit is full of; anything else is a torn or foreign unit. */
function numberIn(buffer, unit) {
  const bytes = buffer.subarray(unit * UNIT_BYTES, (unit + 1) * UNIT_BYTES);
  const numbers = new Uint32Array(bytes.buffer, bytes.byteOffset, UNIT_BYTES / 4);
  assert.ok(
    numbers.every((number) => number === numbers[0]),
    `a unit is torn: ${new Set(numbers).size} numbers`,
  );
  return numbers[0];
}

/** Units that nobody uses, or undefined where the dice found none. */
function pickUnits() {
  const file = below(FILES);
  const count = 1 + below(MOST_UNITS);
  const first = below(UNITS - count + 1);
  if (busy[file].slice(first, first + count).some(Boolean)) return undefined;
  busy[file].fill(true, first, first + count);
  return { file, first, count };
}

function failed(error) {
  assert.ok(allowed.includes('*') || allowed.includes(error.code), `unexpected: ${error.stack}`);
  seen.errors[error.code] = (seen.errors[error.code] ?? 0) + 1;
}

function checkBytes(bytes, wanted) {
  assert.ok(bytes > 0 && bytes <= wanted && bytes % UNIT_BYTES === 0, `${bytes} bytes of ${wanted}`);
  if (bytes < wanted) seen.short++;
  return bytes / UNIT_BYTES;
}

async function read(handle, buffer, { file, first, count }) {
  seen.reads++;
  fill(buffer, 0xdead);
  let bytesRead;
  try {
    ({ bytesRead } = await handle.read(buffer, 0, buffer.length, first * UNIT_BYTES));
  } catch (error) {
    failed(error);
    return;
  }
  const got = checkBytes(bytesRead, count * UNIT_BYTES);
  for (let unit = 0; unit < got; unit++) {
    const number = numberIn(buffer, unit);
    const possible = model[file][first + unit];
    assert.ok(possible.has(number), `file ${file} unit ${first + unit}: ${number}, not one of ${[...possible]}`);
    model[file][first + unit] = new Set([number]);
  }
}

async function write(handle, buffer, { file, first, count }) {
  seen.writes++;
  const number = ++tag;
  fill(buffer, number);
  let written = 0;
  try {
    const { bytesWritten } = await handle.write(buffer, 0, buffer.length, first * UNIT_BYTES);
    written = checkBytes(bytesWritten, count * UNIT_BYTES);
  } catch (error) {
    failed(error);
  }
  for (let unit = 0; unit < count; unit++) {
    if (unit < written) model[file][first + unit] = new Set([number]);
    else if (large) model[file][first + unit].add(number);
  }
}

/** One of several that go on at once: pool memory for most requests, memory of our own for some. */
async function work(context, handles, share) {
  const pool = context.allocate(MOST_UNITS * UNIT_BYTES);
  const own = Buffer.from(new ArrayBuffer(MOST_UNITS * UNIT_BYTES));
  for (let done = 0; done < share; ) {
    const units = pickUnits();
    if (units === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    const buffer = (below(4) === 0 ? own : pool).subarray(0, units.count * UNIT_BYTES);
    await (below(2) === 0 ? read : write)(handles[units.file], buffer, units);
    busy[units.file].fill(false, units.first, units.first + units.count);
    done++;
  }
  pool[Symbol.dispose]();
}

/** What is on the disk in the end, read by other means. */
function checkFiles(paths) {
  for (const [file, path] of paths.entries()) {
    const bytes = fs.readFileSync(path);
    assert.strictEqual(bytes.length, UNITS * UNIT_BYTES);
    const whole = new Uint8Array(bytes.length);
    whole.set(bytes);
    for (let unit = 0; unit < UNITS; unit++) {
      const number = numberIn(whole, unit);
      assert.ok(model[file][unit].has(number), `on disk, file ${file} unit ${unit}: ${number}`);
    }
  }
}

const paths = Array.from({ length: FILES }, (_, file) => `${dir}/model-${file}`);
for (const [file, path] of paths.entries()) {
  fs.writeFileSync(path, new Uint8Array(new Uint32Array((UNITS * UNIT_BYTES) / 4).fill(file + 1).buffer));
}
// Whatever the first use of the library opens for good is open now.
await new AioContext({ depth: 1 }).close();
const before = descriptors();
const context = new AioContext({ depth });
const handles = await Promise.all(paths.map((path) => context.open(path, 'r+')));
await Promise.all(
  Array.from({ length: CONCURRENCY }, () => work(context, handles, Math.ceil(operations / CONCURRENCY))),
);
await Promise.all(handles.map((handle) => handle.close()));
const { inFlight, queued, buffers } = context.stats();
await context.close();
assert.deepStrictEqual({ inFlight, queued, buffers }, { inFlight: 0, queued: 0, buffers: 0 });
assert.strictEqual(descriptors(), before, 'descriptors are left open');
assert.strictEqual(contexts(), 0, 'a context is left');
checkFiles(paths);
console.log(JSON.stringify(seen));
