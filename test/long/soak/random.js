// The same choices for the same seed in each thread; how they meet the kernel's timing stays open.
let state = 0;

export function seedRandom(seed) {
  state = seed >>> 0;
}

/** From 0 to below 1 (mulberry32, as in test/support/random.ts). */
export function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

/** A whole number from 0 to `bound` - 1. */
export function below(bound) {
  return Math.floor(random() * bound);
}

export function oneIn(count) {
  return below(count) === 0;
}
