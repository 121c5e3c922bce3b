// Puts all that `import 'kaio'` needs into one file: Node's loader takes half a millisecond for each, and there are some fifty. It lies two
// folders below the package, as src/raw/binding.ts does, which finds the native module from where it is.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

await build({
  entryPoints: [`${root}dist/index.js`],
  outfile: `${root}dist/bundle/kaio.js`,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  packages: 'external',
  logLevel: 'warning',
});
