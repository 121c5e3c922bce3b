// What the files of one thread must hold, in shared memory: so that it outlives a worker that is terminated in the middle of a write.
import assert from 'node:assert';

export const UNIT_BYTES = 4096;
/** Units of a file, each full of the number of the write that it is from. */
export const UNITS = 384;
const UNIT_WORDS = UNIT_BYTES / 4;
/** Nobody knows which number is in a unit: more than one write to it was given up. */
const ANY = -1;

export function createShared(files) {
  return new SharedArrayBuffer((1 + files * UNITS * 2) * 4);
}

/** The words of a unit: its place in the first three, so that what lands elsewhere is seen, then the write's number. */
export function fillUnit(words, file, unit, number) {
  words.fill(number);
  words[1] = unit;
  words[2] = file;
}

export class Model {
  #counter;
  /** For each unit the number that it holds, and the one that it may hold instead; 0 for none, or ANY. */
  #numbers;
  #others;
  /** Units that a request is using, and those that an aborted write may still change. */
  #busy;
  #stray;
  #base;

  /** `base` tells the numbers of one thread from those of another. */
  constructor(shared, files, base) {
    const total = files * UNITS;
    this.#counter = new Int32Array(shared, 0, 1);
    this.#numbers = new Int32Array(shared, 4, total);
    this.#others = new Int32Array(shared, 4 + total * 4, total);
    this.#busy = new Uint8Array(total);
    this.#stray = new Uint8Array(total);
    this.#base = base;
  }

  /** Reserves units of a file; false where somebody uses one of them. */
  claim(file, first, count) {
    const at = file * UNITS + first;
    if (this.#busy.subarray(at, at + count).some((used) => used === 1)) return false;
    this.#busy.fill(1, at, at + count);
    return true;
  }

  release(file, first, count) {
    const at = file * UNITS + first;
    this.#busy.fill(0, at, at + count);
  }

  /** A new number, which the units may hold from now on. */
  begin(file, first, count) {
    const number = this.#base + ++this.#counter[0];
    const at = file * UNITS + first;
    for (let i = at; i < at + count; i++) this.#others[i] = this.#others[i] === 0 ? number : ANY;
    return number;
  }

  /** The write is done: it is what the units hold, whatever was given up before. */
  written(file, first, count, number) {
    const at = file * UNITS + first;
    for (let i = at; i < at + count; i++) {
      this.#numbers[i] = number;
      this.#others[i] = 0;
      this.#stray[i] = 0;
    }
  }

  /** The write was aborted. It may land until the file is closed, or until a later one of the same place is done. */
  givenUp(file, first, count) {
    const at = file * UNITS + first;
    this.#stray.fill(1, at, at + count);
  }

  /** Nothing of the file is in flight any more. */
  settled(file) {
    this.#stray.fill(0, file * UNITS, (file + 1) * UNITS);
  }

  /** Throws where a unit holds what it cannot. Returns whether anything could be said. */
  check(file, unit, words) {
    const at = file * UNITS + unit;
    if (this.#stray[at] === 1) return false;
    const number = words[0];
    const [expected, other] = [this.#numbers[at], this.#others[at]];
    const where = `file ${file} unit ${unit}: ${number}, expected ${expected} or ${other}`;
    assert.ok(number === expected || number === other || other === ANY, where);
    assert.deepStrictEqual([words[1], words[2]], [unit, file], `what belongs elsewhere: ${where}`);
    for (let i = 3; i < UNIT_WORDS; i++) assert.ok(words[i] === number, `torn at word ${i}, ${words[i]}: ${where}`);
    this.#numbers[at] = number;
    this.#others[at] = 0;
    return true;
  }
}

/** The words of a piece of memory, which is aligned to them. */
export function wordsOf(bytes) {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
