import type { Group, GroupSpec } from './figures.ts';
import type { PeerResult } from './interleave.ts';
import { median, type Ratio, ratio } from './statistics.ts';

/** One figure that the project is held to. */
export interface Goal {
  readonly name: string;
  readonly must: number;
  readonly aim: number;
  /** Whether more is better. */
  readonly more: boolean;
  /** undefined where it was not measured. */
  readonly measure: (groups: readonly Group[]) => Ratio | undefined;
}

export function reached({ more }: Goal, value: number, bound: number): boolean {
  // A figure is what is written: two digits.
  const shown = Math.round(value * 100) / 100;
  return more ? shown >= bound : shown <= bound;
}

type Key = 'perSecond' | 'cpuUs';

function find(groups: readonly Group[], target: GroupSpec['target'], title: string): Group | undefined {
  return groups.find((group) => group.target === target && group.title === title);
}

function peer(group: Group | undefined, name: string): PeerResult | undefined {
  return group?.results.find((result) => result.name === name);
}

/** One peer's figure relative to another's in the same group. */
function held(target: GroupSpec['target'], title: string, ours: string, theirs: string, key: Key): Goal['measure'] {
  return (groups) => {
    const group = find(groups, target, title);
    const [a, b] = [peer(group, ours), peer(group, theirs)];
    if (a === undefined || b === undefined) return undefined;
    return ratio(a[key], b[key], key === 'perSecond' ? Math.max : Math.min);
  };
}

function plain(values: readonly number[]): Ratio {
  return {
    best: Math.min(...values),
    median: median(values),
    least: Math.min(...values),
    greatest: Math.max(...values),
  };
}

function fakeCost(style: string): Goal['measure'] {
  return (groups) => {
    const found = peer(find(groups, 'fake', depthTitle(32)), `fake-${style}`);
    return found && plain(found.cpuUs);
  };
}

/** What is kaio's of it: the load, with the promises that any answer takes, is measured beside it, over an array instead of kaio. */
function ownCost(style: string): Goal['measure'] {
  return (groups) => {
    const group = find(groups, 'fake', depthTitle(32));
    const [whole, load] = [peer(group, `fake-${style}`), peer(group, `yardstick-${style}`)];
    if (whole === undefined || load === undefined) return undefined;
    const best = Math.min(...whole.cpuUs) - Math.min(...load.cpuUs);
    return { ...plain(whole.cpuUs.map((us, i) => us - load.cpuUs[i]!)), best };
  };
}

/** The cost of a request where there is more of something, relative to the plain case measured in the same run. */
function growth(title: string): Goal['measure'] {
  return (groups) => {
    const more = peer(find(groups, 'fake', title), 'fake-callback');
    const less = peer(find(groups, 'fake', 'one file, 32 requests'), 'fake-callback');
    return more && less && ratio(more.cpuUs, less.cpuUs, Math.min);
  };
}

/** What a second worker adds, relative to what a second thread adds in C. */
function workers(groups: readonly Group[]): Ratio | undefined {
  const group = find(groups, 'ram', 'two threads, depth 32 each');
  const rates = ['kaio-promise@2', 'kaio-promise', 'c-eventfd@2', 'c-eventfd'].map(
    (name) => peer(group, name)?.perSecond,
  );
  const [two, one, cTwo, cOne] = rates;
  if (!two || !one || !cTwo || !cOne) return undefined;
  const ours = two.map((rate, i) => rate / one[i]!);
  const theirs = cTwo.map((rate, i) => rate / cOne[i]!);
  const best = Math.max(...two) / Math.max(...one) / (Math.max(...cTwo) / Math.max(...cOne));
  return { ...ratio(ours, theirs, Math.max), best };
}

function depthTitle(depth: number): string {
  return `4 KiB random reads, depth ${depth}`;
}

