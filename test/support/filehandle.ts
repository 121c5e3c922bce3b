// What Node's FileHandle has, call by call, to hold an AioFile against it. It imports nothing of the test runner, so that other versions
// of Node can run it as it stands.
import { createHash } from 'node:crypto';
import { promises as fs, read as fsRead, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { CodedError } from '../../src/errors.ts';
import type { AioFile } from '../../src/index.ts';

/** What both classes have, called with whatever a program without types may give. */
export type Loose = Record<string, (...given: unknown[]) => Promise<unknown>>;
type Call = (file: Loose) => Promise<unknown>;

/** Why an AioFile differs; docs/filehandle.md has the list, in this order. */
export const differences = {
  position:
    "Requests without a position use a position of the AioFile's own, which begins at 0, moves on by what each of them has transferred, " +
    'and is where the file ends right after an append; such requests go one after another. The kernel keeps another one with the descriptor, ' +
    'which `fs` and `FileHandle` use and kaio neither reads nor moves, for an asynchronous request always says where. A program that ' +
    'uses both on one descriptor passes positions.',
  bigint:
    'A position is what was given. `FileHandle` takes a bigint in `read` alone and uses its own position where another method is given ' +
    'one; an AioFile takes it everywhere. Positions end at 2^53 - 1, where numbers are exact.',
  strict:
    'What cannot be meant is refused: a length or position that is no number, a number without a buffer, and memory that can go away or ' +
    'change under a request (a resizable ArrayBuffer, a SharedArrayBuffer). `FileHandle` takes something else instead.',
  waiting:
    'Pipes, sockets and terminals could keep a request, and with it a thread, for ever: `ERR_AIO_WOULD_BLOCK` says so, unless the descriptor ' +
    'has O_NONBLOCK. Files that the kernel reads only synchronously, such as /proc/self/maps, give EINVAL.',
  closing:
    "From the call of `close()` on new requests are refused with EBADF, and `'close'` is emitted when the descriptor is closed. `FileHandle` " +
    'does so as well where it is idle; where it is busy it emits at the call and goes on to take requests. Where streams are open, ' +
    'both take requests until these have ended.',
  instance:
    'An AioFile belongs to a context of its thread: it cannot be sent to another thread (`postMessage`), and functions of `fs` that take a ' +
    '`FileHandle` do not take it. Give them `file.fd`, or the other thread the path.',
} as const;
export type Difference = keyof typeof differences;

export interface Case {
  method: string;
  /** How it is called, as the manual writes it. */
  overload: string;
  about: string;
  call: Call;
  flags?: string;
  /** First major version of Node whose FileHandle does this. */
  since?: number;
  differs?: Difference;
}

export const CONTENT: string = 'abcdefgh'.repeat(512);

const buffer = Buffer.alloc(4096);
const empty = Buffer.alloc(0);
const fresh = (length: number): Buffer => Buffer.alloc(length, '.');
const digits = (): Buffer => Buffer.from('0123456789');
const large = Buffer.alloc(1_300_001, 'large');

function detached(): Uint8Array {
  const view = new Uint8Array(8);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

async function* slowly(...pieces: unknown[]): AsyncGenerator<unknown> {
  for (const piece of pieces) {
    await new Promise((resolve) => setImmediate(resolve));
    yield piece;
  }
}

/** What a reader gives, as one text. */
async function textOf(pieces: AsyncIterable<unknown>): Promise<string> {
  const texts: string[] = [];
  for await (const piece of pieces)
    texts.push(typeof piece === 'string' ? piece : Buffer.from(piece as Buffer).toString('latin1'));
  return texts.join('|');
}

const join = async (pieces: AsyncIterable<unknown>): Promise<string> => (await textOf(pieces)).replaceAll('|', '');

const stream = (file: Loose, method: string, ...given: unknown[]): never => file[method]!(...given) as never;

function finished(writable: NodeJS.WritableStream, ...pieces: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    writable.once('close', resolve).once('error', reject);
    for (const piece of pieces) writable.write(piece);
    writable.end();
  });
}

