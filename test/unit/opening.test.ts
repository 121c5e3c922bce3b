// How files are opened: flags, modes, paths, direct I/O or not, and what is left where it fails.
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  promises as fs,
  lchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { AioContext, open } from '../../src/index.ts';
import { eventfd } from '../../src/raw/index.ts';
import { directSkip } from '../support/direct.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { mount, mountSkip, temporaryFolder } from '../support/mounts.ts';
import { asNobody } from '../support/nobody.ts';
import { outcomeOf } from '../support/outcome.ts';
import { openDescriptors } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';
import { undoing } from '../support/undo.ts';

const folder = scratchFolder();
const context = new AioContext({ memory: 65536 });
afterAll(() => context.close());

let names = 0;
const newPath = (): string => `${folder}/${names++}`;

/** What a way of opening does to a file that is there and to one that is not, and what can be done with it then. */
async function effectOf(
  openIt: (path: string) => Promise<{ read: unknown; close(): Promise<void> }>,
  present: boolean,
): Promise<unknown> {
  const path = newPath();
  if (present) writeFileSync(path, 'before');
  const file = (await openIt(path).catch((error: { code: string }) => error.code)) as fs.FileHandle | string;
  if (typeof file === 'string') return { error: file, exists: existsSync(path) };
  const read = await outcomeOf(async () => (await file.read(Buffer.alloc(6), 0, 6, 0)).buffer.toString('latin1'));
  const write = await outcomeOf(() => file.write(Buffer.from('X'), 0, 1, 0));
  await file.close();
  return { read, write, content: readFileSync(path, 'latin1') };
}

// biome-ignore format: a row for what each letter means
const FLAGS = ['r', 'rs', 'sr', 'r+', 'rs+', 'sr+', 'w', 'wx', 'xw', 'w+', 'wx+', 'xw+', 'a', 'ax', 'xa', 'as', 'sa', 'a+', 'ax+', 'xa+', 'as+',
  'sa+', constants.O_RDWR | constants.O_CREAT, constants.O_RDONLY, 0, undefined, 'R', '', 'rw', 'r ', 'constructor', 1.5, 2 ** 31] as const;

describe('flags mean what they mean to fs', () => {
  test.each(FLAGS)('%s', async (flags) => {
    for (const present of [true, false]) {
      const expected = await effectOf((path) => fs.open(path, flags), present);
      expect(await effectOf((path) => context.open(path, flags, { direct: false }), present)).toEqual(expected);
    }
  });

  test.each([{}, true])('an object and a boolean are refused as there', async (flags) => {
    const wrong = flags as unknown as string;
    const expected = await effectOf((path) => fs.open(path, wrong), true);
    expect(await effectOf((path) => context.open(path, wrong), true)).toEqual(expected);
  });
});

describe('a mode', () => {
  test.each([undefined, 0o600, '640', 0, 0o777, 'x', -1, 1.5, 2 ** 32, {}])(
    '%s means what it means to fs',
    async (mode) => {
      const modeOf = async (openIt: (path: string) => Promise<{ close(): Promise<void> }>): Promise<string> => {
        const path = newPath();
        return outcomeOf(async () => {
          await (await openIt(path)).close();
          return statSync(path).mode.toString(8);
        });
      };
      const given = mode as number;
      const expected = await modeOf((path) => fs.open(path, 'w', given));
      expect(await modeOf((path) => context.open(path, 'w', { mode: given, direct: false }))).toBe(expected);
      if (typeof mode === 'object' || directSkip() !== false) return;
      expect(await modeOf((path) => context.open(path, 'w', given))).toBe(expected);
      expect(await modeOf((path) => open(path, 'w', given))).toBe(expected);
    },
  );
});

describe('a path', () => {
  test('may be a text, a Buffer or a file: URL, with any characters', async () => {
    const path = `${folder}/ä b#c?d%20`;
    writeFileSync(path, 'content');
    for (const given of [path, Buffer.from(path), pathToFileURL(path)]) {
      const file = await context.open(given, 'r', { direct: false });
      expect((await file.read(Buffer.alloc(7), 0, 7, 0)).buffer.toString()).toBe('content');
      expect(file.path).toBe(path);
      await file.close();
    }
  });

  test.each([
    ['a number', 5],
    ['null', null],
    ['a text with a zero byte', 'a\0b'],
    ['a URL of the web', new URL('http://example.org/file')],
    ['an empty text', ''],
    ['one that is not there', '/not/there'],
    ['one through a file', '/dev/null/file'],
  ])('that is %s is refused as fs does', async (_name, path) => {
    const given = path as string;
    const failure = (error: Error): object => ({ ...error, name: error.name, message: error.message });
    const expected = await fs.open(given).then(String, failure);
    expect(await context.open(given).then(String, failure)).toEqual(expected);
  });

  test.each([true, 'auto', false] as const)(
    'of a folder opens to be synced, and cannot be read (direct: %s)',
    async (direct) => {
      const file = await context.open(folder, 'r', { direct });
      await file.sync();
      expect(await outcomeOf(() => file.read(Buffer.alloc(4096), 0, 4096, 0))).toBe('EISDIR');
      await file.close();
      expect(await outcomeOf(() => context.open(folder, 'r+'))).toBe('EISDIR');
    },
  );
});

