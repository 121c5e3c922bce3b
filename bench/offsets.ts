/** The blocks that a trial reads, in order; the same seed gives the C reference (`next_block` there) the same ones. */
export type NextBlock = () => number;

/** Random blocks below `blocks`, from xorshift32; `seed` must not be 0. */
export function randomBlocks(blocks: number, seed: number): NextBlock {
  let x = seed | 0;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % blocks;
  };
}

/** Block after block, and from the start again. */
export function sequentialBlocks(blocks: number): NextBlock {
  let next = 0;
  return () => {
    const block = next;
    next = block + 1 === blocks ? 0 : block + 1;
    return block;
  };
}
