/** What the runner tells a child to do, as JSON on its command line. */
export interface TrialSpec {
  readonly peer: string;
  readonly path: string;
  /** Bytes of the target, of one request, and requests in flight in each worker. */
  readonly targetBytes: number;
  readonly bytes: number;
  readonly depth: number;
  readonly pattern: 'random' | 'sequential';
  readonly seed: number;
  readonly workers: number;
  /** Other things a single suite needs. */
  readonly extra?: Readonly<Record<string, number>>;
}

/** What a child answers to `run MILLISECONDS`, one line of JSON. */
export interface Slice {
  readonly requests: number;
  readonly wallMs: number;
  /** CPU of the whole process, all its threads. */
  readonly userUs: number;
  readonly systemUs: number;
  /** Latency of every 32nd request, at most 8192 of them. */
  readonly samplesNs: readonly number[];
  /** kaio: what its counters grew by. */
  readonly counters?: Counters;
}

export type Counters = Record<string, number>;

/** One latency in this many is measured: a clock costs as much as a quarter of a request. */
export const SAMPLE_EVERY = 32;
export const MAX_SAMPLES = 8192;
