// clang-format over every C and C++ file of the repository: rewrites them, or with --check fails where it would.
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.cc', '*.c', '*.h'], {
  cwd: root,
  encoding: 'utf8',
});
const mode = process.argv.includes('--check') ? ['--dry-run', '--Werror'] : ['-i'];
const { status } = spawnSync(`${root}node_modules/.bin/clang-format`, [...mode, ...files.split('\n').filter(Boolean)], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);
