/** The value below which this share of the numbers lies; NaN of none. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** One figure of one peer relative to another's, from slices that alternated. */
export interface Ratio {
  /** Best slice against best slice. */
  best: number;
  /** Median of the ratios of neighbouring slices, and the least and greatest of them. */
  median: number;
  least: number;
  greatest: number;
}

/** `better` says which of two values is the better one: Math.max for rates, Math.min for costs. */
export function ratio(ours: readonly number[], theirs: readonly number[], better: typeof Math.max): Ratio {
  const pairs = ours.map((value, i) => value / theirs[i]!);
  return {
    best: better(...ours) / better(...theirs),
    median: median(pairs),
    least: Math.min(...pairs),
    greatest: Math.max(...pairs),
  };
}

/** A ratio as the tables show it: its median, from the least to the greatest. */
export function ratioText({ median: middle, least, greatest }: Ratio): string {
  return `${middle.toFixed(2)} (${least.toFixed(2)}-${greatest.toFixed(2)})`;
}