/** Cases of one way to call a method: what each tries, and the call. */
function group(
  method: string,
  overload: string,
  calls: Record<string, Call>,
  extra: Partial<Pick<Case, 'flags' | 'since' | 'differs'>> = {},
): Case[] {
  return Object.entries(calls).map(([about, call]) => ({ method, overload, about, call, ...extra }));
}

const reads: Case[] = [
  ...group('read', 'read()', {
    'read()': (file) => file['read']!(),
    'read(undefined)': (file) => file['read']!(undefined),
    'read(null)': (file) => file['read']!(null),
  }),
  ...group('read', 'read(buffer, offset, length, position)', {
    'read(buffer)': (file) => file['read']!(fresh(10)),
    'read(buffer, null)': (file) => file['read']!(fresh(10), null),
    'read(buffer, undefined, null, null)': (file) => file['read']!(fresh(10), undefined, null, null),
    'read(buffer, 2, 5, 3)': (file) => file['read']!(fresh(10), 2, 5, 3),
    'at position -1, which is the own one': (file) => file['read']!(fresh(10), 0, 10, -1),
    'at position -1n': (file) => file['read']!(fresh(10), 0, 10, -1n),
    'into a typed array': (file) => file['read']!(new Uint16Array(5), 2, 5, 3),
    'into a DataView': (file) => file['read']!(new DataView(new ArrayBuffer(9), 1), 0, 5, 3),
    'of nothing': (file) => file['read']!(fresh(10), 0, 0, 0),
    'of nothing at the end of the buffer': (file) => file['read']!(fresh(10), 10, 0, 0),
    'of nothing into an empty buffer': (file) => file['read']!(empty, 0, 0, 0),
    'into an empty buffer': (file) => file['read']!(empty),
    'across the end': (file) => file['read']!(fresh(100), 0, 100, 4090),
    'at the end': (file) => file['read']!(fresh(10), 0, 10, 4096),
    'past the end': (file) => file['read']!(fresh(10), 0, 10, 10 ** 9),
    'of a number': (file) => file['read']!(5, 0, 1, 0),
    'of a text': (file) => file['read']!('text', 0, 1, 0),
    'of an array': (file) => file['read']!([], 0, 1, 0),
    'a text as offset': (file) => file['read']!(buffer, '0', 1, 0),
    'a negative offset': (file) => file['read']!(buffer, -1, 1, 0),
    'a fraction as offset': (file) => file['read']!(buffer, 1.5, 1, 0),
    'NaN as offset': (file) => file['read']!(buffer, Number.NaN, 1, 0),
    'beyond the end of the buffer': (file) => file['read']!(buffer, 4096, 1, 0),
    'a negative length': (file) => file['read']!(buffer, 0, -1, 0),
    'more than the buffer has': (file) => file['read']!(buffer, 0, 4097, 0),
    'a byte into an empty buffer': (file) => file['read']!(empty, 0, 1, 0),
    'into detached memory': (file) => file['read']!(detached(), 0, 1, 0),
  }),
  ...group(
    'read',
    'read(buffer, offset, length, bigint)',
    { 'at 3n': (file) => file['read']!(fresh(10), 0, 10, 3n) },
    { since: 22 },
  ),
  ...group('read', 'read(buffer, options)', {
    'read(buffer, {})': (file) => file['read']!(fresh(10), {}),
    'read(buffer, { offset, length, position })': (file) =>
      file['read']!(fresh(10), { offset: 2, length: 5, position: 3 }),
    'a negative offset': (file) => file['read']!(buffer, { offset: -1 }),
  }),
  ...group('read', 'read(options)', {
    'read({})': (file) => file['read']!({}),
    'read({ buffer, offset, length, position })': (file) =>
      file['read']!({ buffer: fresh(10), offset: 2, length: 5, position: 3 }),
    'read({ buffer: 5 })': (file) => file['read']!({ buffer: 5 }),
    'a negative offset': (file) => file['read']!({ buffer, offset: -1 }),
  }),
  ...group(
    'read',
    'a file that cannot be read',
    {
      'read(buffer)': (file) => file['read']!(fresh(10), 0, 10, 0),
      'of nothing': (file) => file['read']!(fresh(10), 0, 0, 0),
      'readFile()': (file) => file['readFile']!(),
    },
    { flags: 'a' },
  ),
  ...group('readv', 'readv(buffers, position)', {
    'readv(buffers)': (file) => file['readv']!([fresh(3), fresh(5)]),
    'readv(buffers, 7)': (file) => file['readv']!([fresh(3), fresh(5)], 7),
    'readv(buffers, null)': (file) => file['readv']!([fresh(3), fresh(5)], null),
    'empty buffers among others': (file) => file['readv']!([empty, fresh(3), empty, fresh(5)], 7),
    'across the end': (file) => file['readv']!([fresh(3), fresh(5), fresh(3)], 4092),
    'readv()': (file) => file['readv']!(),
    'readv(buffer)': (file) => file['readv']!(buffer),
    'readv([5])': (file) => file['readv']!([5]),
    'readv([buffer, null])': (file) => file['readv']!([buffer, null]),
  }),
  ...group('readFile', 'readFile(options)', {
    'readFile()': (file) => file['readFile']!(),
    'readFile(null)': (file) => file['readFile']!(null),
    'readFile({})': (file) => file['readFile']!({}),
    "readFile('utf8')": (file) => file['readFile']!('utf8'),
    "readFile({ encoding: 'hex' })": (file) => file['readFile']!({ encoding: 'hex' }),
    'from where the last read ended': async (file) => [
      await file['read']!(fresh(4001)),
      await file['readFile']!('latin1'),
      await file['readFile']!(),
    ],
    'of an empty file': async (file) => [
      await file['truncate']!(),
      await file['readFile']!(),
      await file['readFile']!('utf8'),
    ],
    'of a large file': async (file) => [
      await file['write']!(large, 0, large.length, 0),
      await file['readFile']!('latin1'),
    ],
    'readFile(5)': (file) => file['readFile']!(5),
    'an encoding that there is not': (file) => file['readFile']!('nope'),
    'a signal that is none': (file) => file['readFile']!({ signal: {} }),
    'a signal that is aborted': (file) => file['readFile']!({ signal: AbortSignal.abort() }),
  }),
  ...group(
    'readFile',
    'readFile({ buffer })',
    {
      'memory of the size': (file) => file['readFile']!({ buffer: fresh(4096) }),
      'memory that is larger': (file) => file['readFile']!({ buffer: new Uint8Array(5000) }),
      'a function': (file) =>
        file['readFile']!({ buffer: (size: number) => Buffer.alloc(size + 1), encoding: 'latin1' }),
      'memory that is too small': (file) => file['readFile']!({ buffer: fresh(4095) }),
      'no memory': (file) => file['readFile']!({ buffer: 'text' }),
      'a function that gives none': (file) => file['readFile']!({ buffer: () => undefined }),
      'of an empty file': async (file) => [await file['truncate']!(), await file['readFile']!({ buffer: fresh(4) })],
    },
    { since: 24 },
  ),
];