test('wrong options are refused before anything is made', async () => {
  const path = newPath();
  const wrong = [{ direct: 1 }, { direct: 'yes' }, { submit: 'x' }, { submit: null }, { mode: 'x' }];
  for (const options of wrong) {
    expect(await outcomeOf(() => context.open(path, 'w', options as object))).toBe('ERR_INVALID_ARG_VALUE');
  }
  expect(existsSync(path)).toBe(false);
});

test('a failure leaves no descriptor', async () => {
  const before = openDescriptors();
  for (const path of ['/not/there', folder]) await outcomeOf(() => context.open(path, 'r+'));
  expect(openDescriptors()).toBe(before);
});

const noTmpfs = fileSystemSkip('tmpfs');
const noDirect = directSkip();

describe('direct', () => {
  test.each([true, 'auto'] as const)('%s bypasses the page cache where the file system can', async (direct) => {
    const file = await context.open(newPath(), 'w+', { direct });
    expect(file.direct).toBe(noDirect === false);
    expect(file.alignment.offset > 1).toBe(noDirect === false);
    await file.close();
  });

  test('on tmpfs needs no alignment', async ({ skip }) => {
    skip(noTmpfs !== false, String(noTmpfs));
    await withFileSystem('tmpfs', async (dir) => {
      const file = await context.open(`${dir}/file`, 'w+', { direct: 'auto' });
      expect(await file.write('odd', 7)).toMatchObject({ bytesWritten: 3 });
      expect((await file.read(Buffer.alloc(5), 0, 5, 6)).buffer.toString()).toBe('\0odd\0');
      await file.close();
    });
  });
});

/** procfs has files of its own only, sysfs and cgroups as well: none of them does direct I/O. */
describe('on a file system without direct I/O', () => {
  const file = '/proc/version';

  test('true says so, and what to do', async () => {
    const before = openDescriptors();
    await expect(context.open(file)).rejects.toMatchObject({
      code: 'ERR_AIO_DIRECT_UNSUPPORTED',
      message: expect.stringMatching(/'\/proc\/version'.*'auto'.*false/),
      cause: { code: 'EINVAL' },
    });
    expect(openDescriptors()).toBe(before);
  });

  test.each(['auto', false] as const)('%s goes through the page cache', async (direct) => {
    const opened = await context.open(file, 'r', { direct });
    expect(opened.direct).toBe(false);
    const { buffer, bytesRead } = await opened.read(Buffer.alloc(100), 0, 100, 0);
    expect(buffer.toString('latin1', 0, bytesRead)).toContain('Linux');
    await opened.close();
  });
});

const noMount = mountSkip();

/** ramfs keeps files that anybody may make, and has no direct I/O. */
function withRamfs<T>(use: (dir: string) => Promise<T>): Promise<T> {
  return undoing(async (later) => {
    const dir = temporaryFolder(later);
    mount(later, 'ramfs', 'kaio', dir);
    return await use(dir);
  });
}

test('what cannot be opened for direct I/O is not left behind where it is new, nor emptied where it was there', async ({
  skip,
}) => {
  skip(noMount !== false, String(noMount));
  await withRamfs(async (dir) => {
    writeFileSync(`${dir}/there`, 'content');
    for (const [flags, name] of [
      ['w', 'there'],
      ['r+', 'there'],
      ['w', 'new'],
      ['w+', 'new'],
      ['wx', 'new'],
      ['a', 'new'],
    ]) {
      const opening = () => context.open(`${dir}/${name}`, flags);
      expect(await outcomeOf(opening), `${flags} ${name}`).toBe('ERR_AIO_DIRECT_UNSUPPORTED');
    }
    expect(readdirSync(dir)).toEqual(['there']);
    expect(readFileSync(`${dir}/there`, 'utf8')).toBe('content');
  });
});

