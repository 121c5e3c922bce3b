// What `import 'kaio'` loads is one file, made from those that the other doors and the command use.
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { expect, test } from 'vitest';

const dist = new URL('../../dist/', import.meta.url);

test('the bundle exports what its source does', async () => {
  const [bundle, source] = await Promise.all([import(`${dist}bundle/kaio.js`), import(`${dist}index.js`)]);
  expect(Object.keys(bundle).sort()).toEqual(Object.keys(source).sort());
  expect(bundle.support()).toEqual(source.support());
});

test('it imports nothing but Node, and of that nothing that takes long to load', () => {
  const code = readFileSync(new URL('bundle/kaio.js', dist), 'utf8');
  const imported = [...code.matchAll(/^(?:import|\} from|export .* from).*?["']([^"']+)["'];$/gm)].map(
    ([, name]) => name!,
  );
  expect(imported).toContain('node:fs');
  expect(imported.filter((name) => !builtinModules.includes(name.replace('node:', '')))).toEqual([]);
  expect(imported.filter((name) => /crypto|http|net|tty|zlib|stream\/web|inspector/.test(name))).toEqual([]);
});
