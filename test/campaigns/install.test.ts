// What npm publish would upload, installed where there is nothing but Node.js: no compiler, no shell, no repository.
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { distantFolder, mustRun, pack, root, run, type Tarball } from '../package/installed.ts';
import { hasCommand } from '../support/compile.ts';
import { nodeProgram, VERSIONS } from '../support/nodes.ts';
import { scratchFolder } from '../support/scratch.ts';

const INSTALL = ['install', '--prefer-offline', '--no-audit', '--no-fund'];
const npm = join(mustRun('npm', ['root', '--global']).trim(), 'npm/bin/npm-cli.js');
const folder = distantFolder('install');
/** On a disk, for direct I/O. */
const disk = scratchFolder();
let tarball: Tarball;

beforeAll(() => {
  mustRun('npm', ['run', 'prebuilds']);
  tarball = pack(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The n-th program of the README, and what its comments say that it prints. */
function readmeProgram(n: number): { program: string; printed: string } {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const program = [...readme.matchAll(/^```js\n([\s\S]*?)^```$/gm)][n]![1]!;
  return {
    program,
    printed: [...program.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, line]) => `${line}\n`).join(''),
  };
}

test('the tarball has the native modules of x64 and arm64', () => {
  const modules = tarball.files.filter((path) => path.startsWith('native/prebuilds/'));
  const missing = ['x64', 'arm64'].filter(
    (arch) => !modules.includes(`native/prebuilds/linux-${arch}/kaio.glibc.node`),
  );
  if (missing.includes('arm64') && !hasCommand('aarch64-linux-gnu-g++')) missing.splice(missing.indexOf('arm64'), 1);
  expect(missing).toEqual([]);
});

test('publint and are-the-types-wrong have nothing to say', () => {
  const tool = (name: string, ...args: string[]) => mustRun(join(root, 'node_modules/.bin', name), args);
  expect(tool('publint', 'run', '--strict', tarball.path)).toContain('All good!');
  // Its exit code tells.
  expect(tool('attw', '--profile', 'esm-only', tarball.path)).toContain('"kaio/layout"');
});

describe.each(VERSIONS)('Node.js %s', (version) => {
  const home = join(folder, `with-${version}`);
  // PATH leads to this Node.js and to nothing else.
  const env = { PATH: join(home, 'bin'), NODE_OPTIONS: '', NODE_PATH: '' };
  const node = (args: string[], cwd = home) => mustRun(nodeProgram(version), args, cwd, env);

  beforeAll(() => {
    mkdirSync(join(home, 'bin'), { recursive: true });
    symlinkSync(nodeProgram(version), join(home, 'bin/node'));
    node([npm, ...INSTALL, tarball.path]);
  });

  test('the installed package runs the first program of the README', () => {
    const { program, printed } = readmeProgram(0);
    writeFileSync(join(home, 'first.mjs'), program);
    expect(node([join(home, 'first.mjs')], disk)).toBe(printed);
  });

  test('it is imported and required, once and the same', () => {
    const program = `
      const kaio = require('kaio');
      const raw = require('kaio/raw');
      const layout = require('kaio/layout');
      const vectors = require('kaio/layout/vectors.json');
      import('kaio').then((module) => {
        if (module.AioContext !== kaio.AioContext) throw new Error('two of them');
        console.log(process.version, kaio.support().supported, raw.io_setup.name, layout.layoutOf('iocb').size, vectors.length > 0);
      });`;
    writeFileSync(join(home, 'program.cjs'), program);
    expect(node(['program.cjs'])).toMatch(/^v\d+\.\d+\.\d+ true io_setup 64 true\n$/);
  });

  test('the command runs', () => {
    expect(node(['node_modules/kaio/dist/cli/main.js', 'layout', 'iocb'])).toContain('aio_lio_opcode');
  });
});

test('npm on macOS installs it', () => {
  const home = join(folder, 'macos');
  mkdirSync(home);
  writeFileSync(join(home, 'macos.mjs'), "Object.defineProperty(process, 'platform', { value: 'darwin' });");
  const env = { NODE_OPTIONS: `--import ${join(home, 'macos.mjs')}` };
  mustRun(process.execPath, [npm, ...INSTALL, tarball.path], home, env);
  expect(readdirSync(join(home, 'node_modules'))).toContain('kaio');
  // That this npm does refuse what is not for macOS:
  const { status, stderr } = run(process.execPath, [npm, ...INSTALL, `node-linux-${process.arch}@22`], home, env);
  expect(status).not.toBe(0);
  expect(stderr).toContain('EBADPLATFORM');
});

test('on arm64 it loads, and says what is missing where there is no kernel for it', ({ skip }) => {
  skip(process.arch === 'arm64', 'this is arm64: the other tests have shown it');
  for (const command of ['qemu-aarch64-static', 'aarch64-linux-gnu-g++'])
    skip(!hasCommand(command), `${command} is not installed`);
  const home = join(folder, 'with-22');
  writeFileSync(
    join(home, 'arm64.mjs'),
    `import { AioContext, support } from 'kaio';
    import { addressOf, io_setup } from 'kaio/raw';
    import { hostAbi, layoutOf } from 'kaio/layout';
    const failure = (use) => { try { use(); return 'none'; } catch (error) { return error.code; } };
    const codes = [failure(() => io_setup(1)), failure(() => new AioContext())];
    console.log(JSON.stringify({ arch: process.arch, abi: hostAbi, size: layoutOf('iocb').size, support: support(), codes,
      address: addressOf(new Uint8Array(8)) > 0n }));`,
  );
  const printed = mustRun(
    'qemu-aarch64-static',
    ['-L', '/usr/aarch64-linux-gnu', nodeProgram('22', 'arm64'), 'arm64.mjs'],
    home,
  );
  // qemu translates the processor's instructions, but does not know io_setup.
  expect(JSON.parse(printed)).toEqual({
    arch: 'arm64',
    abi: 'aarch64',
    size: 64,
    support: { supported: false, reason: 'kernel', message: expect.stringContaining('ENOSYS') },
    codes: ['ENOSYS', 'ENOSYS'],
    address: true,
  });
});
