import { RUN_BYTES } from '../raw/runs.ts';

/** More requests than can use a page without writing to it. */
const SHARED = 2 ** 32;

/** What a request counts on its pages. */
const weightOf = (exclusive: boolean): number => (exclusive ? SHARED + 1 : 1);

/** A stretch of a page, and how many requests use just that in the same way. */
interface Stretch {
  /** Bytes from the start of the page. */
  readonly from: number;
  readonly to: number;
  readonly exclusive: boolean;
  requests: number;
}

/**
 * Which memory of a pool requests use. What the kernel writes to belongs to one request alone (it is exclusive); what it only reads can
 * be in several. A page counts its requests; which stretches of it they use is kept only where that is not the whole page, so that those
 * of whole pages cost no more than the count.
 */
export class Claims {
  /** For each page how many requests use it, where one that writes to it counts as SHARED and one. */
  readonly #counts: Float64Array;
  readonly #stretches = new Map<number, Stretch[]>();

  constructor(pages: number) {
    this.#counts = new Float64Array(pages);
  }

  /** Whether a request uses any of this page. */
  has(page: number): boolean {
    return this.#counts[page]! > 0;
  }

  /** Whether another request may not have this range because of one that uses this page of it. */
  forbids(page: number, offset: number, length: number, exclusive: boolean): boolean {
    if (this.#counts[page]! <= (exclusive ? 0 : SHARED - 1)) return false;
    return this.#meets(page, offset - page * RUN_BYTES, length, exclusive);
  }

  /** The same where requests are too many as far as the count tells; `from` in the page. */
  #meets(page: number, from: number, length: number, exclusive: boolean): boolean {
    let whole = this.#counts[page]!;
    for (const stretch of this.#stretches.get(page) ?? []) {
      if ((exclusive || stretch.exclusive) && stretch.from < from + length && from < stretch.to) return true;
      whole -= stretch.requests * weightOf(stretch.exclusive);
    }
    return whole > (exclusive ? 0 : SHARED - 1);
  }

  /** Counts one request more (1) or less (-1) that uses a range. */
  count(offset: number, length: number, exclusive: boolean, change: 1 | -1): void {
    const first = Math.floor(offset / RUN_BYTES);
    const end = Math.ceil((offset + length) / RUN_BYTES);
    const weight = weightOf(exclusive);
    const counts = this.#counts;
    if (((offset | length) & (RUN_BYTES - 1)) !== 0) {
      // Only its first and its last page can be used in part.
      this.#countStretch(first, offset, length, exclusive, change);
      if (end - 1 > first) this.#countStretch(end - 1, offset, length, exclusive, change);
    }
    // Last, where nothing is called any more: at the end of the stack none of it is counted.
    for (let page = first; page < end; page++) counts[page]! += change * weight;
  }

  #countStretch(page: number, offset: number, length: number, exclusive: boolean, change: 1 | -1): void {
    const from = Math.max(offset - page * RUN_BYTES, 0);
    const to = Math.min(offset + length - page * RUN_BYTES, RUN_BYTES);
    const all = this.#stretchesOf(page);
    for (let at = 0; at < all.length; at++) {
      const stretch = all[at]!;
      if (stretch.from !== from || stretch.to !== to || stretch.exclusive !== exclusive) continue;
      stretch.requests += change;
      if (stretch.requests === 0) {
        all[at] = all.at(-1)!;
        all.pop();
      }
      return;
    }
    all.push({ from, to, exclusive, requests: 1 });
  }

  /** Of a page that was ever used in part: it most likely will be again. */
  #stretchesOf(page: number): Stretch[] {
    let all = this.#stretches.get(page);
    if (all === undefined) {
      all = [];
      this.#stretches.set(page, all);
    }
    return all;
  }
}
