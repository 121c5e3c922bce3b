// Where the kernel gives no context: the error says what was asked for, why not, and what to do.
import { describe, expect, test } from 'vitest';
import { dist, runNode, straceLauncher, straceSkip } from '../support/child.ts';
import { aioMaxNr } from '../support/proc.ts';
import { refusingLauncher, seccompSkip, shimSkip, withFaults } from '../support/shim.ts';

const [EPERM, EAGAIN, ENOMEM, ENOSPC, ENOSYS] = [1, 11, 12, 28, 38];

interface Answer {
  thrown: Failure | null;
  rejected: Failure | null;
  support: { supported: true } | { supported: false; reason: string; message: string };
}

interface Failure {
  code: string;
  errno?: number;
  syscall?: string;
  message: string;
}

/** What a context of its own, the default context and support() have to say. */
const program = `
  import { AioContext, open, support } from '${dist}index.js';
  const describe = (error) => ({ ...error, message: error.message });
  let thrown = null;
  try { new AioContext({ depth: 1000 }); } catch (error) { thrown = describe(error); }
  const rejected = await open('/etc/passwd', 'r', { direct: 'auto' }).then(() => null, describe);
  console.log(JSON.stringify({ thrown, rejected, support: support() }));
`;

async function answer(options: Parameters<typeof runNode>[1]): Promise<Answer> {
  const child = await runNode(program, options);
  expect(child, child.stderr).toMatchObject({ code: 0, signal: null, timedOut: false });
  return JSON.parse(child.stdout) as Answer;
}

describe('io_setup fails', () => {
  test('with EAGAIN: the message has the limit, its use and the command that raises it', async ({ skip }) => {
    const reason = shimSkip();
    skip(reason !== false, String(reason));
    const { thrown, rejected } = await answer({ env: withFaults({ setupErrno: EAGAIN }) });
    for (const failure of [thrown, rejected]) {
      expect(failure).toMatchObject({ code: 'EAGAIN', errno: -EAGAIN, syscall: 'io_setup' });
      expect(failure?.message).toMatch(/fs\.aio-nr\D+\d+/);
      expect(failure?.message).toContain('fs.aio-max-nr');
      expect(failure?.message).toContain(String(aioMaxNr()));
      const raised = Number(/sysctl -w fs\.aio-max-nr=(\d+)/.exec(failure?.message ?? '')?.[1]);
      expect(raised).toBeGreaterThan(aioMaxNr());
    }
    expect(thrown?.message).toContain('1000');
  });

  test('with EAGAIN of the kernel itself, once the quota is used up', async ({ skip }) => {
    const reason = straceSkip();
    skip(reason !== false, String(reason));
    const launcher = straceLauncher('/dev/null', '-e', 'trace=io_setup', '-e', 'inject=io_setup:error=EAGAIN:when=1');
    const { thrown, rejected } = await answer({ launcher });
    // Only the first call failed: the next context is made as if nothing had been.
    expect(thrown).toMatchObject({ code: 'EAGAIN', syscall: 'io_setup' });
    expect(rejected).toBeNull();
  });

  test.for([
    { name: 'EPERM', errno: EPERM, reason: 'denied' },
    { name: 'ENOSYS', errno: ENOSYS, reason: 'kernel' },
  ])('with $name: there is no support, and the message says why', async ({ name, errno, reason }, { skip }) => {
    const missing = seccompSkip();
    skip(missing !== false, String(missing));
    const { thrown, rejected, support } = await answer({ launcher: refusingLauncher(errno, 'io_setup') });
    for (const failure of [thrown, rejected]) {
      expect(failure?.message).toMatch(/io_setup/);
      expect([name, 'ERR_AIO_UNSUPPORTED']).toContain(failure?.code);
      // A bare "EPERM: operation not permitted, io_setup" leaves a user alone.
      expect(failure?.message.length).toBeGreaterThan(60);
    }
    expect(support).toMatchObject({ supported: false, reason });
  });

  test('with ENOMEM: it is a system error', async ({ skip }) => {
    const reason = shimSkip();
    skip(reason !== false, String(reason));
    const { thrown } = await answer({ env: withFaults({ setupErrno: ENOMEM }) });
    expect(thrown).toMatchObject({ code: 'ENOMEM', errno: -ENOMEM, syscall: 'io_setup' });
  });

  test('or its eventfd cannot be watched: the message has the limit', async ({ skip }) => {
    const reason = shimSkip();
    skip(reason !== false, String(reason));
    const { thrown } = await answer({ env: withFaults({ watchErrno: ENOSPC }) });
    expect(thrown).toMatchObject({ code: 'ENOSPC', errno: -ENOSPC, syscall: 'epoll_ctl' });
    expect(thrown?.message).toContain('fs.epoll.max_user_watches');
  });

  test('not where only io_uring is denied', async ({ skip }) => {
    const reason = seccompSkip();
    skip(reason !== false, String(reason));
    const launcher = refusingLauncher(EPERM, 'io_uring_setup', 'io_uring_enter', 'io_uring_register');
    expect(await answer({ launcher })).toEqual({ thrown: null, rejected: null, support: { supported: true } });
  });
});

test('without WebAssembly there is no support, and the message says what takes it away', async () => {
  const { thrown, rejected, support } = await answer({ execArgv: ['--jitless'] });
  for (const failure of [thrown, rejected]) {
    expect(failure).toMatchObject({
      code: 'ERR_AIO_UNSUPPORTED',
      message: expect.stringMatching(/WebAssembly.*--jitless/),
    });
  }
  expect(support).toEqual({ supported: false, reason: 'webassembly', message: thrown?.message });
});