const writes: Case[] = [
  ...group('write', 'write(buffer, offset, length, position)', {
    'write(buffer)': (file) => file['write']!(digits()),
    'write(buffer, 2, 5, 3)': (file) => file['write']!(digits(), 2, 5, 3),
    'write(buffer, null, null, null)': (file) => file['write']!(digits(), null, null, null),
    'at position -1, which is the own one': (file) => file['write']!(digits(), 0, 4, -1),
    'from a typed array': (file) => file['write']!(new Uint16Array([1, 2, 3]), 1, 4, 3),
    'from a DataView': (file) => file['write']!(new DataView(new ArrayBuffer(9), 1), 0, 5, 3),
    'an empty buffer': (file) => file['write']!(empty),
    'an empty buffer with wrong numbers': (file) => file['write']!(empty, 7, 9, 3),
    nothing: (file) => file['write']!(digits(), 0, 0, 0),
    'past the end, which leaves a hole': (file) => file['write']!(digits(), 0, 4, 5000),
    'across the end': (file) => file['write']!(digits(), 0, 10, 4091),
    'write()': (file) => file['write']!(),
    'write(5)': (file) => file['write']!(5),
    'write(null)': (file) => file['write']!(null),
    'write({})': (file) => file['write']!({}),
    'write([])': (file) => file['write']!([]),
    'a String object': (file) => file['write']!(Object('text')),
    'a text as offset': (file) => file['write']!(buffer, '0'),
    'a negative offset': (file) => file['write']!(buffer, -1),
    'a fraction as offset': (file) => file['write']!(buffer, 1.5),
    'an offset beyond the buffer': (file) => file['write']!(buffer, 4097),
    'a negative length': (file) => file['write']!(buffer, 0, -1),
    'more than the buffer has': (file) => file['write']!(buffer, 0, 4097),
    'a fraction of a byte': (file) => file['write']!(buffer, 0, 1.5),
  }),
  ...group('write', 'write(buffer, options)', {
    'write(buffer, {})': (file) => file['write']!(digits(), {}),
    'write(buffer, { offset, length, position })': (file) =>
      file['write']!(digits(), { offset: 2, length: 5, position: 3 }),
    'write(buffer, { position: null })': (file) => file['write']!(digits(), { position: null }),
  }),
  ...group('write', 'write(string, position, encoding)', {
    "write('')": (file) => file['write']!(''),
    'a text': (file) => file['write']!('grün €'),
    'at a position': (file) => file['write']!('text', 10),
    'as latin1': (file) => file['write']!('grün', 10, 'latin1'),
    'as utf16le': (file) => file['write']!('grün', null, 'utf16le'),
    'as base64': (file) => file['write']!('Z3L8bg==', 0, 'base64'),
    'as hex': (file) => file['write']!('61626364', 0, 'hex'),
    'half a byte in hex': (file) => file['write']!('abc', 0, 'hex'),
  }),
  ...group(
    'write',
    'a file that cannot be written',
    {
      'write(buffer)': (file) => file['write']!(digits(), 0, 10, 0),
      'writeFile(data)': (file) => file['writeFile']!('text'),
      'an odd place': (file) => file['write']!(digits(), 0, 3, 7),
      'an empty buffer': (file) => file['write']!(empty),
      'nothing of a buffer': (file) => file['write']!(digits(), 0, 0, 0),
      'an empty text': (file) => file['write']!(''),
      'writev([])': (file) => file['writev']!([]),
    },
    { flags: 'r' },
  ),
  ...group(
    'write',
    'a file that appends',
    {
      'write(buffer, 2, 5, 3)': (file) => file['write']!(digits(), 2, 5, 3),
      'a block': (file) => file['write']!(Buffer.alloc(4096, 'b')),
      'one after another': async (file) => [
        await file['write']!('one'),
        await file['write']!(large),
        await file['write']!('two'),
      ],
      'writev(buffers, 0)': (file) => file['writev']!([digits(), digits()], 0),
      'after a read': async (file) => [
        await file['read']!(fresh(3)),
        await file['write']!(empty),
        await file['writev']!([]),
        await file['read']!(fresh(3)),
        await file['write']!('abc'),
        await file['read']!(fresh(3)),
      ],
      'writeFile(data)': (file) => file['writeFile']!('text'),
    },
    { flags: 'a+' },
  ),
  ...group('writev', 'writev(buffers, position)', {
    'writev(buffers)': (file) => file['writev']!([Buffer.from('01'), Buffer.from('234')]),
    'writev(buffers, 7)': (file) => file['writev']!([Buffer.from('01'), Buffer.from('234')], 7),
    'empty buffers among others': (file) => file['writev']!([empty, Buffer.from('01'), empty], 7),
    'writev([])': (file) => file['writev']!([]),
    'writev()': (file) => file['writev']!(),
    'writev(buffer)': (file) => file['writev']!(buffer),
    "writev(['text'])": (file) => file['writev']!(['text']),
  }),
  ...['writeFile', 'appendFile'].flatMap((method) => [
    ...group(method, `${method}(data, options)`, {
      'a text': (file) => file[method]!('grün €'),
      'a text in an encoding': (file) => file[method]!('grün', 'latin1'),
      'a text in the encoding of the options': (file) => file[method]!('6162', { encoding: 'hex' }),
      memory: (file) => file[method]!(digits()),
      'a typed array': (file) => file[method]!(new Uint16Array([1, 2, 3])),
      nothing: (file) => file[method]!(''),
      'much memory': (file) => file[method]!(large),
      'where the last write ended': async (file) => [
        await file['write']!('one'),
        await file[method]!('two'),
        await file[method]!('three'),
      ],
      'and make it durable': (file) => file[method]!('text', { flush: true }),
      [`${method}()`]: (file) => file[method]!(),
      'a number': (file) => file[method]!(5),
      null: (file) => file[method]!(null),
      'an object': (file) => file[method]!({}),
      'a number as options': (file) => file[method]!('text', 5),
      'an encoding that there is not': (file) => file[method]!('text', 'nope'),
      'a number as flush': (file) => file[method]!('text', { flush: 1 }),
      'a signal that is none': (file) => file[method]!('text', { signal: {} }),
      'a signal that is aborted': (file) => file[method]!('text', { signal: AbortSignal.abort() }),
    }),
    ...group(method, `${method}(iterable, options)`, {
      'an array of texts and memory': (file) => file[method]!(['one', digits(), '€']),
      'an async iterable': (file) => file[method]!(slowly('one', digits(), '€'), 'latin1'),
      'a stream': (file) => file[method]!(Readable.from(['one', 'two'])),
      'numbers among the pieces': (file) => file[method]!(slowly('one', 5, 'two')),
      'an iterable that fails': (file) =>
        file[method]!(
          (async function* () {
            yield 'one';
            throw Object.assign(new Error('it failed'), { code: 'EFAILED' });
          })(),
        ),
      'a signal that is aborted between pieces': (file) => {
        const controller = new AbortController();
        const pieces = (async function* () {
          yield 'one';
          controller.abort();
          yield 'two';
        })();
        return file[method]!(pieces, { signal: controller.signal });
      },
    }),
  ]),
];

