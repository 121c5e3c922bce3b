import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Installed, mustRun, PRINT_LOADED, root, run } from './installed.ts';

let installed: Installed;
let folder: string;

beforeAll(() => {
  installed = new Installed();
  folder = join(installed.folder, 'node_modules/kaio');
});

afterAll(() => installed.remove());

/** All paths that a package.json's field names, however deep. */
function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value.replace(/^\.\//, '')];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(pathsIn) : [];
}

test('the tarball has everything that package.json names, and what a build from source needs', () => {
  const { exports, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  const sources = ['native/binding.gyp', 'native/module.cc', 'native/generated/asserts.h'];
  const documents = ['README.md', 'CHANGELOG.md', 'LICENSE'];
  const wanted = [...pathsIn(exports), ...pathsIn(bin), ...sources, ...documents];
  expect(wanted.filter((path) => !installed.tarball.files.includes(path))).toEqual([]);
});

test('the tarball has nothing else than what a user needs, and is small', () => {
  const needed = [
    /^(dist|native|docs)\//,
    /^examples\/.*(?<!\.d)\.ts$/,
    /^(vectors\/layout\.json|package\.json|LICENSE|[A-Z]+\.md)$/,
  ];
  const unneeded = /node_modules|^native\/build|\.map$|(^|\/)(package-lock|tsconfig|typedoc)\.json$/;
  const { files, bytes, unpackedBytes } = installed.tarball;
  const stray = files.filter((path) => !needed.some((pattern) => pattern.test(path)) || unneeded.test(path));
  expect(stray).toEqual([]);
  expect(bytes).toBeLessThan(1e6);
  expect(unpackedBytes).toBeLessThan(3e6);
});

test('the links in the documents of the tarball lead to files in it', () => {
  const documents = installed.tarball.files.filter((path) => path.endsWith('.md'));
  const links = documents.flatMap((name) =>
    [...readFileSync(join(folder, name), 'utf8').matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, link]) =>
      join(dirname(name), link!),
    ),
  );
  expect(links.length).toBeGreaterThan(20);
  expect(links.filter((link) => !installed.tarball.files.includes(link))).toEqual([]);
});

test('installing runs no script, and no platform is refused', () => {
  interface Installation {
    packages: Record<string, Record<string, unknown>>;
  }
  const lockfile = readFileSync(join(installed.folder, 'node_modules/.package-lock.json'), 'utf8');
  const { packages } = JSON.parse(lockfile) as Installation;
  const names = Object.keys(packages).map((path) => path.replace('node_modules/', ''));
  expect(names.sort()).toEqual(['kaio', 'node-addon-api', 'node-gyp-build']);
  const fields = Object.values(packages).flatMap((entry) => Object.keys(entry));
  expect(fields.filter((field) => /^(hasInstallScript|os|cpu|libc)$/.test(field))).toEqual([]);
  // Of prepare npm 11 warns where a package is installed from a file, though it never runs it there.
  const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { scripts: object };
  expect(Object.keys(scripts).filter((name) => /^(pre|post)?(install|prepare)$/.test(name))).toEqual([]);
  // managers.test.ts has the package managers that compile where there is one.
  expect(installed.tarball.files.filter((path) => /^[^/]*\.gyp$/.test(path))).toEqual([]);
});

test('nothing in the tarball knows where it was built', () => {
  const found = installed.tarball.files.filter((path) => readFileSync(join(folder, path)).includes(root));
  expect(found).toEqual([]);
});

/** The native module of this machine. */
const own = () => join(folder, `native/prebuilds/linux-${process.arch}/kaio.glibc.node`);
/** The native modules in the package: that of this machine, and those that `npm run prebuilds` has made. */
const modules = () =>
  installed.tarball.files.filter((path) => path.startsWith('native/prebuilds/')).map((path) => join(folder, path));

