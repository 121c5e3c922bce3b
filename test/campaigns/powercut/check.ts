import { contentOf } from './content.js';
import type { Lane, Plan } from './plan.ts';

/** What the writer has said of one unit. */
interface Unit {
  /** By version: where it was written. Version 0 is nothing at all. */
  submitted: Map<number, { offset: number; length: number }>;
  acknowledged: number;
}

export interface LaneClaims {
  units: Map<number, Unit>;
  /** How long the file may be although no unit reaches so far. */
  mostBytes: number;
}

/** All that the writer has said. */
export interface Claims {
  lanes: LaneClaims[];
  acknowledged: number;
  /** Records of a log before this one are no longer needed. */
  forgotten: number;
  ready: boolean;
  done: boolean;
  errors: { atNs: number; what: string }[];
}

export function noClaims(plan: Plan): Claims {
  const lanes = plan.lanes.map(() => ({ units: new Map(), mostBytes: 0 }));
  return { lanes, acknowledged: 0, forgotten: 0, ready: false, done: false, errors: [] };
}

/** Takes one line of the writer in; its head says what the lines are. */
export function claim(claims: Claims, line: string): void {
  const [what, ...words] = line.split(' ');
  if (what === 'ready') claims.ready = true;
  else if (what === 'done') claims.done = true;
  else if (what === 'E')
    claims.errors.push({ atNs: Number(words[1]), what: `lane ${words[0]}: ${words.slice(2).join(' ')}` });
  else if (what === 'G') claims.forgotten = Math.max(claims.forgotten, Number(words[0]));
  else claimNumbers(claims, what!, words.map(Number));
}

function claimNumbers(claims: Claims, what: string, numbers: number[]): void {
  const [number, unit, version, offset, length] = numbers as [number, number, number, number, number];
  const lane = claims.lanes[number]!;
  if (what === 'M') {
    lane.mostBytes = unit;
    return;
  }
  if (what === 'S') {
    const known = lane.units.get(unit) ?? { submitted: new Map(), acknowledged: 0 };
    known.submitted.set(version, { offset, length });
    lane.units.set(unit, known);
    return;
  }
  const known = lane.units.get(unit)!;
  known.acknowledged = Math.max(known.acknowledged, version);
  if (claims.ready) claims.acknowledged++;
}

/** What is wrong after a loss of power; none of the lists may have anything. */
export interface Faults {
  /** Acknowledged, and not there, or not in whole. */
  lost: string[];
  /** Bytes that nobody has written there. */
  foreign: string[];
}

/** Reads a file as it is now; undefined where there is none. */
export type Reader = (lane: Lane, suffix: string) => Buffer | undefined;

/** Compares what is there with what the writer has said. */
export function check(plan: Plan, claims: Claims, read: Reader): Faults {
  const faults: Faults = { lost: [], foreign: [] };
  plan.lanes.forEach((lane, number) => {
    const inspection = new Inspection(plan, lane, number, claims.lanes[number]!, faults);
    if (lane.kind === 'create') inspection.created(read);
    else if (lane.kind === 'replace') inspection.replaced(read);
    else inspection.written(read(lane, ''));
  });
  return faults;
}

/** Compares what a log has now, as log.js lists it, with what was said when it was written. */
export function checkLog(claims: Claims, lines: readonly string[]): Faults {
  const faults: Faults = { lost: [], foreign: [] };
  const records = lines.filter((line) => line.startsWith('R ')).map((line) => line.split(' '));
  const numbers = records.map(([, number]) => Number(number));
  const first = numbers[0] ?? 0;
  if (first > claims.forgotten) faults.lost.push(`the log begins with record ${first}, ${claims.forgotten} is needed`);
  numbers.forEach((number, i) => {
    if (number !== first + i) faults.lost.push(`record ${number} follows on ${first + i - 1}`);
    if (records[i]![3] !== 'right') faults.foreign.push(`record ${number} is not what was appended`);
  });
  for (const [number, { acknowledged }] of claims.lanes[0]!.units) {
    if (acknowledged > 0 && number >= first + numbers.length) faults.lost.push(`record ${number} is gone`);
  }
  if (!lines.includes(`N ${first + numbers.length}`)) faults.lost.push('the log does not go on where it ends');
  return faults;
}

class Inspection {
  readonly #plan: Plan;
  readonly #lane: Lane;
  readonly #number: number;
  readonly #claims: LaneClaims;
  readonly #faults: Faults;

