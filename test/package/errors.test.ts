// docs/errors.md names every error, and every error it names is one that can be had.
import {
  closeSync,
  constants as fsConstants,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AioContext, type AioFile, type CopyOptions, copyFile } from '../../src/index.ts';
import { IOCB_CMD_POLL, IOCB_CMD_PREAD } from '../../src/layout/constants.ts';
import { encodeIocb } from '../../src/layout/index.ts';
import { Arena, eventfd, io_cancel, io_destroy, io_setup, io_submit } from '../../src/raw/index.ts';
import { dist, runNode } from '../support/child.ts';
import { fakeEngine, fakeTarget, turn } from '../support/fake-kernel.ts';
import { asNobody } from '../support/nobody.ts';
import { scratchFolder } from '../support/scratch.ts';
import { root } from './installed.ts';

const folder = scratchFolder();
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8');

let context: AioContext;
let file: AioFile;
let readOnly: AioFile;

beforeAll(async () => {
  writeFileSync(`${folder}/file`, Buffer.alloc(65536, 'x'));
  context = new AioContext({ depth: 8, memory: 1 << 20 });
  file = await context.open(`${folder}/file`, 'r+');
  readOnly = await context.open(`${folder}/file`, 'r', { direct: false });
});
afterAll(() => context.close());

