// Contexts of kaio/raw that one thread made and another destroyed.
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';

test("a worker's end destroys no context that got the number of one that it had made", async () => {
  const making = `
    import { parentPort } from 'node:worker_threads';
    import { io_setup } from '${dist}raw/index.js';
    parentPort.on('message', () => parentPort.postMessage(io_setup(128)));`;
  const { stdout, stderr, code, signal } = await runNode(`
    import { once } from 'node:events';
    import { readFileSync } from 'node:fs';
    import { Worker } from 'node:worker_threads';
    import { AioContext } from '${dist}index.js';
    import { io_destroy } from '${dist}raw/index.js';
    const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(making)})));
    const isRing = (address) => readFileSync('/proc/self/maps', 'utf8').includes(address.toString(16) + '-');
    // The number of a context is the address of its ring: the kernel gives it to the next one of that size, if nothing else takes the gap.
    let context;
    for (let tries = 0; context === undefined && tries < 100; tries++) {
      worker.postMessage('make one');
      const [ctx] = await once(worker, 'message');
      io_destroy(ctx);
      context = new AioContext({ depth: 128, memory: 65536 });
      if (isRing(ctx)) break;
      await context.close();
      context = undefined;
    }
    if (context === undefined) console.log('never the same address');
    await worker.terminate();
    if (context !== undefined) {
      const file = await context.open('/proc/self/exe', 'r', { direct: false });
      console.log((await file.read(Buffer.alloc(4), 0, 4, 0)).buffer.toString('latin1', 1));
      await file.close();
    }`);
  expect(stderr).toBe('');
  expect({ stdout, code, signal }).toEqual({ stdout: 'ELF\n', code: 0, signal: null });
});
