// At the limits of the process (setrlimit(2)) there are errors that name them, and nothing is left behind.
import { existsSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type ChildResult, dist, runNode } from '../support/child.ts';
import { hasCommand } from '../support/compile.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();
const MEBIBYTE = 1024 * 1024;
const missing = !existsSync('/proc/self') ? 'there is no /proc' : !hasCommand('prlimit') && 'prlimit is not installed';

/** What the program prints as JSON. Its limits are set once it has loaded everything, so that they hit kaio and not Node. */
async function printed(limit: string, body: string): Promise<unknown> {
  const child: ChildResult = await runNode(`
    import { execFileSync } from 'node:child_process';
    import fs from 'node:fs';
    import { AioContext } from '${dist}index.js';
    await new AioContext({ depth: 1, memory: 65536 }).close();
    const limit = (value) => execFileSync('prlimit', ['--pid', String(process.pid), value]);
    const mapped = () => fs.readFileSync('/proc/self/maps', 'utf8');
    const attempt = async (action) => { try { return await action() } catch (error) { return { ...error, message: error.message } } };
    const { VmSize } = Object.fromEntries(fs.readFileSync('/proc/self/status', 'utf8').split('\\n').map((line) => line.split(/:\\s+/)));
    limit(${limit});
    ${body}`);
  expect(child, child.stderr).toMatchObject({ code: 0, signal: null, timedOut: false });
  return JSON.parse(child.stdout);
}

test('a write over RLIMIT_FSIZE is short, and the next is EFBIG', async ({ skip }) => {
  skip(missing !== false, String(missing));
  const path = `${folder}/limited`;
  const results = await printed(
    `'--fsize=${MEBIBYTE / 2}'`,
    `const context = new AioContext();
     const file = await context.open('${path}', 'w+');
     const buffer = context.allocate(${MEBIBYTE});
     const write = (at) => attempt(() => file.write(buffer, 0, ${MEBIBYTE}, at).then(({ bytesWritten }) => bytesWritten));
     console.log(JSON.stringify([await write(0), await write(${MEBIBYTE})]));`,
  );
  expect(results).toEqual([MEBIBYTE / 2, expect.objectContaining({ code: 'EFBIG', syscall: 'write', path })]);
  expect(statSync(path).size).toBe(MEBIBYTE / 2);
});

test('without address space the error says what a context needs, and that "ulimit -v" is in the way', async ({
  skip,
}) => {
  skip(missing !== false, String(missing));
  // Some 10 GiB for each of the two memories of a context: there is room for neither, for one, and for both of one context. Where V8 has
  // no guard pages they take what they were made for, and some contexts have room; what is left then is enough for V8's own heap.
  for (const gibibytes of [2, 15, 25]) {
    const failure = await printed(
      `'--as=' + (parseInt(VmSize) * 1024 + ${gibibytes} * 2 ** 30)`,
      `const kept = [];
       const failure = await attempt(() => { for (;;) kept.push(new AioContext({ memory: ${1400 * MEBIBYTE} })); });
       console.log(JSON.stringify(failure));`,
    );
    expect(failure, `${gibibytes} GiB`).toMatchObject({
      code: 'ERR_AIO_NO_MEMORY',
      message: expect.stringContaining('ulimit -v'),
    });
  }
});

test('without a descriptor left there is EMFILE, and no context stays behind', async ({ skip }) => {
  skip(missing !== false, String(missing));
  const result = await printed(
    // The lowest number that is free, and two more.
    `'--nofile=' + (fs.openSync('/dev/null') + 3)`,
    `const kept = [];
     const failure = await attempt(() => { for (let made = 0; made < 64; made++) kept.push(new AioContext({ memory: 65536 })); });
     await Promise.all(kept.map((context) => context.close()));
     const left = mapped().match(/\\/\\[aio\\]/g)?.length ?? 0;
     console.log(JSON.stringify({ failure, left }));`,
  );
  expect(result).toMatchObject({ failure: { code: 'EMFILE', syscall: 'eventfd' }, left: 0 });
});

test('without a thread left every request that needs one says EAGAIN, and the others go on', async ({ skip }) => {
  skip(missing !== false, String(missing));
  const path = `${folder}/threadless`;
  const results = await printed(
    // Those of Node are made by its first call.
    `(await fs.promises.stat('/'), '--nproc=1:1')`,
    `const context = new AioContext();
     const file = await context.open('${path}', 'w+', { direct: 'auto', submit: 'offload' });
     const buffer = context.allocate(4096);
     // Root may have as many as it likes.
     if (process.getuid() === 0) process.setuid(65534);
     const codes = Array.from({ length: 40 }, (_, i) => file.write(buffer, 0, 4096, i * 4096).then(() => '', ({ code }) => code));
     await file.datasync();
     console.log(JSON.stringify(await Promise.all(codes)));
     await file.close();
     await context.close();`,
  );
  expect(results).toEqual(new Array(40).fill('EAGAIN'));
  expect(statSync(path).size).toBe(0);
});
