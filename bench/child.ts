import { createInterface } from 'node:readline';
import { openLoad } from './load/open.ts';
import type { Counters, Slice, TrialSpec } from './protocol.ts';

function growth(before: Counters, after: Counters): Counters {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]!]));
}

// One trial: the runner says `run MILLISECONDS` and gets a line of JSON; the end of its input is the end of the trial.
const spec = JSON.parse(process.argv[2]!) as TrialSpec;
const load = await openLoad(spec);
process.stdout.write('ready\n');

for await (const line of createInterface({ input: process.stdin })) {
  const milliseconds = Number(/^run (\d+)$/.exec(line)?.[1]);
  const before = load.counters?.() ?? {};
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const tally = await load.run(milliseconds);
  const wallMs = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpu);
  const counters = growth(before, load.counters?.() ?? {});
  const slice: Slice = { ...tally, wallMs, userUs: user, systemUs: system, counters };
  process.stdout.write(`${JSON.stringify(slice)}\n`);
}
await load.close();
