import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dist, patience, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();

/** A worker that is terminated while its files are being closed, with libuv's threads busy. It prints what it has left open. */
const program = `
  import { pbkdf2 } from 'node:crypto';
  import { readdirSync } from 'node:fs';
  import { isMainThread, parentPort, Worker } from 'node:worker_threads';
  import { AioContext } from '${dist}index.js';

  async function once() {
    const worker = new Worker(new URL(import.meta.url));
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
    return readdirSync('/proc/self/fd').length;
  }

  async function work() {
    const context = new AioContext({ depth: 8, memory: 65536 });
    const files = await Promise.all(Array.from({ length: 3 }, () => context.open('${folder}/file', 'r')));
    for (let i = 0; i < 8; i++) pbkdf2('password', 'salt', ${100_000 / patience}, 32, 'sha1', () => {});
    for (const file of files) void file.close();
    setImmediate(() => parentPort.postMessage('closing'));
    setInterval(() => {}, 1000);
  }

  if (isMainThread) {
    // The first one makes what stays: threads, and descriptors of theirs.
    const before = await once();
    for (let i = 0; i < 2; i++) await once();
    console.log((await once()) - before);
  } else {
    await work();
  }
`;

test('a worker that is terminated while its files are being closed leaves no descriptor open', async () => {
  writeFileSync(`${folder}/file`, Buffer.alloc(4096));
  writeFileSync(`${folder}/program.mjs`, program);
  const { stdout, stderr } = await runNode(new URL(`file://${folder}/program.mjs`));
  expect(stderr).toBe('');
  expect(stdout).toBe('0\n');
});
