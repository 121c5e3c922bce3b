import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const layout = fileURLToPath(new URL('../../src/layout', import.meta.url));
const sources = readdirSync(layout, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

it('kaio/layout imports nothing of Node and nothing from outside its folder', () => {
  const imports = sources.flatMap((name) =>
    [...readFileSync(join(layout, name), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
      ([, from]) => from!,
    ),
  );
  expect(imports.length).toBeGreaterThan(20);
  expect(imports.filter((from) => !from.startsWith('./') && from !== 'kaio/layout')).toEqual([]);
});

it('no offset of a structure and no number of a system call is written in TypeScript', () => {
  const text = sources
    .filter((name) => !name.startsWith('generated'))
    .map((name) => readFileSync(join(layout, name), 'utf8'));
  expect(
    text.filter((source) => /offset: \d|__NR_\w+ ?[=:] ?\d|io_(?:setup|submit|getevents): \d/.test(source)),
  ).toEqual([]);
});

it('the packer of the hot path stays under 4 KiB', () => {
  expect(statSync(join(layout, 'generated/packer.wasm')).size).toBeLessThan(4096);
});
