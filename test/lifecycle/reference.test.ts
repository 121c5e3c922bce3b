// ref and unref: whether a program waits for what it has asked for.
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';

/** A poll that nothing makes ready for a second. */
const waiting = `
  import { AioContext } from '${dist}index.js';
  import { eventfd } from '${dist}raw/index.js';
  const context = new AioContext({ depth: 4, memory: 65536 });
  const poll = () => context.poll(eventfd(0, 0), 1).then(() => console.log('ready'), () => console.log('rejected'));
  const submitted = () => new Promise((resolve) => setImmediate(resolve));
  process.on('exit', () => console.log('exit'));
`;

const clean = { code: 0, signal: null, timedOut: false, stderr: '' };

test('unref lets a program end that waits for a request, whenever it is called', async () => {
  expect(await runNode(`${waiting} context.unref(); poll(); await submitted();`)).toMatchObject({
    ...clean,
    stdout: 'exit\n',
  });
  expect(await runNode(`${waiting} poll(); await submitted(); context.unref();`)).toMatchObject({
    ...clean,
    stdout: 'exit\n',
  });
});

test('ref takes it back', async () => {
  const program = `${waiting}
    context.unref(); poll(); await submitted(); context.ref();
    setTimeout(() => context.close(), 50).unref();`;
  // The timer does not keep the program alive: only the request does.
  expect(await runNode(program)).toMatchObject({ ...clean, stdout: 'rejected\nexit\n' });
});

test('a read that will not wake the loop is settled, though ref came back after it was made', async () => {
  // Ten that complete in the submit: after those a completion does not signal.
  const program = `
    import { AioContext } from '${dist}index.js';
    const context = new AioContext({ depth: 128, memory: 1 << 20 });
    const buffer = context.allocate(4096);
    const cached = await context.open(new URL('${dist}index.js'), 'r', { direct: false });
    const disk = await context.open(process.execPath, 'r', { direct: 'auto' });
    for (let i = 0; i < 10; i++) await cached.read(buffer, 0, 64, 0);
    setTimeout(() => {
      context.unref();
      disk.read(buffer, 0, 4096, 4096 * 1000).then(() => { console.log('read'); return context.close(); });
      process.nextTick(() => process.nextTick(() => context.ref()));
    }, 10);`;
  // Something of Node's own wakes the loop too, if only after eight seconds.
  expect(await runNode(program, { timeLimitMs: 4000 })).toMatchObject({ ...clean, stdout: 'read\n' });
});
