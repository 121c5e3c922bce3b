// Runs tests with the native module compiled for a sanitizer, in a copy of the package: the build of the checkout stays as it is.
//
//   node scripts/sanitize.js address|thread [--quick] [-- options of vitest]
//
// Exit code 0: all tests passed and the sanitizer reported nothing. 1: not so. 77: this machine lacks what is needed, and it says what.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { copySources, native } from './module.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const SKIPPED = 77;

/** Node itself is not compiled for a sanitizer, so the library comes first by LD_PRELOAD. */
const sanitizers = {
  address: {
    // The vptr check would need run-time types, which the module is compiled without.
    flags: '-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all',
    library: 'libasan.so',
    options: (reports) => ({
      // Node never frees much of what it has at its end. That V8 has handlers of SIGSEGV of its own is right: WebAssembly needs them.
      ASAN_OPTIONS: `detect_leaks=0:handle_segv=0:log_path=${reports}/address`,
      UBSAN_OPTIONS: `print_stacktrace=1:log_path=${reports}/undefined`,
    }),
  },
  thread: {
    flags: '-fsanitize=thread',
    library: 'libtsan.so',
    options: (reports) => ({
      TSAN_OPTIONS: `ignore_noninstrumented_modules=1:exitcode=66:handle_segv=0:log_path=${reports}/thread`,
    }),
  },
};

const QUICK = [
  'test/lifecycle/exit.test.ts',
  '-t',
  '^(main|worker), 1 x (reads|copies|opening): (exit|natural|terminate)$',
];
const FULL = ['test/lifecycle', 'test/property/model.test.ts', 'test/fault/model.test.ts', 'test/kernel'];

/** Tests that say nothing here, or that cannot hold. */
const excluded = {
  // What a sanitizer keeps of freed memory is not flat.
  address: ['test/lifecycle/soak.test.ts'],
  // Besides, ThreadSanitizer delivers signals when the system call that they should have ended is over, and is slow to start processes.
  thread: ['test/lifecycle/soak.test.ts', 'test/kernel/pgetevents.test.ts', 'test/kernel/pipe.test.ts'],
};

function fail(code, message) {
  console.error(message);
  process.exit(code);
}

/** Where the compiler has the sanitizer's library, or an end with the reason. */
function libraryOf(name) {
  const { stdout, error } = spawnSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' });
  if (error) fail(SKIPPED, 'there is no g++');
  const path = stdout.trim();
  // The compiler repeats the name where it has none.
  if (!path.startsWith('/') || !existsSync(path)) fail(SKIPPED, `g++ has no ${name}`);
  return path;
}

function hashOf(flags) {
  const hash = createHash('sha256').update(flags);
  for (const name of readdirSync(native, { recursive: true }).sort()) {
    if (/\.(cc|h|gyp)$/.test(name)) hash.update(name).update(readFileSync(`${native}/${name}`));
  }
  return hash.digest('hex');
}

/** Copies what the tests need and compiles the module there, unless it is what was compiled last. */
function prepare(folder, flags) {
  mkdirSync(folder, { recursive: true });
  const configs = ['package.json', 'vitest.config.ts', 'vitest.campaigns.config.ts'];
  for (const part of ['dist', 'src', 'test', 'vectors', ...configs]) {
    rmSync(`${folder}/${part}`, { recursive: true, force: true });
    cpSync(`${root}${part}`, `${folder}/${part}`, { recursive: true });
  }
  const stamp = `${folder}/compiled`;
  const hash = hashOf(flags);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  const own = `${folder}/native`;
  rmSync(own, { recursive: true, force: true });
  copySources(own);
  const env = { ...process.env, CXXFLAGS: `${flags} -O1 -g -fno-omit-frame-pointer`, LDFLAGS: flags };
  const gyp = [require.resolve('node-gyp/bin/node-gyp.js'), 'rebuild', '--silent', '--jobs=2'];
  const { status } = spawnSync(process.execPath, gyp, { cwd: own, env, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) fail(1, 'the native module does not compile');
  writeFileSync(stamp, hash);
}

/** What the sanitizer wrote, of whatever process. */
function readReports(reports) {
  return readdirSync(reports).map((name) => readFileSync(`${reports}/${name}`, 'utf8'));
}

/** Runs vitest in the copy. The sanitizers' shadow memory has its fixed place, which random addresses of newer kernels may take. */
function runTests(folder, tests, env) {
  const vitest = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
  const command = ['-R', process.execPath, vitest, 'run', '--root', folder, ...tests];
  return spawnSync('setarch', command, { cwd: folder, env: { ...process.env, ...env }, stdio: 'inherit' }).status;
}

function main([kind, ...rest]) {
  const sanitizer = sanitizers[kind];
  if (sanitizer === undefined) fail(2, `usage: sanitize.js ${Object.keys(sanitizers).join('|')} [--quick] [-- ...]`);
  const own = rest.includes('--') ? rest.slice(rest.indexOf('--') + 1) : undefined;
  const library = libraryOf(sanitizer.library);
  const folder = `${root}.sanitize/${kind}`;
  prepare(folder, sanitizer.flags);
  const reports = `${folder}/reports`;
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports);
  const tests = own ?? [...excluded[kind].map((path) => `--exclude=${path}`), ...FULL];
  const status = runTests(folder, rest.includes('--quick') ? QUICK : tests, {
    ...sanitizer.options(reports),
    LD_PRELOAD: library,
  });
  const found = readReports(reports);
  for (const report of found) console.error(report);
  console.error(`${kind}: ${found.length} reports`);
  process.exit(status === 0 && found.length === 0 ? 0 : 1);
}

main(process.argv.slice(2));
