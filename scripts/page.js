// Bundles the script of the page that `kaio bench --html` writes, with the parts of the chart library that it uses.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

await build({
  entryPoints: [`${root}scripts/page/draw.js`],
  outfile: `${root}dist/cli/bench/page.bundle.js`,
  bundle: true,
  minify: true,
  platform: 'browser',
  format: 'iife',
  target: 'es2022',
  legalComments: 'inline',
  logLevel: 'warning',
});
