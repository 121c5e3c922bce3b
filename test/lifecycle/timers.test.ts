// Tests of users often put timers of their own in the place of Node.js's. What is read and written ends all the same, as with node:fs.
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;

const program = `
  import { AioContext } from '${dist}index.js';
  for (const name of ['queueMicrotask', 'setImmediate', 'setTimeout']) globalThis[name] = () => {};
  process.nextTick = () => {};
  const context = new AioContext();
  const file = await context.open(${JSON.stringify(path)}, 'w+');
  const buffers = Array.from({ length: 200 }, () => context.allocate(4096));
  const each = (name) => buffers.map((buffer, i) => file[name](buffer, 0, 4096, i * 4096));
  const written = await Promise.all(each('write'));
  for (let i = 0; i < 30; i++) await file.read(buffers[i], 0, 4096, i * 4096);
  const read = await Promise.all(each('read'));
  await file.close();
  await context.close();
  console.log(written.filter(({ bytesWritten }) => bytesWritten === 4096).length, read.filter(({ bytesRead }) => bytesRead === 4096).length);
`;

const streaming = `
  import { open } from '${dist}index.js';
  import { finished } from 'node:stream/promises';
  const file = await open(${JSON.stringify(path)}, 'w', { direct: 'auto' });
  // Those of node:stream itself need nextTick.
  for (const name of ['clearTimeout', 'setImmediate', 'setTimeout']) globalThis[name] = () => { throw new Error(name + ' is mocked'); };
  const out = file.createWriteStream();
  for (let i = 0; i < 50; i++) {
    out.write(Buffer.alloc(3000, i));
    await new Promise(process.nextTick);
  }
  out.end();
  await finished(out);
  console.log(out.bytesWritten);
`;

test('a stream is written where the timers are mocked', async () => {
  const { stdout, code, stderr } = await runNode(streaming);
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: '150000\n' });
});

test('requests end where the timers are mocked', async () => {
  const { stdout, code, stderr } = await runNode(program);
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: '200 200\n' });
});