/** The codes in the first column of a section's tables. */
function codesOf(heading: string): string[] {
  const section = page.split(/^(?=##)/m).find((text) => text.startsWith(`${heading}\n`));
  expect(section, heading).toBeDefined();
  return [...section!.matchAll(/^\| `(\w+)` +\|/gm)].map(([, code]) => code!);
}

async function opened<T>(path: string, flags: string, use: (file: AioFile) => Promise<T>): Promise<T> {
  await using other = await context.open(path, flags, { direct: 'auto' });
  return await use(other);
}

/** On a file system that is memory. */
async function inMemory<T>(use: (file: AioFile) => Promise<T>): Promise<T> {
  const path = `/dev/shm/kaio-errors-${process.pid}`;
  try {
    return await opened(path, 'w+', use);
  } finally {
    rmSync(path);
  }
}

async function inTheDark(): Promise<void> {
  const program = `
    Object.defineProperty(process, 'platform', { value: 'plan9' });
    const { AioContext } = await import('${dist}index.js');
    try { new AioContext() } catch (error) { console.log(JSON.stringify({ ...error, message: error.message })) }`;
  const { stdout, stderr } = await runNode(program);
  const { message, ...rest } = JSON.parse(stdout || stderr) as { message: string };
  throw Object.assign(new Error(message), rest);
}

async function corrupted(): Promise<void> {
  const { engine, kernel } = fakeEngine();
  const view = engine.pool.allocate(512);
  const done = engine.transfer(
    IOCB_CMD_PREAD,
    fakeTarget(),
    view,
    0,
    512,
    0,
    undefined,
    (bytes) => bytes,
    view,
    undefined,
  );
  await turn();
  kernel.post(12345n, 0n, 512);
  await done;
}

/** Copies a file of 64 KiB onto one that is there. */
async function copied(name: string, options: CopyOptions): Promise<void> {
  writeFileSync(`${folder}/${name}`, Buffer.alloc(65536, 'x'));
  writeFileSync(`${folder}/copy`, '');
  await copyFile(`${folder}/${name}`, `${folder}/copy`, { context, ...options });
}

/** What produces an error of kaio's or Node's, by its code. */
const ours: Record<string, () => unknown> = {
  ERR_AIO_UNSUPPORTED: inTheDark,
  ERR_AIO_CONTEXT_CLOSED: async () => {
    const closed = new AioContext({ depth: 1, memory: 65536 });
    await closed.close();
    await closed.open(`${folder}/file`);
  },
  ERR_AIO_NO_MEMORY: () => context.allocate(1 << 20),
  ERR_AIO_MISALIGNED: () =>
    opened(`${folder}/once`, 'w+', async (once) => {
      await once.chmod(0o400);
      await asNobody(() => once.write('x', 1));
    }),
  ERR_AIO_DIRECT_UNSUPPORTED: () => context.open('/proc/version'),
  ERR_AIO_BUFFER_DISPOSED: () => {
    const buffer = context.allocate(4096);
    buffer[Symbol.dispose]();
    return file.read(buffer, 0, 4096, 0);
  },
  ERR_AIO_BUFFER_BUSY: () => {
    const buffer = context.allocate(4096);
    return Promise.all([file.read(buffer, 0, 4096, 0), file.read(buffer, 0, 4096, 4096)]);
  },
  ERR_AIO_WOULD_BLOCK: () => opened('/dev/ptmx', 'r+', (terminal) => terminal.read(Buffer.alloc(1), 0, 1, null)),
  ERR_AIO_CORRUPTED: corrupted,
  ERR_AIO_COPY_DIFFERS: () =>
    copied('shrinking', { verify: true, onProgress: () => truncateSync(`${folder}/shrinking`, 0) }),
  ERR_INVALID_ARG_TYPE: () => file.read('no memory' as unknown as Buffer),
  ERR_INVALID_ARG_VALUE: () => file.read(new Uint8Array(new SharedArrayBuffer(512)), 0, 512, 0),
  ERR_OUT_OF_RANGE: () => file.read(Buffer.alloc(512), 0, 513, 0),
  ERR_INVALID_STATE: async () => {
    const closed = await context.open(`${folder}/file`);
    await closed.close();
    closed.readableWebStream();
  },
  ERR_FS_FILE_TOO_LARGE: () =>
    opened(`${folder}/large`, 'w+', async (large) => {
      await large.truncate(2 ** 31);
      await large.readFile();
    }),
  ABORT_ERR: () => file.read(Buffer.alloc(512), { position: 0, signal: AbortSignal.abort() }),
  EBADF: async () => {
    const closed = await context.open(`${folder}/file`);
    await closed.close();
    expect(closed.fd).toBe(-1);
    await closed.read(Buffer.alloc(512), 0, 512, 0);
  },
};

/** Memory for one iocb, and its address in an array for io_submit. */
function iocb(fields: Parameters<typeof encodeIocb>[0]): { at: bigint; array: bigint } {
  const arena = new Arena(65536);
  const memory = arena.allocate(4096);
  const at = arena.addressOf(memory);
  memory.set(encodeIocb(fields));
  new BigUint64Array(memory.buffer, memory.byteOffset + 64, 1)[0] = at;
  return { at, array: at + 64n };
}

/** Runs something with a context for one request and a poll that waits for ever. */
function withPoll(use: (ctx: bigint, poll: { at: bigint; array: bigint }) => void): void {
  const ctx = io_setup(1);
  const silent = eventfd(0, 0);
  try {
    use(ctx, iocb({ aio_lio_opcode: IOCB_CMD_POLL, aio_buf: 1n, aio_fildes: silent }));
  } finally {
    io_destroy(ctx);
    closeSync(silent);
  }
}

/** What produces an error of the kernel, or which test or manual page has it where that takes a machine of its own. */
const theirs: Record<string, Record<string, (() => unknown) | string>> = {
  'new AioContext': {
    EAGAIN: 'test/fault/setup.test.ts',
    ENOSYS: 'test/fault/setup.test.ts',
    EPERM: 'test/fault/setup.test.ts',
    ENOMEM: 'test/fault/setup.test.ts',
    EMFILE: 'test/fault/limits.test.ts',
  },
  'open, attach': {
    ENOENT: () => context.open(`${folder}/missing`),
    EBADF: () => context.attach(1 << 20),
  },
  'read, write, readv, writev': {
    EAGAIN: () => opened(`${folder}/growing`, 'w', (growing) => growing.write(zeros(), { position: 1 << 20, nowait })),
    ENOTSUP: () => inMemory((file) => file.write(zeros(), { position: 0, nowait })),
    EBADF: () => readOnly.write(zeros(), 0, 4096, 0),
    EISDIR: () => opened(folder, 'r', (directory) => directory.read(zeros(), 0, 4096, 0)),
    EINVAL: () => opened('/proc/self/maps', 'r', (maps) => maps.read(zeros(), 0, 4096, 0)),
    EFBIG: () => file.write(zeros(), 0, 4096, 2 ** 53 - 8192),
    ENOSPC: 'test/fault/files.test.ts',
    EDQUOT: 'write(2)',
    EIO: 'test/fault/files.test.ts',
    EFAULT: () => {
      const memory = new Uint8Array(4096);
      const read = readOnly.read(memory, 0, 4096, 0);
      structuredClone(memory.buffer, { transfer: [memory.buffer] });
      return read;
    },
  },
  'sync, datasync': {
    EIO: 'test/fault/files.test.ts',
    EINVAL: () => opened('/dev/null', 'r+', (nothing) => nothing.sync()),
  },
  preallocate: {
    // A tmpfs sees at once that there is not so much; a disk is filled up before it fails, to the harm of everybody on it.
    ENOSPC: () => inMemory((small) => small.preallocate(0, 2 ** 43)),
    EFBIG: () => file.preallocate(0, 2 ** 52),
    EINVAL: () => file.preallocate(0, 0),
    EBADF: () => readOnly.preallocate(0, 4096),
    ENODEV: () => opened('/dev/null', 'r+', (nothing) => nothing.preallocate(0, 4096)),
    ENOTSUP: 'fallocate(2)',
  },
  copyFile: {
    ENOENT: () => copyFile(`${folder}/missing`, `${folder}/copy`, { context }),
    EEXIST: () => copied('twice', { mode: fsConstants.COPYFILE_EXCL }),
    EISDIR: () => copyFile(folder, `${folder}/copy`, { context }),
    ENOSPC: 'test/unit/copyfile.test.ts',
    ENOTSUP: 'test/unit/copyfile.test.ts',
  },
  poll: {
    EBADF: () => context.poll(1 << 20, 1),
    EINVAL: () => opened('/dev/ptmx', 'r+', (terminal) => context.poll(terminal.fd, 1)),
  },
  'kaio/raw': {
    EAGAIN: () =>
      withPoll((ctx, { array }) => {
        for (;;) io_submit(ctx, 1, array);
      }),
    EINPROGRESS: () =>
      withPoll((ctx, { at, array }) => {
        io_submit(ctx, 1, array);
        io_cancel(ctx, at, at + 128n);
      }),
    EINVAL: () => withPoll((ctx, { at }) => io_cancel(ctx, at, at + 128n)),
  },
};

const nowait = true;
const zeros = (): Buffer => context.allocate(4096);

describe("the codes that are not the kernel's", () => {
  const own = codesOf("## kaio's own codes");

  test('are all on the page that are in the sources, and no others', () => {
    const source = readFileSync(join(root, 'src/errors.ts'), 'utf8');
    const declared = [...source.matchAll(/^ {2}\| '(ERR_AIO_\w+)'/gm)].map(([, code]) => code!);
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    );
    const sources = files.map((name) => readFileSync(join(root, 'src', name), 'utf8')).join('\n');
    const thrown = [...sources.matchAll(/aioError\(\s*'(ERR_AIO_\w+)'/g)].map(([, code]) => code!);
    expect([...own].sort()).toEqual([...new Set(thrown)].sort());
    expect([...declared].sort()).toEqual([...own].sort());
  });

  test.each([...own, ...codesOf("## Node's codes")])('%s can be had', async (code) => {
    await expect(async () => await ours[code]!()).rejects.toMatchObject({ code });
  });
});

describe.each(Object.entries(theirs))('what the kernel answers to %s', (operation, known) => {
  const codes = codesOf(`### ${operation}`);

  test('is all here', () => expect(Object.keys(known).sort()).toEqual([...codes].sort()));

  test.each(codes)('%s can be had', async (code) => {
    const how = known[code]!;
    if (typeof how === 'function') {
      const named = constants.errno[(code === 'ENOTSUP' ? 'EOPNOTSUPP' : code) as keyof typeof constants.errno];
      await expect(async () => await how()).rejects.toMatchObject({ code, errno: -named, syscall: expect.any(String) });
    } else if (how.startsWith('test/')) {
      expect(readFileSync(join(root, how), 'utf8')).toContain(code);
    }
  });
});
