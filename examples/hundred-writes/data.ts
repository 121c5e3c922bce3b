import { createHash } from 'node:crypto';

/** Fills memory with numbers that depend on the seed alone (xorshift32): no two files, and no two blocks, hold the same. */
export function fillSeeded(bytes: Buffer, seed: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  // A state of 0 would stay 0; this multiplier spreads neighbouring seeds over all bits.
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
}

export function checksum(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
