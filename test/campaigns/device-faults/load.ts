import type { AioContext, AioFile } from '../../../src/index.ts';
import type { Random } from '../../support/random.ts';

export const UNIT_BYTES = 4096;
const MOST_UNITS = 8;
/** More than one iocb takes. */
const MANY_UNITS = 300;

/** What a device does wrong at the moment: nothing between these units can be read or written. */
export interface Bad {
  first: number;
  count: number;
}

/** What the load knows of the device. */
export interface Weather {
  bad: readonly Bad[];
  /** Syncs fail. */
  badFlush: boolean;
  /** Counts every change, when it is asked for and when it is in force: requests that see none know what they meet. */
  changes: number;
}

/** What happened to the requests, and what must not have. */
export interface Seen {
  requests: number;
  failed: number;
  short: number;
  codes: Record<string, number>;
  wrong: string[];
}

interface Memory {
  views: Buffer[];
  dispose(): void;
}

/**
 * Random requests for one file or device, each on units of its own, against a model of what each unit may be: one version, or after a write
 * that failed also the ones before.
 */
export class Load {
  readonly seen: Seen = { requests: 0, failed: 0, short: 0, codes: {}, wrong: [] };
  readonly #context: AioContext;
  readonly #file: AioFile;
  readonly #units: number;
  readonly #random: Random;
  readonly #weather: Weather;
  readonly #possible: Set<number>[];
  readonly #busy: boolean[];
  #version = 0;

  constructor(context: AioContext, file: AioFile, units: number, random: Random, weather: Weather) {
    this.#context = context;
    this.#file = file;
    this.#units = units;
    this.#random = random;
    this.#weather = weather;
    this.#possible = Array.from({ length: units }, () => new Set());
    this.#busy = new Array<boolean>(units).fill(false);
  }

  /** Writes every unit; nothing may be wrong with the device. */
  async writeAll(): Promise<void> {
    for (let first = 0; first < this.#units; first += MANY_UNITS) {
      await this.#write(first, Math.min(MANY_UNITS, this.#units - first));
    }
    await this.#file.datasync();
  }

  /** Makes so many requests, a number of them at a time. */
  async run(requests: number, together: number): Promise<void> {
    let left = requests;
    const worker = async (): Promise<void> => {
      while (left-- > 0) await this.#request();
    };
    await Promise.all(Array.from({ length: together }, worker));
  }