/** What stat says that does not depend on when it is asked. */
async function statOf(file: Loose, ...given: unknown[]): Promise<unknown> {
  const stats = (await file['stat']!(...given)) as Record<string, unknown>;
  const { mode, nlink, uid, gid, size, atimeMs, mtimeMs } = stats;
  const whole = (value: unknown): unknown => (typeof value === 'number' ? Math.floor(value) : value);
  const type = [stats.constructor.name, typeof stats['mtimeNs'], (stats['isFile'] as () => boolean)()];
  return { type, mode, nlink, uid, gid, size, times: [atimeMs, mtimeMs].map((value) => String(whole(value)).length) };
}

/** Its owner, mode and times once the call is over. */
const then =
  (call: Call): Call =>
  async (file) => {
    const result = await call(file);
    const { mode, uid, gid, atimeMs, mtimeMs } = (await file['stat']!()) as Record<string, number>;
    return { result, mode, uid, gid, atimeMs, mtimeMs };
  };
const thenMode =
  (call: Call): Call =>
  async (file) => {
    const result = await call(file);
    const { mode, uid, gid } = (await file['stat']!()) as Record<string, number>;
    return { result, mode, uid, gid };
  };

const others: Case[] = [
  ...group('stat', 'stat(options)', {
    'stat()': (file) => statOf(file),
    'stat({})': (file) => statOf(file, {}),
    'stat({ bigint: true })': (file) => statOf(file, { bigint: true }),
  }),
  ...group('chmod', 'chmod(mode)', {
    'chmod(0o640)': thenMode((file) => file['chmod']!(0o640)),
    "chmod('640')": thenMode((file) => file['chmod']!('640')),
    'chmod(0)': thenMode((file) => file['chmod']!(0)),
    'chmod()': (file) => file['chmod']!(),
    "chmod('text')": (file) => file['chmod']!('text'),
    'chmod(-1)': (file) => file['chmod']!(-1),
    'chmod(1.5)': (file) => file['chmod']!(1.5),
    'chmod({})': (file) => file['chmod']!({}),
  }),
  ...group('chown', 'chown(uid, gid)', {
    'chown(-1, -1)': thenMode((file) => file['chown']!(-1, -1)),
    'to oneself': thenMode((file) => file['chown']!(process.getuid!(), process.getgid!())),
    'chown()': (file) => file['chown']!(),
    'chown(-2, 0)': (file) => file['chown']!(-2, 0),
    'chown(0, 1.5)': (file) => file['chown']!(0, 1.5),
    "chown('0', 0)": (file) => file['chown']!('0', 0),
  }),
  ...group('utimes', 'utimes(atime, mtime)', {
    'numbers of seconds': then((file) => file['utimes']!(1, 2.5)),
    dates: then((file) => file['utimes']!(new Date(1000), new Date(2500))),
    texts: then((file) => file['utimes']!('1', '2.5')),
    'utimes()': (file) => file['utimes']!(),
    "utimes('text', 1)": (file) => file['utimes']!('text', 1),
    'utimes({}, 1)': (file) => file['utimes']!({}, 1),
  }),
  ...group('truncate', 'truncate(len)', {
    'truncate()': (file) => file['truncate']!(),
    'truncate(-1)': (file) => file['truncate']!(-1),
    'truncate(10)': (file) => file['truncate']!(10),
    'to more than there is': (file) => file['truncate']!(5000),
    "truncate('1')": (file) => file['truncate']!('1'),
    'truncate(null)': (file) => file['truncate']!(null),
    'truncate(1.5)': (file) => file['truncate']!(1.5),
    'truncate(2 ** 60)': (file) => file['truncate']!(2 ** 60),
    'to more than most files can have': (file) =>
      file['truncate']!(Number.MAX_SAFE_INTEGER).finally(() => file['truncate']!(10)),
  }),
  ...group('sync', 'sync()', { 'sync()': (file) => file['sync']!() }),
  ...group('datasync', 'datasync()', { 'datasync()': (file) => file['datasync']!() }),
  ...group('fd', 'fd', {
    'while it is open': async (file) => (file['fd'] as unknown as number) > 2,
    'once it is closed': async (file) => [await file['close']!(), file['fd']],
  }),
  ...group('getAsyncId', 'getAsyncId()', {
    'stays the same': async (file) => {
      const ids = [file['getAsyncId']!(), file['getAsyncId']!()] as unknown[];
      return [typeof ids[0], ids[0] === ids[1]];
    },
  }),
  ...group('close', 'close()', {
    once: (file) => file['close']!(),
    twice: async (file) => [await file['close']!(), await file['close']!()],
    'at the same time': (file) => Promise.all([file['close']!(), file['close']!()]),
    'while it is busy': async (file) =>
      Promise.all([file['write']!('abcd', 0), file['readFile']!('latin1'), file['close']!()]),
    ...Object.fromEntries(
      [
        ['read', buffer],
        ['write', buffer],
        ['readv', [buffer]],
        ['writev', [buffer]],
        ['readFile'],
        ['writeFile', 'text'],
        ['appendFile', 'text'],
        ['stat'],
        ['chmod', 0o644],
        ['chown', -1, -1],
        ['utimes', 1, 1],
        ['truncate'],
        ['sync'],
        ['datasync'],
      ].map(([method, ...given]): [string, Call] => [
        `${method} afterwards`,
        async (file) => [await file['close']!(), await file[method as string]!(...given)],
      ]),
    ),
  }),
  ...group('[Symbol.asyncDispose]', '[Symbol.asyncDispose]()', {
    once: async (file) => [await (file as unknown as AsyncDisposable)[Symbol.asyncDispose](), file['fd']],
  }),
  ...group('events', "'close'", {
    'is emitted before close() is over': async (file) => {
      const seen: string[] = [];
      (file as unknown as AioFile).on('close', () => seen.push('event'));
      await file['close']!().then(() => seen.push('closed'));
      return seen;
    },
  }),
];

