// Bundles the layout explorer's page script together with kaio/layout. The bundle is for a browser: an import from Node stops the build.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

await build({
  entryPoints: [`${root}docs/explorer/explorer.ts`],
  outfile: `${root}docs/explorer/explorer.js`,
  bundle: true,
  minify: true,
  platform: 'browser',
  format: 'iife',
  target: 'es2022',
  logLevel: 'warning',
});
