import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();

test('the memory of a closed context is given back, also after the last answer that the thread got', async () => {
  const program = `
    import { setTimeout as sleep } from 'node:timers/promises';
    import { AioContext } from '${dist}index.js';
    async function use() {
      const context = new AioContext({ depth: 8, memory: 1024 * 1024 });
      const file = await context.open('${folder}/file', 'w+');
      const buffer = context.allocate(4096);
      await file.write(buffer, 0, 4096, 0);
      await file.readv([buffer], 0);
      buffer[Symbol.dispose]();
      await context.close();
      return new WeakRef(buffer.buffer);
    }
    const memories = [await use(), await use()];
    for (let tries = 0; tries < 100 && memories.some((memory) => memory.deref() !== undefined); tries++) {
      await sleep(10);
      gc();
    }
    console.log(memories.map((memory) => memory.deref() === undefined));
  `;
  const { stdout, stderr } = await runNode(program, { execArgv: ['--expose-gc'] });
  expect(stderr).toBe('');
  expect(stdout).toBe('[ true, true ]\n');
});