const streams: Case[] = [
  ...group('createReadStream', 'createReadStream(options)', {
    'createReadStream()': async (file) => join(stream(file, 'createReadStream')),
    'start and end': async (file) => join(stream(file, 'createReadStream', { start: 5, end: 2000 })),
    'an encoding': async (file) => join(stream(file, 'createReadStream', { encoding: 'hex', end: 9, start: 0 })),
    'from where the last read ended': async (file) => [
      await file['read']!(fresh(4001)),
      await join(stream(file, 'createReadStream')),
    ],
    'a text as start': async (file) => join(stream(file, 'createReadStream', { start: '5' })),
    'an end before the start': async (file) => join(stream(file, 'createReadStream', { start: 5, end: 2 })),
  }),
  ...group('createWriteStream', 'createWriteStream(options)', {
    'createWriteStream()': async (file) => finished(stream(file, 'createWriteStream'), 'one', 'two'),
    'a start': async (file) => finished(stream(file, 'createWriteStream', { start: 5 }), 'one', 'two'),
    'an encoding': async (file) => finished(stream(file, 'createWriteStream', { encoding: 'latin1' }), 'grün'),
    'a text as start': async (file) => finished(stream(file, 'createWriteStream', { start: '5' }), 'one'),
  }),
  ...group('readableWebStream', 'readableWebStream(options)', {
    "readableWebStream({ type: 'bytes' })": async (file) => join(stream(file, 'readableWebStream', { type: 'bytes' })),
  }),
  ...group('readLines', 'readLines(options)', {
    'readLines()': async (file) => [
      await file['write']!('one\ntwo\r\nthree', 0),
      await textOf(stream(file, 'readLines')),
    ],
    'a start and an end': async (file) => [
      await file['write']!('one\ntwo\r\nthree', 0),
      await textOf(stream(file, 'readLines', { start: 4, end: 12 })),
    ],
  }),
];

