import { compare } from './compare.ts';
import type { PeerResult, Plan } from './interleave.ts';
import type { Surroundings, Workload } from './peers.ts';
import type { Targets } from './targets.ts';

/** Some peers on one workload. */
export interface GroupSpec {
  readonly title: string;
  readonly target: 'ram' | 'disk' | 'fake';
  readonly bytes: number;
  readonly depth: number;
  readonly pattern: 'random' | 'sequential';
  readonly extra?: Readonly<Record<string, number>>;
  /** How many warm-ups it has, by default 1: with few requests a second, JavaScript is not compiled after one. */
  readonly warmUps?: number;
  /** The first is what the others are held against. */
  readonly peers: readonly string[];
}

export interface Group extends GroupSpec {
  readonly results: readonly PeerResult[];
}

const KAIO = ['kaio-promise', 'kaio-callback'];
const C = ['c-eventfd', 'c-eventfd-inline', 'c-getevents'];
const FAKE = ['fake-callback', 'fake-promise', 'yardstick-callback', 'yardstick-promise'];
const FS = ['fs-promises-4', 'fs-promises-64', 'fs-callback-4', 'fs-callback-64'];
const FIO = ['fio-libaio', 'fio-io_uring'];
const PAGE = { bytes: 4096, pattern: 'random' } as const;
const MIB = 1024 * 1024;

function at(target: GroupSpec['target'], depth: number, peers: readonly string[]): GroupSpec {
  return { title: `4 KiB random reads, depth ${depth}`, target, depth, peers, ...PAGE };
}

function fake(title: string, depth: number, extra: Readonly<Record<string, number>>): GroupSpec {
  return { title, target: 'fake', depth, peers: ['fake-callback', 'fake-promise'], extra, ...PAGE };
}

/** The figures that the project is held to. */
export const FIGURES: readonly GroupSpec[] = [
  ...[1, 32, 128].map((depth) => at('fake', depth, FAKE)),
  ...[1, 32, 128].map((depth) => at('ram', depth, [...C, ...KAIO])),
  ...[1, 32, 128].map((depth) => at('disk', depth, [...C, ...KAIO, ...FS, ...FIO])),
  {
    title: '1 MiB sequential reads, depth 8',
    target: 'disk',
    bytes: MIB,
    depth: 8,
    pattern: 'sequential',
    warmUps: 10,
    peers: ['c-eventfd', 'c-eventfd-huge', ...KAIO, 'fs-promises-4'],
  },
  {
    ...at('ram', 32, ['c-eventfd', 'c-eventfd@2', 'kaio-promise', 'kaio-promise@2']),
    title: 'two threads, depth 32 each',
  },
  fake('one file, 32 requests', 32, {}),
  fake('1000 open files, 32 requests', 32, { files: 1000 }),
  fake('10000 requests queued', 10000, { contextDepth: 128 }),
];

/** Depth and block size against rate, CPU and latency: what the plots are drawn from. */
export const MATRIX: readonly GroupSpec[] = [
  ...[1, 4, 16, 64, 256].flatMap((depth) =>
    (['ram', 'disk'] as const).map((target) =>
      at(target, depth, ['c-eventfd', ...KAIO, 'fs-promises-4', 'fs-callback-64']),
    ),
  ),
  ...[4096, 16384, 65536, 262144, MIB].flatMap((bytes) =>
    (['ram', 'disk'] as const).map((target): GroupSpec => {
      const title = `${bytes / 1024} KiB random reads, depth 16`;
      return { title, target, bytes, depth: 16, pattern: 'random', peers: ['c-eventfd', ...KAIO, 'fs-promises-4'] };
    }),
  ),
];

/** Measures the groups whose target is there. */
export async function measure(
  specs: readonly GroupSpec[],
  targets: Targets,
  plan: Plan,
  around: Surroundings,
  progress: (text: string) => void,
): Promise<Group[]> {
  const groups: Group[] = [];
  for (const [i, spec] of specs.entries()) {
    const target = targets[spec.target];
    if (typeof target === 'string') {
      progress(`${spec.title} on ${spec.target}: left out, ${target}\n`);
      continue;
    }
    const { bytes, depth, pattern, extra = {}, warmUps = 1 } = spec;
    const load: Workload = {
      path: target.path,
      targetBytes: target.bytes,
      bytes,
      depth,
      pattern,
      extra,
      seed: 1,
      workers: 1,
    };
    const say = (text: string): void => progress(`${i + 1}/${specs.length} ${spec.target}: ${spec.title}: ${text}`);
    const warmed = { ...plan, warmUpMs: plan.warmUpMs * warmUps };
    groups.push({ ...spec, results: await compare(spec.peers, load, warmed, around, say) });
  }
  return groups;
}
