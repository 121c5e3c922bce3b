import { expect, test } from 'vitest';
import { judge } from '../long/soak/gauge.js';

/** Of two hours: everything is flat but the p99.9, which goes from the first to the last of these times in ms, round by round. */
function samples(kaio: readonly [number, number], machine: readonly [number, number]) {
  const flat = {
    rss: 100,
    heap: 10,
    external: 5,
    arrayBuffers: 1,
    address: 1000,
    descriptors: 20,
    contexts: 0,
    threads: 9,
  };
  const rounds = 240;
  const between = ([first, last]: readonly [number, number], at: number) => {
    return { requests: 5000, p999Ms: at < rounds / 2 ? first : last };
  };
  return Array.from({ length: rounds }, (_, at) => ({
    ...flat,
    seconds: at * 30,
    latency: { ring: between(kaio, at), io_getevents: between([30, 30], at) },
    machine: between(machine, at),
  }));
}

test('a soak whose requests get slower while the machine does not is not flat', () => {
  const { faults, latency } = judge(samples([30, 90], [10, 10]));
  expect(faults).toEqual([
    "p99.9 of requests reaped by ring went from 30 to 90 ms, and the machine's own from 10 to 10",
  ]);
  expect(latency).toMatchObject({ ring: { firstMs: 30, lastMs: 90 }, machine: { firstMs: 10, lastMs: 10 } });
});

test('a soak on a machine that gets slower for everybody is flat', () => {
  expect(judge(samples([30, 90], [10, 25])).faults).toEqual([]);
});

test('a soak that gets slower than the machine is not flat', () => {
  expect(judge(samples([30, 190], [10, 25])).faults).toHaveLength(1);
});

test('a machine that gets faster excuses nothing, and condemns nothing', () => {
  expect(judge(samples([30, 55], [25, 10])).faults).toEqual([]);
  expect(judge(samples([30, 90], [25, 10])).faults).toHaveLength(1);
});
