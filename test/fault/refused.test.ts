// Where a security policy denies a call that a context needs later on: nothing waits for ever, and the error says which call it was.
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';
import { refusingLauncher, seccompSkip } from '../support/shim.ts';

const EPERM = 1;
const path = `${scratchFolder()}/file`;
writeFileSync(path, Buffer.alloc(8192));

/** What a program prints as JSON that may not use this call. */
async function printed(call: string, body: string, env: Record<string, string> = {}): Promise<unknown> {
  const child = await runNode(
    `import { AioContext } from '${dist}index.js';
     import { eventfd } from '${dist}raw/index.js';
     import { setTimeout } from 'node:timers/promises';
     const context = new AioContext();
     const describe = ({ code, syscall, message }) => ({ code, syscall, message });
     const endOf = (promise) => promise.then(() => 'ok', describe);
     ${body}`,
    { launcher: refusingLauncher(EPERM, call), env },
  );
  expect(child, child.stderr).toMatchObject({ code: 0, signal: null, timedOut: false });
  return JSON.parse(child.stdout);
}

test('without io_cancel a context closes all the same, whatever polls are in flight', async ({ skip }) => {
  const missing = seccompSkip();
  skip(missing !== false, String(missing));
  const result = await printed(
    'io_cancel',
    `const controller = new AbortController();
     const polls = [{}, { signal: controller.signal }].map((options) => endOf(context.poll(eventfd(0, 0), 1, options)));
     const file = await context.open('${path}', 'r', { direct: 'auto' });
     const buffer = context.allocate(4096);
     await file.read(buffer, 0, 4096, 0);
     controller.abort();
     await setTimeout(10);
     const { inFlight } = context.stats();
     const reading = endOf(file.read(buffer, 0, 4096, 4096));
     const closed = await Promise.race([context.close().then(() => true), setTimeout(5000, false)]);
     const codes = (await Promise.all(polls)).map(({ code }) => code);
     console.log(JSON.stringify({ closed, inFlight, left: context.stats().inFlight, codes, read: await reading }));
     process.exit();`,
  );
  const codes = ['ERR_AIO_CONTEXT_CLOSED', 'ABORT_ERR'];
  expect(result).toEqual({ closed: true, inFlight: 2, left: 0, codes, read: 'ok' });
});

test('where events must be had by io_getevents and it is denied, that is what the error says, and the context closes', async ({
  skip,
}) => {
  const missing = seccompSkip();
  skip(missing !== false, String(missing));
  const result = await printed(
    'io_getevents',
    `const file = await context.open('${path}', 'r', { direct: 'auto' });
     const read = () => endOf(file.read(context.allocate(4096), 0, 4096, 0));
     const results = await Promise.all([read(), read()]);
     results.push(await read());
     await context.close();
     console.log(JSON.stringify({ results, left: context.stats().inFlight }));`,
    { KAIO_REAP: 'io_getevents' },
  );
  const denied = {
    code: 'EPERM',
    syscall: 'io_getevents',
    message: expect.stringMatching(/io_getevents.*Allow io_getevents/),
  };
  expect(result).toEqual({ results: [denied, denied, denied], left: 0 });
});
