import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { pack } from '../../package/installed.ts';
import { nodeFolder } from './image.ts';
import { type Architecture, machines } from './machine.ts';
import { run } from './run.ts';

const root: string = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * Lays out a folder as the repository is, so that the compiled tests find everything where they look for it; but what they import as
 * src is the package as a user gets it.
 */
export function layOut(folder: string, architecture: Architecture): void {
  const kaio = join(folder, 'node_modules/kaio');
  mkdirSync(kaio, { recursive: true });
  const { path } = pack(folder);
  run('tar', ['xzf', path, '--strip-components=1', '-C', kaio]);
  cpSync(join(root, 'node_modules/node-gyp-build'), join(folder, 'node_modules/node-gyp-build'), { recursive: true });
  // The package has the native module for some machines; for the others it is compiled on the spot, as node-gyp would.
  if (!existsSync(join(kaio, `native/prebuilds/linux-${machines[architecture].node}`)))
    compileNative(architecture, kaio);
  compileCopies(architecture, folder);
  compileTests(folder);
  for (const name of ['src', 'dist']) symlinkSync('node_modules/kaio/dist', join(folder, name));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
}

/** The tests as JavaScript, and vitest's runner. */
function compileTests(folder: string): void {
  const out = join(folder, 'out');
  run(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    join(root, 'test/support/guest'),
    '--outDir',
    out,
  ]);
  cpSync(join(out, 'test'), join(folder, 'test'), { recursive: true });
  run('rm', ['-r', out]);
  for (const part of ['fault', 'lifecycle', 'long/soak', 'support/c']) {
    const plain = (source: string) => !source.endsWith('.ts');
    cpSync(join(root, 'test', part), join(folder, 'test', part), { recursive: true, filter: plain });
  }
  const vitest = join(folder, 'node_modules/vitest');
  buildSync({
    entryPoints: [join(root, 'test/support/guest/vitest.ts')],
    outfile: join(vitest, 'index.js'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
  });
  writeFileSync(join(vitest, 'package.json'), '{ "name": "vitest", "type": "module", "main": "index.js" }');
}

/** The native module for another machine, by the cross compiler and the headers of the Node that will load it. */
function compileNative(architecture: Architecture, kaio: string): void {
  const { node, nodePackage, triplet } = machines[architecture];
  const target = join(kaio, `native/prebuilds/linux-${node}`);
  mkdirSync(target, { recursive: true });
  const native = join(root, 'native');
  const { targets } = JSON.parse(readFileSync(join(native, 'binding.gyp'), 'utf8')) as {
    targets: [{ conditions: [[string, { sources: string[]; defines: string[] }]] }];
  };
  const { sources, defines } = targets[0].conditions[0][1];
  const include = [
    '-I',
    join(nodeFolder(nodePackage), 'include/node'),
    '-I',
    join(root, 'node_modules/node-addon-api'),
  ];
  const flags = ['-shared', '-fPIC', '-O2', '-std=c++17', '-fno-exceptions', '-fno-rtti', '-Wl,-z,nodelete'];
  const names = [...defines, 'BUILDING_NODE_EXTENSION'].map((name) => `-D${name}`);
  run(`${triplet}-g++`, [...flags, ...names, ...include, '-o', join(target, 'kaio.node'), ...sources], native);
}

/** What every program of a guest is preloaded with where copies are overlooked, and what shows whether they are. */
function compileCopies(architecture: Architecture, folder: string): void {
  const { debian, triplet, overlooksCopies } = machines[architecture];
  const compile = (name: string, target: string, ...flags: string[]) => {
    run(`${triplet}-gcc`, ['-O2', ...flags, '-o', join(folder, target), join(root, `test/support/guest/${name}.c`)]);
  };
  if (overlooksCopies === true) compile('copy', 'copy.so', '-shared', '-fPIC');
  if (debian !== 'amd64') compile('replaced', 'replaced');
}