test("direct: 'auto' makes a file once, and refuses to make it again", async ({ skip }) => {
  skip(noMount !== false, String(noMount));
  await withRamfs(async (dir) => {
    const created = await context.open(`${dir}/new`, 'wx', { direct: 'auto' });
    expect(created.direct).toBe(false);
    expect(await created.write('odd', 1)).toMatchObject({ bytesWritten: 3 });
    await created.close();
    expect(readFileSync(`${dir}/new`, 'latin1')).toBe('\0odd');
    expect(await outcomeOf(() => context.open(`${dir}/new`, 'wx', { direct: 'auto' }))).toBe('EEXIST');
  });
});

test('a link that leads to nothing yet stays a link, and what it leads to is made', async ({ skip }) => {
  skip(noMount !== false, String(noMount));
  await withRamfs(async (dir) => {
    for (const place of [dir, folder]) {
      symlinkSync('target', `${place}/link`);
      if (place === dir) {
        expect(await outcomeOf(() => context.open(`${place}/link`, 'w'))).toBe('ERR_AIO_DIRECT_UNSUPPORTED');
        expect(existsSync(`${place}/target`)).toBe(false);
      }
      expect(await outcomeOf(() => context.open(`${place}/link`, 'wx', { direct: 'auto' }))).toBe('EEXIST');
      const file = await context.open(`${place}/link`, 'w', { direct: 'auto' });
      await file.close();
      expect(readlinkSync(`${place}/link`)).toBe('target');
      expect(statSync(`${place}/target`).isFile()).toBe(true);
    }
  });
});

test("direct: 'auto' makes a file that its owner may only read, and writes to it", async ({ skip }) => {
  skip(noMount !== false, String(noMount));
  await withRamfs(async (dir) => {
    chmodSync(dir, 0o777);
    await asNobody(async () => {
      const file = await context.open(`${dir}/new`, 'w', { mode: 0o444, direct: 'auto' });
      await file.writeFile('hello');
      await file.close();
    });
    expect(readFileSync(`${dir}/new`, 'utf8')).toBe('hello');
    expect(statSync(`${dir}/new`).mode & 0o777).toBe(0o444);
  });
});

describe('attach', () => {
  test('takes part in a descriptor, and leaves it open', async () => {
    const path = newPath();
    const fd = openSync(path, 'w+');
    const file = await context.attach(fd);
    expect([file.fd, file.path, file.direct]).toEqual([fd, undefined, false]);
    await file.write('attached');
    await file.close();
    expect(file.fd).toBe(-1);
    expect(await outcomeOf(() => file.write('x'))).toBe('EBADF');
    const again = await context.attach(fd, { submit: 'offload' });
    expect((await again.read(Buffer.alloc(8), 0, 8, 0)).buffer.toString()).toBe('attached');
    await again.close();
    closeSync(fd);
  });

  test('sees how the descriptor was opened', async ({ skip }) => {
    skip(noDirect !== false, String(noDirect));
    const path = newPath();
    const fd = openSync(path, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT | constants.O_APPEND);
    const file = await context.attach(fd);
    expect(file.direct).toBe(true);
    using buffer = context.allocate(4096);
    for (const letter of 'ab') {
      buffer.fill(letter);
      await file.write(buffer, 0, 4096, 0);
    }
    expect(readFileSync(path, 'latin1')).toBe('a'.repeat(4096) + 'b'.repeat(4096));
    await file.close();
    closeSync(fd);
  });
});

describe('a device', () => {
  test.each(['null', 'zero', 'full', 'random', 'urandom'])('that always answers is read: %s', async (name) => {
    const file = await context.open(`/dev/${name}`, 'r', { direct: false });
    expect((await file.read(Buffer.alloc(8), 0, 8, 0)).bytesRead).toBe(name === 'null' ? 0 : 8);
    await file.close();
  });

  test('that may wait for others is refused, and so is an eventfd', async () => {
    const descriptors = [eventfd(0, 0)];
    if (existsSync('/dev/ptmx')) descriptors.push(openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY));
    for (const fd of descriptors) {
      const file = await context.attach(fd);
      for (const call of [
        () => file.read(Buffer.alloc(8), 0, 8, 0),
        () => file.write(Buffer.alloc(8), 0, 8, 0),
        () => file.readFile(),
        () => file.writeFile('text'),
      ]) {
        expect(await outcomeOf(call)).toBe('ERR_AIO_WOULD_BLOCK');
      }
      await file.close();
      closeSync(fd);
    }
  });

  test('that does not wait, an eventfd with EFD_NONBLOCK, is read', async () => {
    const fd = eventfd(3, constants.O_NONBLOCK);
    const file = await context.attach(fd);
    const bytes = Buffer.alloc(8);
    expect((await file.read(bytes)).bytesRead).toBe(8);
    expect(bytes.includes(3)).toBe(true);
    expect(await outcomeOf(() => file.read(bytes))).toBe('EAGAIN');
    await file.close();
    closeSync(fd);
  });
});

