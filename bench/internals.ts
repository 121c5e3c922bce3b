/**
 * The parts of kaio that no user sees, for trials that put something in their place. They are found beside the built package, since
 * `exports` does not name them.
 */
const dist = new URL('../../dist/', import.meta.url);

function load(path: string): Promise<unknown> {
  return import(new URL(path, dist).href);
}

export const { binding } = (await load('raw/binding.js')) as typeof import('../dist/raw/binding.js');
export type { Binding, KernelContext } from '../dist/raw/binding.js';
export const { instantiatePacker } = (await load('layout/packer.js')) as typeof import('../dist/layout/packer.js');
export type { Packer } from '../dist/layout/packer.js';
