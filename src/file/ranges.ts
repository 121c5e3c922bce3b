import type { Engine } from '../engine/engine.ts';
import type { Target } from '../engine/target.ts';
import { unlessAborted } from './waiting.ts';

/**
 * Ranges are kept apart in this unit, in bytes: the largest page, block and direct-I/O alignment that Linux has. A direct write drops the
 * cached pages it covers before and after it writes; a page that became dirty meanwhile, by a write to another block of it, cannot be
 * dropped, and then the next fsync fails with EIO (mm/filemap.c, kiocb_invalidate_post_direct_write; test/unit/edges.test.ts).
 */
const UNIT_BYTES = 65536;

/** A write that runs or waits: through the page cache, or a direct one that meets such a write. */
interface Entry {
  readonly from: number;
  readonly to: number;
  readonly cached: boolean;
  readonly over: Promise<void>;
}

/**
 * Keeps writes through the page cache and direct writes of one file out of each other's ranges, in the order in which they come, whichever
 * AioFiles of this thread make them. Writes of the same kind do not wait for each other. While nothing goes through the cache, direct
 * writes need not ask.
 */
export class Ranges {
  static readonly #files = new Map<string, Ranges>();
  readonly #inode: string;
  /** What writes to the file directly. */
  readonly #targets = new Map<Target, Engine>();
  readonly #entries = new Set<Entry>();
  /** Whether direct writes may go without asking. A field of its own, since every write looks at it. */
  #free = true;

  private constructor(inode: string) {
    this.#inode = inode;
  }

  /** The ranges of this file, which a descriptor takes part in until it leaves. */
  static join(inode: string, target: Target, engine: Engine): Ranges {
    const ranges = Ranges.#files.get(inode) ?? new Ranges(inode);
    Ranges.#files.set(inode, ranges);
    ranges.#targets.set(target, engine);
    return ranges;
  }

  leave(target: Target): void {
    this.#targets.delete(target);
    if (this.#targets.size === 0) Ranges.#files.delete(this.#inode);
  }

  get free(): boolean {
    return this.#free;
  }

  /** Waits until a write may go to these bytes. The caller calls what this resolves to when the kernel is done with it. */
  async enter(from: number, to: number, cached: boolean, signal: AbortSignal | undefined): Promise<() => void> {
    const first = Math.floor(from / UNIT_BYTES) * UNIT_BYTES;
    const last = Math.ceil(to / UNIT_BYTES) * UNIT_BYTES;
    const before: Promise<void>[] = [];
    for (const entry of this.#entries) {
      if (entry.cached !== cached && entry.from < last && first < entry.to) before.push(entry.over);
    }
    // Direct writes that went without asking are known to their engines alone. They are few, and the kernel has most of them.
    if (cached) for (const [target, engine] of this.#targets) before.push(engine.written(target));
    let leave = (): void => {};
    const over = new Promise<void>((resolve) => {
      leave = () => {
        this.#entries.delete(entry);
        this.#free = this.#entries.size === 0;
        resolve();
      };
    });
    const entry: Entry = { from: first, to: last, cached, over };
    this.#entries.add(entry);
    this.#free = false;
    try {
      await unlessAborted(Promise.all(before), signal);
    } catch (error) {
      leave();
      throw error;
    }
    return leave;
  }

  /** The file reaches at least to here now: for those who wrote nothing there themselves. */
  reached(end: number): void {
    for (const target of this.#targets.keys()) if (end > target.size) target.size = end;
  }
}
