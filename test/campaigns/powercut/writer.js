// Writes through kaio as a plan says until somebody kills it, and says what it does, a line each, before it does it or once it is safe:
//
//   S lane unit version offset length    this write is going to be submitted
//   A lane unit version                  it has been acknowledged: it must be there whatever happens
//   M lane bytes                         the file may be that long
//   ready                                everything is set up, and acknowledged; it waits for a line on its standard input
//   done                                 it has nothing left to write
//   E lane ns code message               a request failed, then (CLOCK_MONOTONIC)
//
//   node writer.js PLAN PLACE            PLAN is JSON (see plan.ts), PLACE a folder or a block device
import { constants, readSync, writeSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { AioContext } from '../../../dist/index.js';
import { contentOf } from './content.js';

const plan = JSON.parse(process.argv[2]);
const place = process.argv[3];
const { O_CREAT, O_SYNC, O_TRUNC, O_WRONLY } = constants;
const REPLACED = 8;
const MOST_FILES = 400;
/** So that the context has memory for all of them. */
const LAID_OUT_TOGETHER = 40;

let state = (plan.seed ^ 0x5bd1e995) >>> 0;
/** From 0 to `bound` - 1: mulberry32, as in test/support/random.ts. */
function below(bound) {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * bound);
}

const say = (...words) => writeSync(1, `${words.join(' ')}\n`);

const context = new AioContext({ depth: plan.depth, memory: 64 * 1024 * 1024 });

/** Fills memory of the kind that the lane uses with the content of a write: one buffer, or several in a row. */
function memoryFor({ memory }, content, align) {
  const views = [];
  const pieces = memory === 'vector' ? 1 + below(4) : 1;
  const step = Math.max(align, Math.ceil(content.length / pieces / align) * align);
  for (let at = 0; at < content.length; at += step) {
    const piece = content.subarray(at, at + step);
    if (memory === 'copied') {
      views.push(piece);
      continue;
    }
    const view = context.allocate(piece.length);
    view.set(piece);
    views.push(view);
  }
  return views;
}

function dispose(views) {
  for (const view of views) view[Symbol.dispose]?.();
}

class Lane {
  #plan;
  #number;
  #file;
  /** Syncs its own writes; for a control, another file of the same path, which does not wait for them. */
  #syncer;
  #folder;
  #units = [];
  #idle = [];
  #end;
  #made = 0;

  constructor(lane, number) {
    this.#plan = lane;
    this.#number = number;
    this.#end = lane.base;
  }

