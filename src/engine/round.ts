import type { Target } from './target.ts';

/** What a file knows of its place in a round. */
export interface Turn {
  in: boolean;
  next: Target | undefined;
}

/** Files that take turns, linked through their own `turns`: the next one is served, and comes last again if it has more. */
export class Round {
  readonly #which: 'ready' | 'slow';
  #first: Target | undefined;
  #last: Target | undefined;
  #size = 0;

  constructor(which: 'ready' | 'slow') {
    this.#which = which;
  }

  get size(): number {
    return this.#size;
  }

  get empty(): boolean {
    return this.#size === 0;
  }

  #turnOf(target: Target): Turn {
    return this.#which === 'ready' ? target.readyTurn : target.slowTurn;
  }

  /** Puts a file last, unless it stands in the round. */
  add(target: Target): void {
    const turn = this.#turnOf(target);
    if (turn.in) return;
    const last = this.#last === undefined ? undefined : this.#turnOf(this.#last);
    // No call from here on: one that makes the stack overflow would leave the file neither in nor out.
    turn.in = true;
    turn.next = undefined;
    if (last === undefined) this.#first = target;
    else last.next = target;
    this.#last = target;
    this.#size++;
  }

  /** Takes the file whose turn it is. */
  next(): Target | undefined {
    const target = this.#first;
    if (target === undefined) return undefined;
    const turn = this.#turnOf(target);
    this.#first = turn.next;
    if (this.#first === undefined) this.#last = undefined;
    turn.in = false;
    turn.next = undefined;
    this.#size--;
    return target;
  }
}
