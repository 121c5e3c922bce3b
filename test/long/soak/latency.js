// How long requests took, by the way in which their context reaps: counted in shared memory, so that a worker that is terminated takes
// nothing with it.

/** How a context learns of its events: from the ring in memory, or by io_getevents (KAIO_REAP). */
export const WAYS = ['ring', 'io_getevents'];

/** Eight buckets for each doubling of a time in microseconds: 9 % apart, up to 18 minutes. */
const STEPS = 8;
const BUCKETS = 30 * STEPS;

export function createLatencies() {
  return new Int32Array(new SharedArrayBuffer(BUCKETS * 4));
}

export function record(latencies, ms) {
  const step = Math.round(Math.log2(Math.max(1, ms * 1000)) * STEPS);
  Atomics.add(latencies, Math.min(step, BUCKETS - 1), 1);
}

/** The p99.9 in milliseconds of what was recorded since the last call, and of how many requests. */
export function takeLatencies(latencies) {
  const counts = Array.from({ length: BUCKETS }, (_, bucket) => Atomics.exchange(latencies, bucket, 0));
  const requests = counts.reduce((sum, count) => sum + count, 0);
  let left = Math.ceil(requests / 1000);
  let bucket = BUCKETS - 1;
  while (bucket > 0 && left > counts[bucket]) left -= counts[bucket--];
  return { requests, p999Ms: Math.round(2 ** (bucket / STEPS)) / 1000 };
}
