import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Installed, mustRun, root, run } from './installed.ts';

let installed: Installed;
let module: string;

beforeAll(() => {
  installed = new Installed();
  module = join(installed.folder, `node_modules/kaio/prebuilds/${process.platform}-${process.arch}/kaio.node`);
});

afterAll(() => installed.remove());

/** All paths that a package.json's field names, however deep. */
function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value.replace(/^\.\//, '')];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(pathsIn) : [];
}

test('the tarball has everything that package.json names, and what a build from source needs', () => {
  const { exports, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  const sources = ['binding.gyp', 'native/module.cc', 'native/generated/asserts.h'];
  const documents = ['README.md', 'CHANGELOG.md', 'LICENSE'];
  const wanted = [...pathsIn(exports), ...pathsIn(bin), ...sources, ...documents];
  expect(wanted.filter((path) => !installed.tarball.files.includes(path))).toEqual([]);
});

test('the tarball has nothing else than what a user needs', () => {
  const needed =
    /^(dist\/|native\/|vectors\/layout\.json$|prebuilds\/|binding\.gyp$|package\.json$|(README|CHANGELOG)\.md$|LICENSE$)/;
  expect(installed.tarball.files.filter((path) => !needed.test(path))).toEqual([]);
});

test('nothing in the tarball knows where it was built', () => {
  const found = installed.tarball.files.filter((path) =>
    readFileSync(join(installed.folder, 'node_modules/kaio', path)).includes(root),
  );
  expect(found).toEqual([]);
});

test('the native module needs no libaio', ({ skip }) => {
  skip(run('sh', ['-c', 'command -v readelf']).status !== 0, 'readelf (binutils) is not installed');
  const needed = [...mustRun('readelf', ['-d', module]).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(
    ([, library]) => library!,
  );
  expect(needed).toContain('libc.so.6');
  expect(needed.filter((library) => /aio|uring/.test(library))).toEqual([]);
  const resolved = mustRun('ldd', [module]);
  expect(resolved).toContain('libc.so.6');
  expect(resolved).not.toMatch(/aio|uring|not found/);
});

test('the native module asks for no symbol newer than glibc 2.28 and the libstdc++ of GCC 8', ({ skip }) => {
  skip(run('sh', ['-c', 'command -v objdump']).status !== 0, 'objdump (binutils) is not installed');
  const newest: Record<string, number[]> = { GLIBC: [2, 28], GLIBCXX: [3, 4, 25] };
  const symbols = [...mustRun('objdump', ['-T', module]).matchAll(/\((GLIBC|GLIBCXX)_([\d.]+)\)\s+(\w+)/g)];
  const tooNew = symbols.filter(([, library, version]) => isNewer(version!.split('.').map(Number), newest[library!]!));
  expect(symbols.length).toBeGreaterThan(0);
  expect(tooNew.map(([, library, version, symbol]) => `${symbol} of ${library} ${version}`)).toEqual([]);
});

function isNewer(version: number[], limit: number[]): boolean {
  const at = version.findIndex((part, index) => part !== (limit[index] ?? 0));
  return at !== -1 && version[at]! > (limit[at] ?? 0);
}

test('where there is no module for a machine, it can be built from the installed package', () => {
  const folder = join(installed.folder, 'node_modules/kaio');
  rmSync(join(folder, 'prebuilds'), { recursive: true });
  const probe = ['-e', "import('kaio').then(({ support }) => console.log(JSON.stringify(support())))"];
  const missing = JSON.parse(mustRun('node', probe, installed.folder)) as { reason: string; message: string };
  expect(missing.reason).toBe('native-module');
  expect(missing.message).toContain(`"npx node-gyp rebuild" in ${folder}`);

  // npm runs it with the settings for node-gyp that this machine has, as npx would.
  mustRun('npm', ['exec', '--', 'node-gyp', 'rebuild', '--directory', folder, '--silent']);
  expect(existsSync(join(folder, 'build/Release/kaio.node'))).toBe(true);
  expect(JSON.parse(mustRun('node', probe, installed.folder))).toEqual({ supported: true });
}, 240_000);