test('the native modules need no libaio', ({ skip }) => {
  skip(run('sh', ['-c', 'command -v readelf']).status !== 0, 'readelf (binutils) is not installed');
  expect(modules()).toContain(own());
  for (const module of modules()) {
    const needed = [...mustRun('readelf', ['-d', module]).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(
      ([, library]) => library!,
    );
    expect(needed).toContain('libc.so.6');
    expect(needed.filter((library) => /aio|uring/.test(library))).toEqual([]);
  }
});

test('the native modules ask for no symbol newer than glibc 2.28 and the libstdc++ of GCC 8', ({ skip }) => {
  skip(run('sh', ['-c', 'command -v readelf']).status !== 0, 'readelf (binutils) is not installed');
  const newest: Record<string, number[]> = { GLIBC: [2, 28], GLIBCXX: [3, 4, 25] };
  for (const module of modules()) {
    const table = mustRun('readelf', ['--dyn-syms', '--wide', module]);
    const symbols = [...table.matchAll(/UND (\w+)@+(GLIBC|GLIBCXX)_([\d.]+)/g)];
    const tooNew = symbols.filter(([, , library, version]) =>
      isNewer(version!.split('.').map(Number), newest[library!]!),
    );
    expect(symbols.length).toBeGreaterThan(0);
    expect(tooNew.map(([, symbol, library, version]) => `${symbol} of ${library} ${version}`)).toEqual([]);
  }
});

function isNewer(version: number[], limit: number[]): boolean {
  const at = version.findIndex((part, index) => part !== (limit[index] ?? 0));
  return at !== -1 && version[at]! > (limit[at] ?? 0);
}

/** What a program says of support() where a script that is loaded first has changed what the process says of the machine. */
function supportWhere(change: string): { reason: string; message: string } {
  installed.write('machine.mjs', change);
  installed.write(
    'program.mjs',
    `import { AioContext, support } from 'kaio';
    import { io_setup } from 'kaio/raw';
    import { layoutOf } from 'kaio/layout';
    if (layoutOf('iocb').size !== 64) throw new Error('no layout');
    const { supported, ...answer } = support();
    if (supported) throw new Error('supported');
    for (const use of [() => new AioContext(), () => io_setup(1)]) {
      try { use(); throw new Error('it worked'); } catch (error) {
        if (error.code !== 'ERR_AIO_UNSUPPORTED' || error.message !== answer.message) throw error;
      }
    }
    console.log(JSON.stringify(answer));`,
  );
  return JSON.parse(mustRun('node', ['--import', './machine.mjs', 'program.mjs'], installed.folder));
}

test.each(['darwin', 'win32'])('on %s kaio/layout works, and support() says what does not', (platform) => {
  const { reason, message } = supportWhere(`Object.defineProperty(process, 'platform', { value: '${platform}' });`);
  expect(reason).toBe('platform');
  expect(message).toContain(`this is ${platform}. kaio/layout works everywhere`);
  const layout = ['--import', './machine.mjs', 'node_modules/kaio/dist/cli/main.js', 'layout', 'iocb'];
  expect(mustRun('node', layout, installed.folder)).toContain('aio_lio_opcode');
});

test('where a process has 32 bits support() says so, and nobody is sent to build what does not compile', () => {
  const { reason, message } = supportWhere("Object.defineProperty(process, 'arch', { value: 'arm' });");
  expect(reason).toBe('architecture');
  expect(message).not.toContain('node-gyp');
});

test('a native module that does not load is told from none', () => {
  writeFileSync(own(), 'no module');
  const { reason, message } = supportWhere('');
  expect(reason).toBe('native-module');
  expect(message).toMatch(/does not load here: .*kaio\.glibc\.node/);
});

test('where there is no module for a machine, the command that support() names builds it', () => {
  const prebuilds = join(folder, 'native/prebuilds');
  const aside = join(installed.folder, 'prebuilds');
  renameSync(prebuilds, aside);
  const { reason, message } = supportWhere('');
  expect(reason).toBe('native-module');
  expect(message).toContain('kaio brings no native module');

  const [, command] = /run: (npx .*)$/.exec(message)!;
  // For those who want one of their own it is documented, and goes before what the package brings.
  const document = readFileSync(join(folder, 'SECURITY.md'), 'utf8');
  expect(document).toContain(command!.replace(/(?<=--directory=).*(?=node_modules)/, ''));
  mustRun('sh', ['-c', command!], installed.folder);
  renameSync(aside, prebuilds);
  const probe = ['-e', "import('kaio').then(({ support }) => console.log(JSON.stringify(support())))"];
  expect(JSON.parse(mustRun('node', probe, installed.folder))).toEqual({ supported: true });
  expect(mustRun('node', ['-e', PRINT_LOADED], installed.folder)).toContain('/kaio/native/build/Release/kaio.node');
}, 240_000);