function rateGoals(style: 'promise' | 'callback', bounds: readonly (readonly [number, number, number])[]): Goal[] {
  return bounds.map(([depth, must, aim]) => ({
    name: `requests/s, RAM device, depth ${depth}, ${style}`,
    must,
    aim,
    more: true,
    measure: held('ram', depthTitle(depth), `kaio-${style}`, 'c-eventfd', 'perSecond'),
  }));
}

const SEQUENTIAL = '1 MiB sequential reads, depth 8';

/** Against the C reference with eventfd unless it says otherwise. */
export const GOALS: readonly Goal[] = [
  ...rateGoals('promise', [
    [1, 0.95, 1],
    [32, 0.9, 1],
    [128, 0.9, 1],
  ]),
  ...rateGoals('callback', [
    [1, 1, 1.01],
    [32, 0.95, 1.01],
    [128, 0.95, 1.01],
  ]),
  ...[32, 128].map((depth) => ({
    name: `requests/s, disk file, depth ${depth}, promise`,
    must: 0.92,
    aim: 1,
    more: true,
    measure: held('disk', depthTitle(depth), 'kaio-promise', 'c-eventfd', 'perSecond'),
  })),
  {
    name: 'CPU per request, RAM device, depth 32, promise',
    must: 1.15,
    aim: 1,
    more: false,
    measure: held('ram', depthTitle(32), 'kaio-promise', 'c-eventfd', 'cpuUs'),
  },
  {
    name: 'CPU per request, disk file, depth 32, promise',
    must: 1.25,
    aim: 1.05,
    more: false,
    measure: held('disk', depthTitle(32), 'kaio-promise', 'c-eventfd', 'cpuUs'),
  },
  {
    name: 'µs per request, fake kernel, depth 32, promise',
    must: 0.25,
    aim: 0.15,
    more: false,
    measure: fakeCost('promise'),
  },
  {
    name: 'µs per request, fake kernel, depth 32, callback',
    must: 0.1,
    aim: 0.05,
    more: false,
    measure: fakeCost('callback'),
  },
  ...(['promise', 'callback'] as const).map((style) => ({
    name: `µs of that without the load itself, ${style}`,
    must: style === 'promise' ? 0.25 : 0.1,
    aim: style === 'promise' ? 0.15 : 0.05,
    more: false,
    measure: ownCost(style),
  })),
  {
    name: 'requests/s against fs.promises (4 threads), disk, depth 32',
    must: 2,
    aim: 3,
    more: true,
    measure: held('disk', depthTitle(32), 'kaio-promise', 'fs-promises-4', 'perSecond'),
  },
  {
    name: 'CPU per request against fs.promises (4 threads), disk, depth 32',
    must: 0.33,
    aim: 0.2,
    more: false,
    measure: held('disk', depthTitle(32), 'kaio-promise', 'fs-promises-4', 'cpuUs'),
  },
  {
    name: 'requests/s against fio libaio at its defaults, disk, depth 32',
    must: 0.9,
    aim: 1.1,
    more: true,
    measure: held('disk', depthTitle(32), 'kaio-promise', 'fio-libaio', 'perSecond'),
  },
  {
    name: 'MB/s, 1 MiB sequential reads, depth 8, C without huge pages',
    must: 1,
    aim: 1.2,
    more: true,
    measure: held('disk', SEQUENTIAL, 'kaio-promise', 'c-eventfd', 'perSecond'),
  },
  {
    name: 'CPU per MiB of the same',
    must: 0.5,
    aim: 0.25,
    more: false,
    measure: held('disk', SEQUENTIAL, 'kaio-promise', 'c-eventfd', 'cpuUs'),
  },
  {
    name: 'cost per request, 1000 open files against 1',
    must: 1.1,
    aim: 1,
    more: false,
    measure: growth('1000 open files, 32 requests'),
  },
  {
    name: 'cost per request, 10000 queued against 32',
    must: 1.1,
    aim: 1,
    more: false,
    measure: growth('10000 requests queued'),
  },
  { name: 'gain of a second worker, RAM device, relative to C', must: 0.9, aim: 1, more: true, measure: workers },
];
