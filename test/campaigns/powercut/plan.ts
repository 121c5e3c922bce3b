import { Random } from '../../support/random.ts';

/** What is mounted on the disk: a file system, or nothing and the device itself is written to. */
export type Storage = 'ext4' | 'xfs' | 'raw';

/** After what the writer says of a write that it is safe. The last two are wrong, on purpose: the rig must see what they lose. */
export type Acknowledgement = 'datasync' | 'sync' | 'dsync' | 'osync' | 'write' | 'other-file';

/** One file that is written to in one manner. */
export interface Lane {
  /** Of the file in its folder; those that `create` and `replace` make begin with it. */
  name: string;
  /**
   * `overwrite` writes the same units again and again, `grow` also new ones behind the last, `append` records with O_APPEND, `create` a new
   * file each, `replace` a temporary file that is then renamed over one of a few.
   */
  kind: 'overwrite' | 'grow' | 'append' | 'create' | 'replace';
  acknowledge: Acknowledgement;
  /** What an `overwrite` begins with. */
  layout: 'written' | 'preallocated' | 'sparse';
  direct: boolean;
  submit: 'auto' | 'inline' | 'offload';
  /** Buffers of the context, buffers that are copied, several buffers in one write. */
  memory: 'pool' | 'copied' | 'vector';
  /** Units end and begin anywhere: neighbours share sectors. */
  unaligned: boolean;
  /** Some writes are aborted, and at once written over. */
  aborts: boolean;
  /** Batches under way at once, and writes in each. */
  batches: number;
  batchWrites: number;
  /** Of one write at most, and of the file. */
  mostBytes: number;
  fileBytes: number;
  /** Where in the device it begins, for `raw`. */
  base: number;
}

/** All that one run does, drawn from its seed. */
export interface Plan {
  seed: number;
  storage: Storage;
  /** The disk's sector: what it writes in whole, and may lose by itself. */
  sectorBytes: 512 | 4096;
  reap: 'ring' | 'io_getevents';
  depth: number;
  /** The power goes at this write or flush of the disk, counted from the moment the writer begins. */
  cutAfter: number;
  /** What is special of the disk: for controls. */
  manner?: 'ignore-flush' | 'drop-all';
  /** The write-ahead log of examples/wal is written to, by as many writers as there are writes in the batches of the one lane. */
  log: boolean;
  lanes: Lane[];
}

export const storages: readonly Storage[] = ['ext4', 'xfs', 'raw'];

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const MOST_REQUESTS = 600;

/** Seeds that follow each other go through the storages, and through both ways of reaping. */
export function planOf(seed: number): Plan {
  const random = new Random(seed);
  const storage = storages[seed % storages.length]!;
  const sectorBytes = random.pick([512, 4096] as const);
  const lanes = random.chance(0.6) ? 1 : random.between(2, 3);
  return {
    seed,
    storage,
    sectorBytes,
    reap: Math.floor(seed / storages.length) % 2 === 0 ? 'ring' : 'io_getevents',
    depth: random.pick([4, 32, 128]),
    cutAfter: Math.ceil(MOST_REQUESTS ** (random.next() / 2 ** 32)),
    log: false,
    lanes: Array.from({ length: lanes }, (_, number) => laneOf(random, number, storage, sectorBytes)),
  };
}

function laneOf(random: Random, number: number, storage: Storage, sectorBytes: number): Lane {
  const kinds = [
    'overwrite',
    'overwrite',
    'overwrite',
    'grow',
    'grow',
    'append',
    'append',
    'create',
    'replace',
  ] as const;
  const kind = storage === 'raw' ? 'overwrite' : random.pick(kinds);
  const mostBytes = random.pick([sectorBytes, 16 * KIBIBYTE, 64 * KIBIBYTE, MEBIBYTE]);
  return {
    name: `lane-${number}`,
    kind,
    acknowledge: random.pick(['datasync', 'datasync', 'sync', 'dsync', 'dsync', 'osync']),
    layout: random.pick(['written', 'preallocated', 'sparse']),
    direct: random.chance(0.75),
    submit: random.pick(['auto', 'auto', 'auto', 'inline', 'offload']),
    memory: random.pick(['pool', 'pool', 'copied', 'vector']),
    unaligned: random.chance(0.25),
    aborts: random.chance(0.25),
    batches: random.between(1, 4),
    batchWrites: random.pick([1, 4, 16]),
    mostBytes,
    fileBytes: Math.max(mostBytes * 4, MEBIBYTE),
    base: storage === 'raw' ? number * 8 * MEBIBYTE : 0,
  };
}

/** The same with the write-ahead log, which needs a file system. */
export function logPlanOf(seed: number): Plan {
  const plan = planOf(seed);
  const storage = seed % 2 === 0 ? 'ext4' : 'xfs';
  return { ...plan, storage, log: true, cutAfter: Math.ceil(plan.cutAfter / 2), lanes: plan.lanes.slice(0, 1) };
}

/** A run that acknowledges too early, or whose disk lies. It must lose something, most of the time. */
export function controlOf(seed: number, wrong: 'ignore-flush' | 'write' | 'other-file'): Plan {
  const plan = planOf(seed);
  const [lane] = plan.lanes;
  const acknowledge = wrong === 'ignore-flush' ? 'datasync' : wrong;
  return {
    ...plan,
    manner: wrong === 'ignore-flush' ? wrong : 'drop-all',
    cutAfter: 60 + Math.floor(plan.cutAfter / 8),
    lanes: [
      {
        ...lane!,
        kind: 'overwrite',
        acknowledge,
        layout: 'written',
        direct: true,
        unaligned: false,
        aborts: false,
        mostBytes: 16 * KIBIBYTE,
        batches: wrong === 'other-file' ? 1 : 4,
        batchWrites: 4,
      },
    ],
  };
}
