// The mistakes that everybody makes in the first hour: each is refused in words that say what to do instead.
import { writeFileSync } from 'node:fs';
import { AioContext, open } from 'kaio';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { directSkip } from '../support/direct.ts';
import { scratchFolder } from '../support/scratch.ts';
import { mustRun } from './installed.ts';

const folder = scratchFolder();
const context = new AioContext({ depth: 8, memory: 1 << 20 });
const BLOCK = 4096;
const buffer = () => context.allocate(BLOCK);

beforeAll(() => {
  writeFileSync(`${folder}/file`, Buffer.alloc(4 * BLOCK, 'x'));
  mustRun('mkfifo', [`${folder}/pipe`]);
});
afterAll(() => context.close());

const opened = (flags: string, name = 'file', direct: boolean | 'auto' = 'auto') =>
  context.open(`${folder}/${name}`, flags, { direct });

const mistakes: { mistake: string; code: string; remedy: string; make: () => Promise<unknown> }[] = [
  {
    mistake: 'a buffer used twice at once',
    code: 'ERR_AIO_BUFFER_BUSY',
    remedy: 'allocate a buffer for each request in flight',
    make: async () => {
      await using file = await opened('r');
      const shared = buffer();
      await Promise.all([0, 1].map((block) => file.read(shared, 0, BLOCK, block * BLOCK)));
    },
  },
  {
    mistake: 'a disposed buffer',
    code: 'ERR_AIO_BUFFER_DISPOSED',
    remedy: 'Dispose a buffer only after its last request was made',
    make: async () => {
      await using file = await opened('r');
      const disposed = buffer();
      disposed[Symbol.dispose]();
      await file.read(disposed, 0, BLOCK, 0);
    },
  },
  {
    mistake: 'buffers that are never disposed',
    code: 'ERR_AIO_NO_MEMORY',
    remedy: 'Dispose buffers that are done (buffer[Symbol.dispose]())',
    make: async () => {
      await using own = new AioContext({ depth: 1, memory: 1 << 16 });
      for (;;) own.allocate(BLOCK);
    },
  },
  {
    mistake: 'a file that is closed',
    code: 'EBADF',
    remedy: 'make the request before close(), or open the file again',
    make: async () => {
      const file = await opened('r');
      await file.close();
      await file.read(buffer(), 0, BLOCK, 0);
    },
  },
  {
    mistake: 'a context that is closed',
    code: 'ERR_AIO_CONTEXT_CLOSED',
    remedy: 'Use it before close(), or make a new one',
    make: async () => {
      const closed = new AioContext({ depth: 1, memory: 1 << 16 });
      await closed.close();
      closed.allocate(BLOCK);
    },
  },
  {
    mistake: 'no such folder',
    code: 'ENOENT',
    remedy: "Make its folder first: fs.mkdir('",
    make: () => opened('w+', 'no/such/folder/file'),
  },
  {
    mistake: 'a write to what is open for reading',
    code: 'EBADF',
    remedy: "open it with 'r+' or 'w+'",
    make: async () => {
      await using file = await opened('r');
      await file.write(buffer(), 0, BLOCK, 0);
    },
  },
  {
    mistake: 'a read of what is open for writing',
    code: 'EBADF',
    remedy: "open it with 'r', 'r+' or 'w+'",
    make: async () => {
      await using file = await opened('w', 'written');
      await file.read(buffer(), 0, BLOCK, 0);
    },
  },
  {
    mistake: 'a directory',
    code: 'EISDIR',
    remedy: 'fs.readdir reads it',
    make: async () => {
      await using directory = await opened('r', '.');
      await directory.read(buffer(), 0, BLOCK, 0);
    },
  },
  {
    mistake: 'a file system without direct I/O',
    code: 'ERR_AIO_DIRECT_UNSUPPORTED',
    remedy: "Open with { direct: 'auto' }",
    make: () => open('/proc/cpuinfo'),
  },
  {
    mistake: 'a pipe, opened as a file',
    code: 'ERR_AIO_DIRECT_UNSUPPORTED',
    remedy: 'It is a pipe, a socket or a device: open with { direct: false }',
    make: () => opened('r+', 'pipe', true),
  },
  {
    mistake: 'a pipe, read as a file',
    code: 'ERR_AIO_WOULD_BLOCK',
    remedy: 'Open it with O_NONBLOCK and wait with context.poll()',
    make: async () => {
      await using pipe = await opened('r+', 'pipe');
      await pipe.read(buffer(), 0, BLOCK, null);
    },
  },
];

test.each(mistakes)('$mistake is refused with what to do', async ({ code, remedy, make }) => {
  await expect(make()).rejects.toMatchObject({ code, message: expect.stringContaining(remedy) });
});

test('a forgotten close is done late, with a warning that names the line', async () => {
  const program = `
    const { open } = await import('${dist}index.js');
    await (await open('${folder}/file', 'r', { direct: 'auto' })).read();
    gc();
    await new Promise((resolve) => setTimeout(resolve, 50));`;
  const { stderr, code } = await runNode(program, { execArgv: ['--expose-gc'] });
  expect(code).toBe(0);
  expect(stderr).toMatch(
    /KAIO_DROPPED.*was dropped without close\(\).*Call close\(\), or declare it with "await using"/,
  );
});

test('a forgotten await does not lose a write, nor does a forgotten close behind it', async ({ skip }) => {
  const reason = directSkip();
  if (reason) skip(reason);
  const program = `
    const { AioContext } = await import('${dist}index.js');
    const context = new AioContext();
    const file = await context.open('${folder}/unawaited', 'w+');
    file.write(context.allocate(4096).fill('y'), 0, 4096, 0);
    console.log('end');`;
  expect(await runNode(program)).toMatchObject({ code: 0, stdout: 'end\n', stderr: '' });
  expect(mustRun('head', ['-c', '3', `${folder}/unawaited`])).toBe('yyy');
});
