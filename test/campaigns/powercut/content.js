// What the writer writes and the checker expects: bytes that tell their place, so that nothing can be mistaken for anything else.

function mix(value) {
  let mixed = value >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Bytes `start` to `start` + `length` of one version of one unit of a lane. */
export function contentOf({ seed, lane, unit, version }, start, length) {
  const key = [seed, lane, unit, version].reduce((sum, part) => mix(sum + Math.imul(part + 1, 0x9e3779b1)), 0);
  const first = start >>> 2;
  const words = new Uint32Array(((start + length + 3) >>> 2) - first);
  for (let i = 0; i < words.length; i++) words[i] = mix(key + Math.imul(first + i + 1, 0x9e3779b1));
  return Buffer.from(words.buffer, start - first * 4, length);
}
