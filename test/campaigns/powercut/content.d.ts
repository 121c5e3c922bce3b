export interface Name {
  seed: number;
  lane: number;
  unit: number;
  version: number;
}

/** Bytes `start` to `start` + `length` of one version of one unit of a lane. */
export function contentOf(name: Name, start: number, length: number): Buffer;
