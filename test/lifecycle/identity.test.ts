// A process that gives its privileges up after it has used kaio: libc asks every thread to take part, kaio's among them.
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';

test('a process can change its user while threads of a context wait for work', async () => {
  const program = `
    const { AioContext } = await import('${dist}index.js');
    const context = new AioContext({ memory: 65536 });
    const file = await context.open('${scratchFolder()}/file', 'w', { direct: false, submit: 'offload' });
    await file.write('by a thread', 0);
    process.seteuid(process.geteuid());
    process.setegid(process.getegid());
    await file.write('and again', 0);
    console.log(context.stats().jobs);
    await context.close();`;
  const { stdout, stderr, timedOut } = await runNode(program);
  expect({ stdout, stderr, timedOut }).toEqual({ stdout: '2\n', stderr: '', timedOut: false });
});
