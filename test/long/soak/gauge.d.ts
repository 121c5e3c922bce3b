interface Ends {
  firstMs: number;
  lastMs: number;
}

/** Judges quiet samples: what is not flat, and figures. */
export function judge(samples: readonly object[]): { faults: string[]; latency: Readonly<Record<string, Ends>> };