/** Where both are right in their own way. */
const apart: Case[] = [
  ...group(
    'read',
    'read on a descriptor that fs reads as well',
    {
      'read(buffer)': async (file) => {
        await new Promise((resolve) => fsRead(file['fd'] as unknown as number, fresh(8), 0, 5, null, resolve));
        return file['read']!(fresh(4));
      },
    },
    { differs: 'position' },
  ),
  ...group(
    'write',
    'write(buffer, offset, length, bigint)',
    { 'at 8n': (file) => file['write']!(digits(), 0, 2, 8n) },
    { differs: 'bigint' },
  ),
  ...group(
    'readv',
    'readv(buffers, bigint)',
    { 'at 8n': (file) => file['readv']!([fresh(3)], 9n) },
    { differs: 'bigint' },
  ),
  ...group(
    'writev',
    'writev(buffers, bigint)',
    { 'at 8n': (file) => file['writev']!([digits()], 8n) },
    { differs: 'bigint' },
  ),
  ...group(
    'read',
    'read(SharedArrayBuffer)',
    {
      'of shared memory': async (file) =>
        Number(
          ((await file['read']!(new Uint8Array(new SharedArrayBuffer(8)), 0, 8, 0)) as { bytesRead: number }).bytesRead,
        ),
    },
    { differs: 'strict' },
  ),
  ...group(
    'close',
    'close() while it is busy',
    {
      'a request afterwards': async (file) => {
        const reading = file['readFile']!();
        const closing = file['close']!();
        const late = await file['stat']!().then(
          () => 'taken',
          (error: CodedError) => error.code,
        );
        await Promise.all([reading, closing]);
        return late;
      },
    },
    { differs: 'closing' },
  ),
  ...group(
    '[kTransfer]',
    'postMessage(file)',
    {
      'to another thread': async (file) => {
        const { port1, port2 } = new MessageChannel();
        try {
          port1.postMessage(file, [file as never]);
          return 'sent';
        } finally {
          port1.close();
          port2.close();
        }
      },
    },
    { differs: 'instance' },
  ),
];

