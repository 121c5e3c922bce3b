// Values of every type that JavaScript has, for calls that expect others: the same for the same seed.
import { closeSync, openSync } from 'node:fs';

let state = 0;

export function seed(number) {
  state = number >>> 0;
}

/** A whole number from 0 to `bound` - 1 (mulberry32, as in test/support/random.ts). */
export function below(bound) {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
}

export const oneIn = (count) => below(count) === 0;
export const pick = (values) => values[below(values.length)];

/** What an object of ours throws when it is looked at: nobody else's fault. */
export class Trap extends Error {}

function trap() {
  throw new Trap('looked at');
}

/** A descriptor that is open nowhere: others are opened only after this module is loaded. */
const closed = openSync('/dev/null', 'r') + 1000;
closeSync(closed - 1000);

const numbers = [
  0,
  -0,
  1,
  -1,
  2,
  3,
  7,
  511,
  512,
  513,
  4095,
  4096,
  4097,
  65536,
  0.5,
  -0.5,
  1e-300,
  1e308,
  NaN,
  Infinity,
  -Infinity,
  2 ** 31 - 1,
  2 ** 31,
  -(2 ** 31),
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 53 - 1,
  2 ** 53,
  -(2 ** 53),
  2 ** 63,
  2 ** 64,
];

const bigints = [
  0n,
  1n,
  -1n,
  4096n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  2n ** 64n,
  -(2n ** 63n),
  2n ** 200n,
];

const strings = [
  '',
  'r',
  'read',
  '0',
  '4096',
  '-1',
  'NaN',
  'utf8',
  'hex',
  'nonsense',
  '\0',
  'a\0b',
  '\ud800',
  'x'.repeat(5000),
  '__proto__',
  'constructor',
  'toString',
  'ring',
];

export function number() {
  return oneIn(3) ? below(2 ** 20) : pick(numbers);
}

const makers = [
  () => undefined,
  () => null,
  () => pick([true, false]),
  number,
  number,
  number,
  () => pick(bigints),
  () => pick(strings),
  () => Symbol('fuzz'),
  () => () => undefined,
  () => async () => undefined,
  () => function* generate() {},
  () => ({}),
  () => [],
  () => [value(), value()],
  () => Object.create(null),
  () => new Proxy({}, { get: trap, has: trap, ownKeys: trap }),
  () => ({ valueOf: trap, toString: trap, [Symbol.toPrimitive]: trap }),
  () => ({ valueOf: () => number(), toString: () => 'text' }),
  () => Object.defineProperty({}, pick(options), { get: trap, enumerable: true }),
  () => new Date(pick(numbers)),
  () => /x/,
  () => new Map([[1, 2]]),
  () => new Set([1]),
  () => new Error('fuzz'),
  () => Promise.resolve(1),
  () => new Number(4096),
  () => new String('r'),
  () => new WeakMap(),
  () => globalThis,
  view,
  view,
  view,
  () => pick([AbortSignal.abort(), new AbortController().signal, new AbortController()]),
  optionBag,
  optionBag,
];

/** Anything. */
export function value() {
  return pick(makers)();
}

const options = [
  'buffer',
  'offset',
  'length',
  'position',
  'signal',
  'ioprio',
  'dsync',
  'nowait',
  'mode',
  'direct',
  'submit',
  'context',
  'depth',
  'memory',
  'hugePages',
  'latency',
  'bigint',
  'encoding',
  'flag',
  'start',
  'end',
  'highWaterMark',
  'autoClose',
  'abi',
  'flush',
];

/** Options by their names, some with values that could be right. */
export function optionBag() {
  const bag = {};
  for (let count = below(4); count > 0; count--) bag[pick(options)] = oneIn(2) ? value() : likely();
  return bag;
}

/** What most arguments are. */
export function likely() {
  return pick([
    () => below(65536),
    () => 512 * below(64),
    () => view(),
    () => pick(['auto', 'r+', 'utf8']),
    () => oneIn(2),
  ])();
}

const arrays = [
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Uint16Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
];

function memory() {
  const bytes = 8 * below(1024);
  if (oneIn(8)) return new SharedArrayBuffer(bytes);
  if (oneIn(8)) return new ArrayBuffer(bytes, { maxByteLength: bytes * 2 });
  return new ArrayBuffer(bytes);
}

/** Memory, and views of it in every form: also such as are detached, resized or empty. */
export function view() {
  const under = memory();
  const offset = 8 * below(under.byteLength / 8 + 1);
  const length = (under.byteLength - offset) / 8;
  const made = pick([
    () => Buffer.from(under, offset),
    () => Buffer.alloc(below(5000)),
    () => new (pick(arrays))(under, offset),
    () => new (pick(arrays))(under, offset, length),
    () => new DataView(under, offset),
    () => under,
    () => new Uint8Array(0),
  ])();
  if (oneIn(12) && under.resizable) under.resize(8 * below(under.maxByteLength / 8));
  if (oneIn(12) && under instanceof ArrayBuffer) structuredClone(under, { transfer: [under] });
  return made;
}

export function closedDescriptor() {
  return closed;
}
