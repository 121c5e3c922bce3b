/** Where a row's files are. */
export type Place = 'ext4' | 'xfs' | 'btrfs' | 'tmpfs' | 'overlay' | 'fuse';

/** What is requested in one turn of the event loop. */
export interface Row {
  readonly name: string;
  readonly place: Place;
  readonly op: 'read' | 'write';
  readonly direct: boolean;
  /** Files, requests to each of them, and bytes of each request; positions go up, or over the file at random. */
  readonly files: number;
  readonly requests: number;
  readonly bytes: number;
  readonly random: boolean;
  /** What the files are before: not there, reserved, written, or written and out of the page cache. */
  readonly before: 'new' | 'reserved' | 'written';
  /** The memory was used before; untouched pages are made within the submit. */
  readonly touched: boolean;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const READ = { op: 'read', direct: true, files: 1, before: 'written', random: true, touched: true } as const;
const WRITE = { op: 'write', direct: true, requests: 1, random: false, touched: true, before: 'new' } as const;

function newFiles(place: Place): Row {
  return { ...WRITE, name: '100 new files, 1 MiB each', place, files: 100, bytes: MIB };
}

function reads(place: Place): Row {
  return { ...READ, name: '4096 reads of 4 KiB', place, requests: 4096, bytes: 4 * KIB };
}

function largeReads(memory: 'touched' | 'untouched'): Row {
  const shape = { place: 'ext4', requests: 16, bytes: 16 * MIB, random: false } as const;
  return { ...READ, ...shape, name: `16 reads of 16 MiB, ${memory} memory`, touched: memory === 'touched' };
}

function coldReads(kib: number): Row {
  const name = `256 cold buffered reads of ${kib} KiB`;
  return { ...READ, name, place: 'ext4', requests: 256, bytes: kib * KIB, direct: false };
}

export const ROWS: readonly Row[] = [
  newFiles('ext4'),
  { ...newFiles('ext4'), name: '100 files with reserved space, 1 MiB each', before: 'reserved' },
  reads('ext4'),
  { ...reads('ext4'), name: '4096 overwrites of 4 KiB', op: 'write' },
  largeReads('touched'),
  largeReads('untouched'),
  coldReads(4),
  coldReads(128),
  { ...WRITE, name: '16 appends of 4 KiB, 20 ms each', place: 'fuse', files: 1, requests: 16, bytes: 4 * KIB },
  ...(['tmpfs', 'overlay', 'xfs', 'btrfs'] as const).flatMap((place) => [newFiles(place), reads(place)]),
];

/** Bytes of one file of a row: random requests go over a file of 256 MiB, or of 64 where a small image holds it. */
export function fileBytes({ random, requests, bytes, place }: Row): number {
  return random ? (place === 'ext4' ? 256 : 64) * MIB : requests * bytes;
}
