// What a callback throws is its own business: no other completion is lost for it.
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
writeFileSync(path, Buffer.alloc(1024 * 1024, 'x'));

const program = (handler: string) => `
  import { AioContext } from '${dist}index.js';
  ${handler}
  const context = new AioContext({ depth: 16 });
  const file = await context.open(${JSON.stringify(path)});
  const buffer = context.allocate(64 * 4096);
  let called = 0;
  process.on('exit', () => console.log(JSON.stringify({ called, inFlight: context.stats().inFlight })));
  for (let at = 0; at < 64; at++) {
    file.read(buffer.subarray(at * 4096, (at + 1) * 4096), 0, 4096, at * 4096, (error, bytes) => {
      if (error !== null || bytes !== 4096) throw error ?? new Error(bytes + ' bytes');
      called++;
      if (at % 4 === 1) throw new Error('on purpose');
    });
  }
`;

test('callbacks that throw lose no completion', async () => {
  const { stdout, code, stderr } = await runNode(
    program(
      "let thrown = 0; process.on('uncaughtException', (error) => { if (error.message === 'on purpose') thrown++; });",
    ),
  );
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ called: 64, inFlight: 0 });
});

test('what callbacks make of their asynchronous resource loses no completion either', async () => {
  const file = `
    import { executionAsyncResource } from 'node:async_hooks';
    import { AioContext } from '${dist}index.js';
    const context = new AioContext();
    const file = await context.open(${JSON.stringify(path)});
    let called = 0;
    process.on('exit', () => console.log(JSON.stringify({ called, inFlight: context.stats().inFlight })));
    for (let at = 0; at < 8; at++) {
      file.read(context.allocate(4096), 0, 4096, 0, () => {
        called++;
        executionAsyncResource().emitDestroy = () => { throw new Error('on purpose'); };
      });
    }
    await file.close();
    await context.close();
  `;
  const { stdout, code, stderr } = await runNode(file);
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ called: 8, inFlight: 0 });
});

test('an uncaught throw of a callback ends the program as any other does', async () => {
  const { code, signal, stderr } = await runNode(program(''));
  expect({ code, signal }).toEqual({ code: 1, signal: null });
  expect(stderr).toContain('Error: on purpose');
});