const major = Number(process.versions.node.split('.')[0]);

/** Every case, and those that the FileHandle of this Node has. */
export const allCases: readonly Case[] = [...reads, ...writes, ...others, ...streams, ...apart];
export const cases: readonly Case[] = allCases.filter(({ since = 0 }) => major >= since);

/** A value as text in which equal ones are equal: memory by its kind, length and bytes. */
function textOfValue(value: unknown): string {
  return String(
    JSON.stringify(value, function (this: Record<string, unknown>, key, plain) {
      const item = this[key];
      if (typeof item === 'bigint') return `${item}n`;
      if (!ArrayBuffer.isView(item)) return plain;
      const bytes = Buffer.from(item.buffer, item.byteOffset, item.byteLength);
      const hash = createHash('sha1').update(bytes).digest('hex');
      return `${item.constructor.name} of ${item.byteLength}: ${bytes.byteLength > 40 ? hash : bytes.toString('latin1')}`;
    }),
  );
}

async function outcomeOf(call: () => Promise<unknown>): Promise<string> {
  try {
    return textOfValue(await call());
  } catch (error) {
    const { code, name, syscall } = error as CodedError & { syscall?: string };
    return `${name} ${code}${syscall === undefined ? '' : ` of ${syscall}`}`;
  }
}

