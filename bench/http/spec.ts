/** What server and client of a trial are told, as JSON on their command lines. */
export interface HttpSpec {
  /** Who reads the files: `kaio`, or `fs`. */
  readonly engine: 'kaio' | 'fs';
  readonly port: number;
  /** Where the files `0`, `1`, ... are, how many, and how long each is. */
  readonly folder: string;
  readonly files: number;
  readonly bytes: number;
  readonly connections: number;
  /** What else runs in the server while it is measured: name look-ups, and passwords that are hashed. */
  readonly beside: boolean;
}

/** The value of every 32-bit word of a file: what comes from elsewhere is noticed. */
export function wordOf(file: number): number {
  return (file + 1) * 0x01000193;
}
