// Valgrind knows which memory io_submit and io_getevents are given, and what was freed. It is slow, so it sees small programs only.
import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { type ChildResult, dist, runNode } from '../support/child.ts';
import { hasCommand } from '../support/compile.ts';
import { scratchFolder } from '../support/scratch.ts';

/** Valgrind's own exit code where it found something. */
const FOUND = 9;
const LIMIT_MS = 300_000;

const folder = scratchFolder();
const missing = hasCommand('valgrind') ? false : 'valgrind is not installed';

beforeAll(() => writeFileSync(`${folder}/file`, Buffer.alloc(65536, 1)));

const opened = `
  import { AioContext } from '${dist}index.js';
  import { addressOf, io_destroy, io_setup, io_submit } from '${dist}raw/index.js';
  const context = new AioContext({ depth: 4, memory: 262144 });
  const file = await context.open('${folder}/file', 'r+');
  const buffer = context.allocate(4096);
  const read = () => file.read(buffer, 0, 4096, 0);
`;

interface Program {
  name: string;
  body: string;
  code?: number;
}

const programs: readonly Program[] = [
  { name: 'does nothing', body: '' },
  { name: 'reads once', body: 'await read();' },
  { name: 'reads once and closes everything', body: 'await read(); await file.close(); await context.close();' },
  { name: 'exits with a read in flight', body: 'read(); setImmediate(() => process.exit(7));', code: 7 },
  {
    name: 'writes from a foreign buffer, off-thread',
    body: `
      const other = await context.open('${folder}/file', 'r+', { submit: 'offload' });
      await other.write(Buffer.alloc(4096), 0, 4096, 0);
      await context.close();`,
  },
];

/** What becomes of a program under valgrind, and what valgrind says of it. */
async function check(body: string): Promise<ChildResult & { log: string }> {
  const log = `${folder}/log`;
  // V8 writes machine code and runs it: only what comes from a file can be taken to stay as it is.
  const launcher = ['valgrind', '-q', '--smc-check=all-non-file', `--error-exitcode=${FOUND}`, `--log-file=${log}`];
  const result = await runNode(opened + body, { launcher, timeLimitMs: LIMIT_MS });
  return { ...result, log: readFileSync(log, 'utf8') };
}

test.for(programs)(
  'valgrind says nothing of a program that $name',
  { timeout: LIMIT_MS },
  async ({ body, code = 0 }, { skip }) => {
    skip(missing !== false, String(missing));
    expect(await check(body)).toMatchObject({ code, signal: null, stderr: '', log: '' });
  },
);

test('valgrind sees that io_submit is given more than there is', { timeout: LIMIT_MS }, async ({ skip }) => {
  skip(missing !== false, String(missing));
  // Half an iocb, in memory of malloc.
  const { code, log } = await check(`
    const half = new Uint32Array(8);
    const raw = io_setup(4);
    const pointers = BigUint64Array.of(addressOf(half));
    try {
      io_submit(raw, 1, addressOf(pointers));
    } catch {}
    io_destroy(raw);
  `);
  expect(log).toContain('io_submit');
  expect(code).toBe(FOUND);
});
