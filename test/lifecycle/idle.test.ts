// A program lives as long as it has something to wait for, and no longer.
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
writeFileSync(path, Buffer.alloc(1024 * 1024, 'x'));

function run(body: string) {
  return runNode(`import { AioContext, open } from '${dist}index.js';
    const path = ${JSON.stringify(path)};
    ${body}`);
}

const clean = { code: 0, signal: null, timedOut: false, stderr: '' };

test('a program that leaves files and contexts open ends by itself', async () => {
  const result = await run(`
    const context = new AioContext();
    const files = [await open(path), await context.open(path)];
    for (const file of files) await file.read(Buffer.alloc(4096), 0, 4096, 0);
    globalThis.kept = [context, files];
  `);
  expect(result).toMatchObject(clean);
});

test('a program waits for what it has requested', async () => {
  const result = await run(`
    const context = new AioContext({ depth: 2 });
    const file = await context.open(path);
    const buffer = context.allocate(1024 * 1024);
    for (let at = 0; at < 16; at++) {
      file.read(buffer.subarray(at * 65536, (at + 1) * 65536), 0, 65536, at * 65536).then(() => process.stdout.write('.'));
    }
  `);
  expect(result).toMatchObject({ ...clean, stdout: '.'.repeat(16) });
});

test('a program does not wait for what it asks of an unref-ed context', async () => {
  const result = await run(`
    const context = new AioContext().unref();
    const file = await context.open(path);
    file.read(context.allocate(1024 * 1024), 0, 1024 * 1024, 0).then(() => console.log('read'));
    process.on('exit', () => console.log('exit'));
  `);
  expect(result).toMatchObject({ ...clean, stdout: 'exit\n' });
});

test('a closed context lets its program end, and its worker as well', async () => {
  const result = await run(`
    const { Worker } = await import('node:worker_threads');
    const context = new AioContext();
    await context.close();
    const source = "import { AioContext } from '${dist}index.js'; await new AioContext().close();";
    const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(source)));
    worker.on('exit', (code) => console.log('worker', code));
  `);
  expect(result).toMatchObject({ ...clean, stdout: 'worker 0\n' });
});