  /** Holds what is there, read in whichever way, against the model. */
  compare(content: Buffer): void {
    for (let unit = 0; unit < this.#units; unit++) this.#judgeUnit(content, unit, unit);
  }

  async #request(): Promise<void> {
    const random = this.#random;
    if (random.chance(0.05)) {
      await this.#sync();
      return;
    }
    const most = random.chance(0.05) ? MANY_UNITS : MOST_UNITS;
    const first = random.below(this.#units);
    let count = 0;
    while (count < most && first + count < this.#units && !this.#busy[first + count])
      this.#busy[first + count++] = true;
    if (count === 0) {
      await new Promise(setImmediate);
      return;
    }
    try {
      if (random.chance(0.5)) await this.#read(first, count);
      else await this.#write(first, count);
    } finally {
      this.#busy.fill(false, first, first + count);
    }
  }

  // ---- One request -------------------------------------------------------------------------------------------------------

  async #read(first: number, count: number): Promise<void> {
    const { views, dispose } = this.#memory(count);
    const position = first * UNIT_BYTES;
    try {
      const bytes = await this.#attempt(first, count, false, async () =>
        views.length === 1
          ? (await this.#file.read(views[0]!, { position })).bytesRead
          : (await this.#file.readv(views, position)).bytesRead,
      );
      const content = Buffer.concat(views);
      for (let i = 0; i < Math.floor(bytes / UNIT_BYTES); i++) this.#judgeUnit(content, i, first + i);
    } finally {
      dispose();
    }
  }

  async #write(first: number, count: number): Promise<void> {
    const version = ++this.#version;
    const { views, dispose } = this.#memory(count);
    let unit = first;
    for (const view of views) {
      for (let at = 0; at < view.length; at += UNIT_BYTES) fill(view.subarray(at, at + UNIT_BYTES), version, unit++);
    }
    const position = first * UNIT_BYTES;
    const dsync = this.#random.chance(0.2);
    try {
      const bytes = await this.#attempt(first, count, dsync, async () =>
        views.length === 1
          ? (await this.#file.write(views[0]!, { position, dsync })).bytesWritten
          : (await this.#file.writev(views, position, { dsync })).bytesWritten,
      );
      for (let i = 0; i < count; i++) {
        const possible = this.#possible[first + i]!;
        // What it says it has written is so; what it has not said is open.
        if ((i + 1) * UNIT_BYTES <= bytes) possible.clear();
        possible.add(version);
      }
    } finally {
      dispose();
    }
  }

  async #sync(): Promise<void> {
    const { changes, badFlush, bad } = this.#weather;
    this.seen.requests++;
    const code = await this.#file.datasync().then(() => undefined, codeOf);
    const settled = changes === this.#weather.changes && changes % 2 === 0;
    if (code !== undefined) this.#count(code);
    if (settled && badFlush && code === undefined) this.#wrong('a sync succeeded that could not');
    if (settled && !badFlush && bad.length === 0 && code !== undefined) this.#wrong(`a sync failed with ${code}`);
  }

  /** Runs a transfer and holds its outcome against the weather. Resolves with the bytes that it moved. */
  async #attempt(first: number, count: number, flushes: boolean, transfer: () => Promise<number>): Promise<number> {
    const { changes, bad, badFlush } = this.#weather;
    const meets = bad.some((range) => range.first < first + count && first < range.first + range.count);
    this.seen.requests++;
    let bytes = 0;
    let code: string | undefined;
    try {
      bytes = await transfer();
    } catch (error) {
      code = codeOf(error);
      this.#count(code);
    }
    const whole = bytes === count * UNIT_BYTES;
    if (code === undefined && !whole) this.seen.short++;
    const settled = changes === this.#weather.changes && changes % 2 === 0;
    const where = `units ${first} to ${first + count}`;
    if (settled && meets && whole) this.#wrong(`${where}: a bad sector was no obstacle`);
    // A good request may fail with a bad one that the block layer has merged it with.
    const good = bad.length === 0 && !(flushes && badFlush);
    if (settled && good && !whole) this.#wrong(`${where}: ${code ?? `${bytes} bytes`} of a good device`);
    return bytes;
  }

  #count(code: string): void {
    this.seen.failed++;
    this.seen.codes[code] = (this.seen.codes[code] ?? 0) + 1;
  }

  #wrong(what: string): void {
    this.seen.wrong.push(what);
  }

  /** The unit at this place of what was read must be one of its versions, and in whole; from then on it is that one. */
  #judgeUnit(content: Buffer, at: number, unit: number): void {
    const bytes = content.subarray(at * UNIT_BYTES, (at + 1) * UNIT_BYTES);
    const possible = this.#possible[unit]!;
    const version = bytes.readUInt32LE();
    const expected = fill(Buffer.alloc(UNIT_BYTES), version, unit);
    // A write that failed may have changed some sectors and not others: then any mixture of the versions is right.
    const right =
      possible.size === 1 ? possible.has(version) && bytes.equals(expected) : isMixture(bytes, unit, possible);
    if (!right) this.#wrong(`unit ${unit}: version ${version}, not one of ${[...possible].join(' ')}`);
    if (possible.has(version) && bytes.equals(expected)) {
      possible.clear();
      possible.add(version);
    }
  }

  #memory(count: number): Memory {
    const kind = this.#random.below(3);
    const lengths = kind === 2 && count > 1 ? [1, count - 1] : [count];
    const pool = kind === 0 ? [] : lengths.map((length) => this.#context.allocate(length * UNIT_BYTES));
    const views = kind === 0 ? lengths.map((length) => Buffer.alloc(length * UNIT_BYTES)) : pool;
    return {
      views,
      dispose: () => {
        for (const view of pool) view[Symbol.dispose]();
      },
    };
  }
}

const SECTOR_BYTES = 512;

/** Every word of a unit says which version of which unit it is. */
function fill(unit: Buffer, version: number, number: number): Buffer {
  for (let at = 0; at < unit.length; at += 8) {
    unit.writeUInt32LE(version, at);
    unit.writeUInt32LE(number, at + 4);
  }
  return unit;
}

function isMixture(bytes: Buffer, unit: number, possible: ReadonlySet<number>): boolean {
  for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
    const version = bytes.readUInt32LE(at);
    const sector = bytes.subarray(at, at + SECTOR_BYTES);
    if (!possible.has(version) || !sector.equals(fill(Buffer.alloc(SECTOR_BYTES), version, unit))) return false;
  }
  return true;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
