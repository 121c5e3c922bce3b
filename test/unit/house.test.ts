import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Which folders of src a file may import from; files that lie in src itself are a layer each. */
const layers: Record<string, string[]> = {
  layout: ['layout'],
  raw: ['raw', 'errors.ts', 'debug.ts'],
  engine: ['engine', 'raw', 'layout', 'errors.ts', 'debug.ts'],
  file: ['file', 'engine', 'raw', 'layout', 'errors.ts', 'debug.ts'],
  cli: ['cli', 'index.ts', 'file', 'engine', 'raw', 'layout', 'errors.ts', 'debug.ts'],
  'errors.ts': [],
  'debug.ts': [],
  'index.ts': ['file', 'engine', 'raw', 'layout', 'errors.ts', 'debug.ts'],
};

function filesOf(folder: string, pattern: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name) && !name.includes('generated/'))
    .map((name) => join(folder, name));
}

const read = (path: string) => readFileSync(join(root, path), 'utf8');

const sources = filesOf('src', /(?<!\.d)\.ts$/);

/** Code without its comments, which may name what they explain. */
const code = (path: string) => read(path).replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*/g, '');

/** The files in src that a source file imports, relative to src; with `import type` or without. */
function importsOf(path: string): string[] {
  const specifiers = code(path).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']*)'/g);
  return [...specifiers].map(([, specifier]) => relative('src', join(dirname(path), specifier!)));
}

const layerOf = (path: string) => path.split('/')[0]!;

test('imports run one way: cli, file, engine, then raw and layout, which imports nothing of ours', () => {
  const wrong = sources.flatMap((path) => {
    const from = layerOf(relative('src', path));
    const allowed = layers[from] ?? [];
    return importsOf(path)
      .filter((imported) => !allowed.includes(layerOf(imported)))
      .map((imported) => `${path} imports ${imported}`);
  });
  expect(wrong).toEqual([]);
  // What this test reads really is there.
  expect(importsOf('src/raw/index.ts')).toContain('raw/binding.ts');
});

test('no layer but raw loads the native module', () => {
  const loads = sources.filter((path) => /node-gyp-build|\.node'|dlopen/.test(code(path)));
  expect(loads).toEqual(['src/raw/binding.ts']);
});

test('what the native module exports and what src/raw/binding.ts declares are the same', () => {
  const exported = filesOf('native', /\.cc$/).flatMap((path) =>
    [...read(path).matchAll(/\bexports\["(\w+)"\]/g)].map(([, name]) => name!),
  );
  const declaration = /export interface Binding \{\n([\s\S]*?)\n\}/.exec(code('src/raw/binding.ts'))?.[1] ?? '';
  const declared = [...declaration.matchAll(/^ {2}(?:readonly )?(\w+)[(:]/gm)].map(([, name]) => name!);
  expect(declared.sort()).toEqual(exported.sort());
  expect(exported).toContain('io_submit');
});

test('of each WebAssembly module only one file casts what it exports', () => {
  const casts = sources.filter((path) => /\bexports as\b/.test(code(path)));
  expect(casts).toEqual(['src/layout/packer.ts', 'src/layout/placement.ts']);
});

test('the engine and files take timers from where nobody mocks them', () => {
  const timer = /\b(process\.)?(?:nextTick|queueMicrotask|setImmediate|setTimeout|setInterval)\(/g;
  const uses = sources
    .filter((path) => /^src\/(engine|file)\//.test(path))
    .flatMap((path) => [...code(path).matchAll(timer)].map(([, global]) => ({ path, global: global !== undefined })));
  const mocked = uses.filter(({ path, global }) => global || !importsOf(path).includes('engine/loop.ts'));
  // These come among the ticks of Node's own streams, which take that of the moment.
  expect(new Set(mocked.map(({ path }) => path))).toEqual(new Set(['src/file/writestream.ts']));
  expect(uses.length).toBeGreaterThan(mocked.length);
});

test('the native module stays under 1,000 lines', () => {
  const lines = filesOf('native', /\.(cc|h)$/).map((path) => read(path).split('\n').length - 1);
  expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThan(1000);
});

test("the packer's release build stays under 4 KiB", () => {
  expect(statSync(join(root, 'src/layout/generated/packer.wasm')).size).toBeLessThan(4096);
});

interface LockedPackage {
  resolved?: string;
  integrity?: string;
  optionalDependencies?: Record<string, string>;
}

test.each(['package-lock.json', 'docs/api/package-lock.json'])(
  '%s names no registry, a hash for every package, and those of every platform',
  (path) => {
    const { packages } = JSON.parse(read(path)) as { packages: Record<string, LockedPackage> };
    const { '': _own, ...locked } = packages;
    const names = new Set(Object.keys(locked).map((path) => path.split('node_modules/').at(-1)));
    // npm ci refuses a lockfile without one of these.
    const optional = Object.values(locked).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}));
    expect(optional.filter((name) => !names.has(name))).toEqual([]);
    expect(Object.values(locked).filter((entry) => entry.resolved !== undefined)).toEqual([]);
    expect(Object.keys(locked).filter((path) => locked[path]!.integrity === undefined)).toEqual([]);
  },
);