  get #path() {
    return plan.storage === 'raw' ? place : `${place}/${this.#plan.name}`;
  }

  async #open(path, flags) {
    const { direct, submit } = this.#plan;
    return await context.open(path, flags, { direct, submit });
  }

  async setUp() {
    const { kind, acknowledge } = this.#plan;
    this.#folder = plan.storage === 'raw' ? undefined : await context.open(place, 'r');
    if (kind === 'create' || kind === 'replace') return;
    if (plan.storage !== 'raw') await (await context.open(this.#path, 'w', { direct: false })).close();
    if (kind === 'overwrite') await this.#layOut();
    await this.#folder?.sync();
    const every = acknowledge === 'osync' ? 's' : '';
    this.#file = await this.#open(this.#path, kind === 'append' ? `a${every}` : `r${every}+`);
    this.#syncer = acknowledge === 'other-file' ? await this.#open(this.#path, 'r+') : this.#file;
  }

  /** The units of a file that is written over, and its first content. */
  async #layOut() {
    const { layout, base, fileBytes } = this.#plan;
    const file = await this.#open(this.#path, 'r+');
    while (this.#end < base + fileBytes) this.#addUnit();
    if (plan.storage !== 'raw' && layout === 'preallocated') {
      await file.preallocate(0, this.#end);
      say('M', this.#number, this.#end);
    }
    if (layout === 'written') {
      for (let first = 0; first < this.#units.length; first += LAID_OUT_TOGETHER) {
        const units = this.#units.slice(first, first + LAID_OUT_TOGETHER);
        await Promise.all(units.map((unit) => this.#submit(file, unit)));
      }
    }
    await file.sync();
    if (layout === 'written') this.#acknowledge(this.#units.map(({ number }) => [number, 1]));
    await file.close();
  }

  /** A unit of random length behind the last one. */
  #addUnit() {
    const { mostBytes, fileBytes } = this.#plan;
    const align = this.#align;
    const most = Math.min(mostBytes, fileBytes / 4);
    // Small ones are as likely as large ones.
    const bytes = most ** (below(1000) / 1000);
    const length = Math.max(align, Math.round(bytes / align) * align);
    const unit = { number: this.#units.length, offset: this.#end, length, version: 0 };
    this.#units.push(unit);
    this.#idle.push(unit);
    this.#end += length;
    return unit;
  }

  get #align() {
    return this.#plan.unaligned ? 1 : plan.sectorBytes;
  }

  /** Starts the next version of a unit. Resolves when it is written; rejects where it is cut short. */
  async #submit(file, unit, options = {}) {
    unit.version++;
    const name = { seed: plan.seed, lane: this.#number, unit: unit.number, version: unit.version };
    const views = memoryFor(this.#plan, contentOf(name, 0, unit.length), this.#align);
    say('S', this.#number, unit.number, unit.version, unit.offset, unit.length);
    const position = this.#plan.kind === 'append' ? null : unit.offset;
    try {
      const { bytesWritten } =
        views.length === 1
          ? await file.write(views[0], { position, ...options })
          : await file.writev(views, position, options);
      if (bytesWritten !== unit.length) throw Object.assign(new Error('cut short'), { code: 'SHORT' });
    } finally {
      dispose(views);
    }
  }

  #acknowledge(pairs) {
    writeSync(1, pairs.map(([unit, version]) => `A ${this.#number} ${unit} ${version}\n`).join(''));
  }

  async run() {
    const { kind, batches } = this.#plan;
    const one = kind === 'create' ? () => this.#create() : kind === 'replace' ? () => this.#replace() : undefined;
    const writers = one === undefined ? batches : 1;
    await Promise.all(Array.from({ length: writers }, () => this.#repeat(one ?? (() => this.#batch()))));
  }

  async #repeat(step) {
    try {
      while (await step());
    } catch (error) {
      say('E', this.#number, process.hrtime.bigint(), error.code, error.message);
      throw error;
    }
  }

  // ---- Units of one file -------------------------------------------------------------------------------------------------

  /** Units for one batch, taken from those that are idle. */
  #choose() {
    const { kind, batchWrites, fileBytes } = this.#plan;
    const chosen = [];
    for (let i = 0; i < batchWrites; i++) {
      if (kind === 'append' || (kind === 'grow' && below(2) === 0)) {
        if (this.#end >= fileBytes) continue;
        this.#addUnit();
        chosen.push(this.#idle.pop());
      } else if (this.#idle.length > 0) {
        chosen.push(...this.#idle.splice(below(this.#idle.length), 1));
      }
    }
    return chosen;
  }

  async #batch() {
    const { kind, acknowledge } = this.#plan;
    const chosen = this.#choose();
    if (chosen.length === 0) return kind !== 'append' && this.#units.length > 0 ? await sleep(1, true) : false;
    const alone = acknowledge === 'dsync' || acknowledge === 'osync' || acknowledge === 'write';
    if (alone) await Promise.all(chosen.map((unit) => this.#writeAlone(unit)));
    else await this.#writeTogether(chosen);
    // What was appended is where it is.
    if (kind !== 'append') this.#idle.push(...chosen);
    return true;
  }

  /** A write that is safe by itself. */
  async #writeAlone(unit) {
    const version = await this.#write(unit, this.#plan.acknowledge === 'dsync' ? { dsync: true } : {});
    this.#acknowledge([[unit.number, version]]);
  }

  /** Writes that one sync makes safe. Half of the time the sync is requested while they are under way: it has to wait for them. */
  async #writeTogether(chosen) {
    const sync = () => (this.#plan.acknowledge === 'sync' ? this.#syncer.sync() : this.#syncer.datasync());
    const early = this.#plan.acknowledge === 'other-file' || below(2) === 0;
    // What a request leads to only later is none that an early sync could wait for.
    const writes = chosen.map((unit) => (early ? this.#writeOnce(unit) : this.#write(unit)));
    const versions = early
      ? await Promise.all([...writes, sync()])
      : await Promise.all(writes).then((all) => sync().then(() => all));
    this.#acknowledge(chosen.map((unit, i) => [unit.number, versions[i]]));
  }

  /** Writes a unit, sometimes more than once. Resolves with the last version, which alone is to be acknowledged. */
  async #write(unit, options = {}) {
    if (this.#plan.aborts && this.#plan.kind !== 'append' && below(3) === 0) {
      const controller = new AbortController();
      const attempt = this.#submit(this.#file, unit, { ...options, signal: controller.signal });
      if (below(2) === 0) await new Promise(setImmediate);
      else await sleep(below(3));
      controller.abort();
      // It may have been written before; what it left must not come back over what is written next.
      await attempt.catch((error) => {
        if (error.name !== 'AbortError') throw error;
      });
    }
    // The disk then has two versions to choose from.
    if (this.#plan.kind !== 'append' && below(6) === 0) await this.#submit(this.#file, unit, options);
    return await this.#writeOnce(unit, options);
  }

  async #writeOnce(unit, options = {}) {
    const version = unit.version + 1;
    await this.#submit(this.#file, unit, options);
    return version;
  }

  // ---- Whole files -------------------------------------------------------------------------------------------------------

  async #writeFile(path, unit) {
    const { acknowledge } = this.#plan;
    const file = await this.#open(path, O_WRONLY | O_CREAT | O_TRUNC | (acknowledge === 'osync' ? O_SYNC : 0));
    await this.#submit(file, unit, { dsync: acknowledge === 'dsync' });
    if (acknowledge === 'sync') await file.sync();
    else if (acknowledge === 'datasync') await file.datasync();
    await file.close();
  }

  /** A new file, safe with its name once its folder is. */
  async #create() {
    if (this.#units.length === MOST_FILES) return false;
    this.#end = 0;
    const unit = this.#addUnit();
    await this.#writeFile(`${this.#path}-${unit.number}`, unit);
    await this.#folder.sync();
    this.#acknowledge([[unit.number, unit.version]]);
    return true;
  }

  /** One of a few files, replaced in whole by renaming. */
  async #replace() {
    this.#end = 0;
    const number = this.#made++ % REPLACED;
    const { length } = this.#addUnit();
    this.#units.length = Math.min(this.#units.length, REPLACED);
    const unit = this.#units[number];
    unit.length = length;
    await this.#writeFile(`${this.#path}.new`, unit);
    await rename(`${this.#path}.new`, `${this.#path}-${number}`);
    await this.#folder.sync();
    this.#acknowledge([[number, unit.version]]);
    return true;
  }
}

const lanes = plan.lanes.map((lane, number) => new Lane(lane, number));
for (const lane of lanes) await lane.setUp();
say('ready');
readSync(0, Buffer.alloc(1));
await Promise.all(lanes.map((lane) => lane.run())).catch(() => {});
say('done');
// Whatever is left, it waits for its end.
setInterval(() => {}, 1000);
