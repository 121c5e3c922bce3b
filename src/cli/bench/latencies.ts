/** Latencies below a microsecond share the first bucket; a factor of two has 16, so that a percentile is right within 4.5 %. */
const BUCKETS_PER_OCTAVE = 16;
/** 2^36 µs is 19 hours. */
const BUCKETS: number = 36 * BUCKETS_PER_OCTAVE;

/** Counts of latencies in buckets: of fixed size however long it runs, and easy to add up over workers. */
export class Latencies {
  readonly counts: Float64Array<ArrayBuffer>;

  /** @param counts What another one has counted. */
  constructor(counts: Float64Array<ArrayBuffer> = new Float64Array(BUCKETS)) {
    this.counts = counts;
  }

  add(microseconds: number): void {
    const bucket = microseconds <= 1 ? 0 : Math.floor(Math.log2(microseconds) * BUCKETS_PER_OCTAVE);
    this.counts[Math.min(bucket, BUCKETS - 1)]!++;
  }

  merge(other: Latencies): void {
    for (const [i, count] of other.counts.entries()) this.counts[i]! += count;
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** The latency in microseconds that this share (0 to 1) of the requests does not exceed; NaN where there were none. */
  percentile(share: number): number {
    const wanted = Math.max(1, this.total * share);
    let seen = 0;
    for (const [i, count] of this.counts.entries()) {
      seen += count;
      if (seen >= wanted) return upperEnd(i);
    }
    return Number.NaN;
  }

  /** Counts by octave, from the first that has any to the last: `upTo` in microseconds. */
  octaves(): { upTo: number; count: number }[] {
    const octaves = Array.from({ length: BUCKETS / BUCKETS_PER_OCTAVE }, (_, octave) => {
      const first = octave * BUCKETS_PER_OCTAVE;
      const count = this.counts.subarray(first, first + BUCKETS_PER_OCTAVE).reduce((sum, some) => sum + some, 0);
      return { upTo: 2 ** (octave + 1), count };
    });
    const first = octaves.findIndex(({ count }) => count > 0);
    return first === -1 ? [] : octaves.slice(first, octaves.findLastIndex(({ count }) => count > 0) + 1);
  }
}

function upperEnd(bucket: number): number {
  return 2 ** ((bucket + 1) / BUCKETS_PER_OCTAVE);
}