/** What a call gave, and what it left behind: the content, and where a request without position goes on. */
export interface Effect {
  result: string;
  content: string;
  next: string;
}

/** Node.js 26 ends a program that loses one. */
const neverClosed: unknown[] = [];

/** Carries out a case on a fresh file that `open` opens. */
export async function effectOf(
  { call, flags = 'r+' }: Case,
  path: string,
  open: (flags: string) => Promise<fs.FileHandle | AioFile>,
): Promise<Effect> {
  rmSync(path, { force: true });
  writeFileSync(path, CONTENT, { mode: 0o644 });
  const file = (await open(flags)) as unknown as Loose;
  try {
    const result = await outcomeOf(() => call(file));
    const content = textOfValue(readFileSync(path));
    const next = await outcomeOf(() => file['read']!(Buffer.alloc(4), 0, 4));
    return { result, content, next };
  } finally {
    // A stream that could not be made stays a listener of FileHandle's 'close', and throws there (Node.js 24).
    try {
      await file['close']!();
    } catch {
      neverClosed.push(file);
    }
  }
}

/** The methods and accessors that Node's FileHandle has for those who use it. */
export async function methodsOfFileHandle(path: string): Promise<string[]> {
  const file = await fs.open(path);
  const prototype = Object.getPrototypeOf(file) as object;
  await file.close();
  // close is a property of each of its objects. Symbols that Node keeps to itself have no registered name.
  const names = Reflect.ownKeys(prototype).filter((key) => typeof key === 'string' || key === Symbol.asyncDispose);
  const texts = names.map((key) => (typeof key === 'string' ? key : '[Symbol.asyncDispose]'));
  return [...texts.filter((name) => name !== 'constructor'), 'close'].sort();
}

const verdictOf = ({ differs }: Case): string =>
  differs === undefined ? 'same' : `differs: ${Object.keys(differences).indexOf(differs) + 1}`;

/** The rows of the table in docs/filehandle.md. */
export function parityTable(): string {
  const rows = new Map<string, { of: Case; tried: number }>();
  for (const one of allCases) {
    const key = `${one.method} ${one.overload} ${verdictOf(one)}`;
    const row = rows.get(key) ?? { of: one, tried: 0 };
    row.tried++;
    rows.set(key, row);
  }
  const sorted = [...rows.values()].sort((a, b) => a.of.method.localeCompare(b.of.method, 'en'));
  const cells = sorted.map(({ of, tried }) => [`\`${of.method}\``, of.overload, verdictOf(of), String(tried)]);
  return table(['method', 'call', 'AioFile', 'cases'], cells);
}

function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (row: string[]): string => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** An item of a list, in lines of the width that the documents have. */
function wrapped(item: string): string {
  const lines = [''];
  for (const word of item.split(' ')) {
    if (lines.at(-1)!.length + word.length > 138) lines.push('  ');
    lines[lines.length - 1] += lines.at(-1) === '' ? word : ` ${word}`;
  }
  return lines.join('\n');
}

/** docs/filehandle.md. */
export function parityPage(): string {
  const reasons = Object.values(differences).map((text, i) => wrapped(`${i + 1}. ${text}`));
  return `# AioFile and FileHandle

An AioFile has what the \`FileHandle\` of Node 24 has (\`fs.promises\`), with the same arguments, results, errors and defaults; it goes on
where \`FileHandle\` ends with callbacks, \`preallocate\`, \`drain\`, and the options \`signal\`, \`ioprio\`, \`dsync\` and \`nowait\`.

This page is made by the test that holds one against the other, call by call: the result or error, what the file holds afterwards, and
where the next request without a position goes on; once with direct I/O and once without. Beside it random requests at any offset and
of any length are made of both (test/campaigns/filehandle.test.ts).

## What differs, and why

${reasons.join('\n')}

## Every call

${parityTable()}
`;
}
