import type { Target } from './target.ts';

/** Files that take turns: the next one is served, and comes last again if it has more. */
export class Round {
  readonly #which: 'ready' | 'slow';
  #targets: Target[] = [];
  #head = 0;

  constructor(which: 'ready' | 'slow') {
    this.#which = which;
  }

  get size(): number {
    return this.#targets.length - this.#head;
  }

  get empty(): boolean {
    return this.#head === this.#targets.length;
  }

  /** Puts a file last, unless it stands in the round. */
  add(target: Target): void {
    if (this.#isIn(target)) return;
    this.#mark(target, true);
    this.#targets.push(target);
  }

  /** Takes the file whose turn it is. */
  next(): Target | undefined {
    const target = this.#targets[this.#head];
    if (target === undefined) return undefined;
    this.#head++;
    // The array is a queue: what was served is cut off when it is all there is, or most of it.
    if (this.#head === this.#targets.length || this.#head >= 1024) {
      this.#targets.splice(0, this.#head);
      this.#head = 0;
    }
    this.#mark(target, false);
    return target;
  }

  #isIn(target: Target): boolean {
    return this.#which === 'ready' ? target.inRound : target.inSlowRound;
  }

  #mark(target: Target, yes: boolean): void {
    if (this.#which === 'ready') target.inRound = yes;
    else target.inSlowRound = yes;
  }
}
