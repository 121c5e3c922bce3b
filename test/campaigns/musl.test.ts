// No Node.js for musl was at hand, so nothing runs here: the module is compiled against musl's headers, and every symbol that it asks for
// is looked for where a Node.js for musl would find it.
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { distantFolder, mustRun, root } from '../package/installed.ts';
import { hasCommand } from '../support/compile.ts';

const folder = distantFolder('musl');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What GCC's C++ headers, which were configured for glibc, take for granted of it. */
const SHIM = `
#define __GLIBC_PREREQ(major, minor) 0
#define __locale_t locale_t
#include <bits/c++config.h>
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK
`;

/** The C++ compiler with musl's headers in place of glibc's. */
function muslCompiler(): string {
  const kernel = join(folder, 'kernel');
  mkdirSync(kernel);
  // Debian has the kernel's headers beside those of glibc.
  for (const name of ['linux', 'asm-generic']) symlinkSync(`/usr/include/${name}`, join(kernel, name));
  symlinkSync('/usr/include/x86_64-linux-gnu/asm', join(kernel, 'asm'));
  const version = mustRun('g++', ['-dumpversion']).trim();
  const own = mustRun('g++', ['-print-file-name=include']).trim();
  const cxx = [`/usr/include/c++/${version}`, `/usr/include/x86_64-linux-gnu/c++/${version}`];
  const paths = [...cxx, '/usr/include/x86_64-linux-musl', kernel, own];
  writeFileSync(join(folder, 'shim.h'), SHIM);
  return `g++ -nostdinc ${paths.map((path) => `-isystem ${path}`).join(' ')} -include ${join(folder, 'shim.h')}`;
}

/** What the dynamic symbol table of a file defines, or lacks. */
function symbols(file: string, which: '--defined-only' | '--undefined-only'): string[] {
  const lines = mustRun('nm', ['--dynamic', which, file]).trim().split('\n');
  return lines.map((line) => line.split(' ').at(-1)!.replace(/@.*/, ''));
}

test('the native module compiles for musl and asks for nothing that musl, libstdc++ and Node.js do not have', ({
  skip,
}) => {
  skip(process.arch !== 'x64', 'the paths here are those of x64');
  for (const command of ['musl-gcc', 'g++', 'nm']) skip(!hasCommand(command), `${command} is not installed`);
  const native = join(folder, 'native');
  // As they are in the package: without what was compiled of them here.
  const sources = (path: string) => !/\/(build|prebuilds)$/.test(path);
  cpSync(join(root, 'native'), native, { recursive: true, filter: sources });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  // Without libraries, what is missing stays as it is, without versions of glibc.
  const env = { CXX: muslCompiler(), LINK: 'g++', LDFLAGS: '-nostdlib' };
  mustRun('npm', ['exec', '--', 'node-gyp', 'rebuild', '--directory', native, '--silent'], root, env);

  const module = join(native, 'build/Release/kaio.node');
  const libstdcxx = mustRun('g++', ['-print-file-name=libstdc++.so.6']).trim();
  const there = new Set(
    ['/usr/lib/x86_64-linux-musl/libc.so', libstdcxx].flatMap((file) => symbols(file, '--defined-only')),
  );
  const wanted = symbols(module, '--undefined-only');
  expect(wanted).toContain('syscall');
  expect(wanted.filter((name) => !there.has(name) && !/^(napi|uv)_/.test(name))).toEqual([]);
});
