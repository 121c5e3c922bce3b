// A package manager compiles on its own what has a binding.gyp at its root, and some only from the second time on: a lockfile does not keep
// what package.json says against it. So each installs the package, installs it by its lockfile, and rebuilds it, where nothing to compile
// with is on the PATH.
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { distantFolder, mustRun, PRINT_LOADED, pack, type Tarball } from './installed.ts';

const folder = distantFolder('managers');
let tarball: Tarball;

beforeAll(() => {
  tarball = pack(folder);
  mkdirSync(join(folder, 'bin'));
  symlinkSync(process.execPath, join(folder, 'bin/node'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const npm = { program: 'npm/bin/npm-cli.js', again: ['ci', '--prefer-offline'], rebuild: ['rebuild'] };
const managers = [
  { ...npm, name: 'npm@10.8.2' },
  { ...npm, name: 'npm@11.19.1' },
  {
    name: 'pnpm@9.15.9',
    program: 'pnpm/bin/pnpm.cjs',
    again: ['install', '--frozen-lockfile'],
    rebuild: ['rebuild'],
  },
  {
    name: 'yarn@1.22.22',
    program: 'yarn/bin/yarn.js',
    again: ['install', '--frozen-lockfile'],
    rebuild: ['install', '--force'],
  },
];

test.each(managers)(
  '$name never compiles it',
  ({ name, program, again, rebuild }) => {
    const home = join(folder, name);
    const project = join(home, 'project');
    mkdirSync(project, { recursive: true });
    writeFileSync(join(home, 'package.json'), '{ "private": true }');
    mustRun('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', name], home);
    const dependencies = { kaio: `file:${tarball.path}` };
    writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, dependencies }));

    // The caches of pnpm and yarn go with the folder.
    const caches = Object.fromEntries(['CACHE', 'CONFIG', 'DATA', 'STATE'].map((kind) => [`XDG_${kind}_HOME`, home]));
    const node = (...args: string[]) =>
      mustRun(process.execPath, args, project, { ...caches, PATH: join(folder, 'bin'), NODE_OPTIONS: '' });
    const manage = (args: string[]) => node(join(home, 'node_modules', program), ...args);
    const expectPrebuilt = () => {
      const files = readdirSync(join(project, 'node_modules/kaio'), { recursive: true, encoding: 'utf8' });
      expect(files.filter((path) => basename(path) === 'build')).toEqual([]);
      expect(node('-e', PRINT_LOADED)).toContain(`native/prebuilds/linux-${process.arch}/kaio.glibc.node`);
    };

    manage(['install']);
    expectPrebuilt();
    rmSync(join(project, 'node_modules'), { recursive: true });
    manage(again);
    expectPrebuilt();
    manage(rebuild);
    expectPrebuilt();
  },
  240_000,
);