describe('options of single requests', () => {
  test('dsync, ioprio and nowait are taken by the kernel', async () => {
    const path = newPath();
    writeFileSync(path, Buffer.alloc(8192, 'x'));
    readFileSync(path);
    const file = await context.open(path, 'r+', { direct: false });
    // Class best effort, level 4 (ioprio_set(2)).
    const ioprio = (2 << 13) | 4;
    expect((await file.write(Buffer.from('abc'), { position: 0, dsync: true, ioprio })).bytesWritten).toBe(3);
    expect((await file.writev([Buffer.from('d')], 3, { dsync: true })).bytesWritten).toBe(1);
    const { buffer } = await file.read(Buffer.alloc(4), { position: 0, ioprio });
    expect(buffer.toString()).toBe('abcd');
    // What is in the page cache is there without waiting.
    expect((await file.read(Buffer.alloc(4), { position: 4096, nowait: true })).bytesRead).toBe(4);
    expect(await outcomeOf(() => file.read(Buffer.alloc(4), { position: 0, ioprio: 7 << 13 }))).toBe('EINVAL');
    await file.close();
  });
});

test('O_NOFOLLOW follows no link, also one that leads to nothing yet', async () => {
  const { O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  const place = newPath();
  symlinkSync(`${place}-target`, place);
  for (const direct of [true, 'auto', false] as const) {
    expect(await outcomeOf(() => context.open(place, O_CREAT | O_NOFOLLOW | O_WRONLY, { direct }))).toBe('ELOOP');
  }
  expect(existsSync(`${place}-target`)).toBe(false);
});

test('a link that the kernel follows for nobody else is not followed (fs.protected_symlinks)', async ({ skip }) => {
  const setting = '/proc/sys/fs/protected_symlinks';
  const before = readFileSync(setting, 'utf8');
  const denied = before.trim() === '1' ? 'ok' : await outcomeOf(() => writeFileSync(setting, '1'));
  skip(denied !== 'ok', `${setting} cannot be written: ${denied}`);
  const shared = newPath();
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  symlinkSync('target', `${shared}/link`);
  lchownSync(`${shared}/link`, 1234, 1234);
  try {
    for (const direct of [true, 'auto', false] as const) {
      expect(await outcomeOf(() => context.open(`${shared}/link`, 'w', { direct }))).toBe('EACCES');
    }
  } finally {
    writeFileSync(setting, before);
  }
  expect(existsSync(`${shared}/target`)).toBe(false);
});

test('a name is bytes, which need not be UTF-8, and so is what a link says', async () => {
  const place = newPath();
  mkdirSync(place);
  const bytes = (name: string): Buffer => Buffer.from(`${place}/${name}`, 'latin1');
  symlinkSync(Buffer.from('caf\xe9', 'latin1'), bytes('link'));
  for (const name of ['link', '\xff\xfe']) await (await context.open(bytes(name), 'w', { direct: 'auto' })).close();
  expect(readdirSync(place, 'latin1').sort()).toEqual(['caf\xe9', 'link', '\xff\xfe']);
});

test('a program that makes its stacks in a way of its own can open, close and drop files', async () => {
  const own = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  const limit = Error.stackTraceLimit;
  const ways: (() => void)[] = [
    () => Object.assign(Error, { prepareStackTrace: (_: unknown, sites: unknown) => sites }),
    () =>
      Object.assign(Error, {
        prepareStackTrace: () => {
          throw new Error('no stack');
        },
      }),
    () => Object.assign(Error, { stackTraceLimit: undefined }),
  ];
  for (const change of ways) {
    let outcome: string;
    change();
    try {
      outcome = await outcomeOf(async () => {
        const other = new AioContext({ memory: 65536 });
        await other.open('/proc/version', 'r', { direct: 'auto' });
        await other.close();
      });
    } finally {
      Reflect.deleteProperty(Error, 'prepareStackTrace');
      if (own !== undefined) Object.defineProperty(Error, 'prepareStackTrace', own);
      Error.stackTraceLimit = limit;
    }
    expect(outcome).toBe('ok');
  }
});
