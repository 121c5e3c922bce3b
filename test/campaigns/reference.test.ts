import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { root, run } from '../package/installed.ts';

const reference = join(root, 'docs/api/reference');
let status: number | null;
let said: string;

beforeAll(() => {
  const { status: code, stdout, stderr } = run('npm', ['run', 'docs:api']);
  status = code;
  said = stripVTControlCharacters(stdout + stderr);
});

test('everything that is exported has a doc comment, and every type of a signature and every link leads somewhere', () => {
  expect(said.split('\n').filter((line) => /^\[(warning|error)\]/.test(line))).toEqual([]);
  expect(status).toBe(0);
});

test.each([
  ['kaio.md', ['AioContext', 'AioFile', 'open', 'support']],
  ['kaio/raw.md', ['io_submit', 'Arena']],
  ['kaio/layout.md', ['layoutOf', 'encodeIocb', 'IOCB_CMD_PREAD']],
])('the reference in %s names what its import has', (name, exports) => {
  const headings = readFileSync(join(reference, name), 'utf8').match(/^### .*$/gm);
  expect(headings?.map((line) => line.replace(/^### |\\|\(\)$/g, ''))).toEqual(expect.arrayContaining(exports));
  expect(existsSync(join(reference, 'README.md'))).toBe(true);
});