  constructor(plan: Plan, lane: Lane, number: number, claims: LaneClaims, faults: Faults) {
    this.#plan = plan;
    this.#lane = lane;
    this.#number = number;
    this.#claims = claims;
    this.#faults = faults;
  }

  /** One file of many units. */
  written(file: Buffer | undefined): void {
    if (file === undefined) {
      if (this.#claims.units.size > 0) this.#lost('the file is gone');
      return;
    }
    const { base } = this.#lane;
    const nobody = Buffer.from(file);
    let most = this.#claims.mostBytes;
    for (const [unit, known] of this.#claims.units) {
      const { offset, length } = known.submitted.values().next().value!;
      this.#unit(file, unit, known);
      nobody.subarray(offset - base, offset - base + length).fill(0);
      most = Math.max(most, offset - base + length);
    }
    if (!nobody.equals(Buffer.alloc(nobody.length))) this.#foreign('there are bytes where nothing was written');
    if (file.length > most && this.#plan.storage !== 'raw')
      this.#foreign(`${file.length} bytes, of which ${most} written`);
  }

  /** New files of one unit each. */
  created(read: Reader): void {
    for (const [unit, known] of this.#claims.units) {
      const file = read(this.#lane, `-${unit}`);
      if (file !== undefined) this.#unit(file, unit, known);
      else if (known.acknowledged > 0) this.#lost(`file ${unit} is gone`);
    }
  }

  /** Files that were replaced in whole: each is one version, from its first to its last byte. */
  replaced(read: Reader): void {
    for (const [unit, known] of this.#claims.units) {
      const file = read(this.#lane, `-${unit}`);
      const whole = [...known.submitted].some(([version, { length }]) => {
        if (version < known.acknowledged || file?.length !== length) return false;
        return file.equals(contentOf({ ...this.#name(unit), version }, 0, length));
      });
      if (whole || (file === undefined && known.acknowledged === 0)) continue;
      this.#lost(`file ${unit} is no version from ${known.acknowledged} on in whole, but ${file?.length} bytes`);
    }
  }

  /** Each sector of a unit must be of the version that was acknowledged, or of a later one that was submitted. */
  #unit(file: Buffer, unit: number, known: Unit): void {
    const { base } = this.#lane;
    const { offset, length } = known.submitted.values().next().value!;
    const { sectorBytes } = this.#plan;
    for (let at = offset; at < offset + length; ) {
      const end = Math.min((Math.floor(at / sectorBytes) + 1) * sectorBytes, offset + length);
      this.#piece(file.subarray(at - base, end - base), unit, known, at - offset, end - at);
      at = end;
    }
  }

  #piece(found: Buffer, unit: number, known: Unit, start: number, length: number): void {
    if (this.#isVersionOf(found, unit, known, start, length)) return;
    const where = `unit ${unit}, bytes ${start} to ${start + length}`;
    if (found.length < length && known.acknowledged > 0) {
      this.#lost(`${where}: the file ends before`);
      return;
    }
    const zero = found.equals(Buffer.alloc(found.length));
    // Never acknowledged: what was there before, which is nothing.
    if (zero && known.acknowledged === 0) return;
    for (let version = known.acknowledged - 1; version > 0; version--) {
      if (!found.equals(contentOf({ ...this.#name(unit), version }, start, length))) continue;
      this.#lost(`${where}: version ${version}, but ${known.acknowledged} was acknowledged`);
      return;
    }
    if (zero) this.#lost(`${where}: zeros, but version ${known.acknowledged} was acknowledged`);
    else this.#foreign(`${where}: ${found.toString('hex', 0, 16)}, no version of it`);
  }

  #isVersionOf(found: Buffer, unit: number, known: Unit, start: number, length: number): boolean {
    for (const version of known.submitted.keys()) {
      if (version < known.acknowledged) continue;
      if (found.equals(contentOf({ ...this.#name(unit), version }, start, length).subarray(0, found.length))) {
        // A file that ends within what was never acknowledged is right as far as it goes.
        return found.length === length || known.acknowledged === 0;
      }
    }
    return false;
  }

  #name(unit: number): { seed: number; lane: number; unit: number } {
    return { seed: this.#plan.seed, lane: this.#number, unit };
  }

  #lost(what: string): void {
    this.#faults.lost.push(`${this.#lane.name}: ${what}`);
  }

  #foreign(what: string): void {
    this.#faults.foreign.push(`${this.#lane.name}: ${what}`);
  }
}
