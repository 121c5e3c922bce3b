// Mistakes of callers. Where fs.promises.FileHandle refuses something, an AioFile refuses it with the same code on the same Node; where
// FileHandle lets a mistake pass, an AioFile says what is wrong.
import { promises as fs, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { AioContext, type AioFile } from '../../src/index.ts';
import { outcomeOf } from '../support/outcome.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
const CONTENT = 'abcdefgh'.repeat(512);
const context = new AioContext({ memory: 1 << 20 });
afterAll(() => context.close());

/** What both classes have, called with whatever a program without types may give. */
type Loose = Record<string, (...given: unknown[]) => Promise<unknown>>;
type Call = (file: Loose) => Promise<unknown>;

const buffer = Buffer.alloc(4096);
const empty = Buffer.alloc(0);

function detached(): Uint8Array {
  const view = new Uint8Array(8);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

const loose = (file: AioFile | fs.FileHandle): Loose => file as unknown as Loose;

async function onFileHandle<T>(use: (file: Loose) => Promise<T>): Promise<T> {
  writeFileSync(path, CONTENT);
  const file = await fs.open(path, 'r+');
  try {
    return await use(loose(file));
  } finally {
    await file.close();
  }
}

async function onAioFile<T>(use: (file: Loose) => Promise<T>): Promise<T> {
  writeFileSync(path, CONTENT);
  const file = await context.open(path, 'r+', { direct: false });
  try {
    return await use(loose(file));
  } finally {
    await file.close();
  }
}

const refusedAlike: Record<string, Call> = {
  'read(5)': (file) => file['read']!(5, 0, 1, 0),
  "read('text')": (file) => file['read']!('text', 0, 1, 0),
  'read([])': (file) => file['read']!([], 0, 1, 0),
  'read({ buffer: 5 })': (file) => file['read']!({ buffer: 5 }),
  'read with a text as offset': (file) => file['read']!(buffer, '0', 1, 0),
  'read with a negative offset': (file) => file['read']!(buffer, -1, 1, 0),
  'read with a fraction as offset': (file) => file['read']!(buffer, 1.5, 1, 0),
  'read with NaN as offset': (file) => file['read']!(buffer, Number.NaN, 1, 0),
  'read({ offset: -1 })': (file) => file['read']!(buffer, { offset: -1 }),
  'read beyond the end of the buffer': (file) => file['read']!(buffer, 4096, 1, 0),
  'read of a negative length': (file) => file['read']!(buffer, 0, -1, 0),
  'read of more than the buffer has': (file) => file['read']!(buffer, 0, 4097, 0),
  'read of a byte into an empty buffer': (file) => file['read']!(empty, 0, 1, 0),
  'read into detached memory': (file) => file['read']!(detached(), 0, 1, 0),
  'write()': (file) => file['write']!(),
  'write(5)': (file) => file['write']!(5),
  'write(null)': (file) => file['write']!(null),
  'write({})': (file) => file['write']!({}),
  'write([])': (file) => file['write']!([]),
  'write of a String object': (file) => file['write']!(Object('text')),
  'write with a text as offset': (file) => file['write']!(buffer, '0'),
  'write with a negative offset': (file) => file['write']!(buffer, -1),
  'write with a fraction as offset': (file) => file['write']!(buffer, 1.5),
  'write with an offset beyond the buffer': (file) => file['write']!(buffer, 4097),
  'write of a negative length': (file) => file['write']!(buffer, 0, -1),
  'write of more than the buffer has': (file) => file['write']!(buffer, 0, 4097),
  'write of a fraction of a byte': (file) => file['write']!(buffer, 0, 1.5),
  'write of half a byte in hex': (file) => file['write']!('abc', 0, 'hex'),
  'readv()': (file) => file['readv']!(),
  'readv of a buffer alone': (file) => file['readv']!(buffer),
  'readv([5])': (file) => file['readv']!([5]),
  'readv([buffer, null])': (file) => file['readv']!([buffer, null]),
  'writev()': (file) => file['writev']!(),
  'writev of a buffer alone': (file) => file['writev']!(buffer),
  "writev(['text'])": (file) => file['writev']!(['text']),
  "truncate('1')": (file) => file['truncate']!('1'),
  'truncate(null)': (file) => file['truncate']!(null),
  'truncate(1.5)': (file) => file['truncate']!(1.5),
  'truncate(2 ** 60)': (file) => file['truncate']!(2 ** 60),
  'truncate to more than a file can have': (file) => file['truncate']!(Number.MAX_SAFE_INTEGER),
};

describe('is refused as FileHandle refuses it', () => {
  test.each(Object.entries(refusedAlike))('%s', async (_name, call) => {
    const expected = await onFileHandle((file) => outcomeOf(() => call(file)));
    expect(expected).toMatch(/^E/);
    expect(await onAioFile((file) => outcomeOf(() => call(file)))).toBe(expected);
    // A refusal changes nothing.
    expect(await fs.readFile(path, 'utf8')).toBe(CONTENT);
  });
});

/** What went where: the counts and bytes of a result, and what the file holds afterwards. */
async function effectOf(call: Call, file: Loose): Promise<unknown> {
  const result = await call(file);
  const content = await fs.readFile(path, 'latin1');
  const next = await file['read']!(Buffer.alloc(4), 0, 4);
  return { result, head: content.slice(0, 40), tail: content.slice(4096), length: content.length, next };
}

const fresh = (length: number): Buffer => Buffer.alloc(length, '.');

const acceptedAlike: Record<string, Call> = {
  'read()': (file) => file['read']!(),
  'read({})': (file) => file['read']!({}),
  'read(buffer)': (file) => file['read']!(fresh(10)),
  'read(buffer, null)': (file) => file['read']!(fresh(10), null),
  'read(buffer, undefined, null, null)': (file) => file['read']!(fresh(10), undefined, null, null),
  'read(buffer, 2, 5, 3)': (file) => file['read']!(fresh(10), 2, 5, 3),
  'read(buffer, { offset, length, position })': (file) =>
    file['read']!(fresh(10), { offset: 2, length: 5, position: 3 }),
  'read({ buffer, offset, length, position })': (file) =>
    file['read']!({ buffer: fresh(10), offset: 2, length: 5, position: 3 }),
  'read(buffer, {})': (file) => file['read']!(fresh(10), {}),
  'read at position -1, which is the own one': (file) => file['read']!(fresh(10), 0, 10, -1),
  'read at position -1n': (file) => file['read']!(fresh(10), 0, 10, -1n),
  'read of nothing': (file) => file['read']!(fresh(10), 0, 0, 0),
  'read of nothing at the end of the buffer': (file) => file['read']!(fresh(10), 10, 0, 0),
  'read of nothing into an empty buffer': (file) => file['read']!(empty, 0, 0, 0),
  'read into an empty buffer': (file) => file['read']!(empty),
  'read across the end': (file) => file['read']!(fresh(100), 0, 100, 4090),
  'read at the end': (file) => file['read']!(fresh(10), 0, 10, 4096),
  'read past the end': (file) => file['read']!(fresh(10), 0, 10, 10 ** 9),
  'write(buffer)': (file) => file['write']!(Buffer.from('0123456789')),
  'write(buffer, 2, 5, 3)': (file) => file['write']!(Buffer.from('0123456789'), 2, 5, 3),
  'write(buffer, { offset, length, position })': (file) =>
    file['write']!(Buffer.from('0123456789'), { offset: 2, length: 5, position: 3 }),
  'write at position -1, which is the own one': (file) => file['write']!(Buffer.from('0123'), 0, 4, -1),
  'write of an empty buffer': (file) => file['write']!(empty),
  'write of nothing': (file) => file['write']!(Buffer.from('0123'), 0, 0, 0),
  'write past the end, which leaves a hole': (file) => file['write']!(Buffer.from('0123'), 0, 4, 5000),
  "write('')": (file) => file['write']!(''),
  'write of a text': (file) => file['write']!('grün €'),
  'write of a text at a position': (file) => file['write']!('text', 10),
  'write of a text as latin1': (file) => file['write']!('grün', 10, 'latin1'),
  'write of a text as utf16le': (file) => file['write']!('grün', null, 'utf16le'),
  'write of a text as base64': (file) => file['write']!('Z3L8bg==', 0, 'base64'),
  'write of a text as hex': (file) => file['write']!('61626364', 0, 'hex'),
  'readv(buffers)': (file) => file['readv']!([fresh(3), fresh(5)]),
  'readv(buffers, 7)': (file) => file['readv']!([fresh(3), fresh(5)], 7),
  'readv(buffers, null)': (file) => file['readv']!([fresh(3), fresh(5)], null),
  'readv with empty buffers among others': (file) => file['readv']!([empty, fresh(3), empty, fresh(5)], 7),
  'readv across the end': (file) => file['readv']!([fresh(3), fresh(5), fresh(3)], 4092),
  'writev(buffers)': (file) => file['writev']!([Buffer.from('01'), Buffer.from('234')]),
  'writev(buffers, 7)': (file) => file['writev']!([Buffer.from('01'), Buffer.from('234')], 7),
  'writev with empty buffers among others': (file) => file['writev']!([empty, Buffer.from('01'), empty], 7),
  'writev([])': (file) => file['writev']!([]),
  'truncate()': (file) => file['truncate']!(),
  'truncate(-1)': (file) => file['truncate']!(-1),
  'truncate(10)': (file) => file['truncate']!(10),
  'truncate to more than there is': (file) => file['truncate']!(5000),
  'sync()': (file) => file['sync']!(),
  'datasync()': (file) => file['datasync']!(),
};

describe('does what FileHandle does', () => {
  test.each(Object.entries(acceptedAlike))('%s', async (_name, call) => {
    const expected = await onFileHandle((file) => effectOf(call, file));
    expect(await onAioFile((file) => effectOf(call, file))).toEqual(expected);
  });
});

const shared = new Uint8Array(new SharedArrayBuffer(8));
const resizable = new Uint8Array(
  new (ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer)(8, { maxByteLength: 16 }),
);

/** What FileHandle of some Node or other lets pass, most often by taking the file's own position instead. */
const refusedToo: Record<string, [string, Call]> = {
  'a text as position': ['ERR_INVALID_ARG_TYPE', (file) => file['read']!(buffer, 0, 1, '0')],
  'an object as position': ['ERR_INVALID_ARG_TYPE', (file) => file['write']!(buffer, 0, 1, {})],
  'a boolean as position': ['ERR_INVALID_ARG_TYPE', (file) => file['read']!(buffer, 0, 1, true)],
  'a text as position of readv': ['ERR_INVALID_ARG_TYPE', (file) => file['readv']!([buffer], '0')],
  'a text as position of writev': ['ERR_INVALID_ARG_TYPE', (file) => file['writev']!([buffer], '0')],
  'a text as position of a text': ['ERR_INVALID_ARG_TYPE', (file) => file['write']!('text', '0')],
  'a position below -1': ['ERR_OUT_OF_RANGE', (file) => file['read']!(buffer, 0, 1, -2)],
  'a bigint position below -1': ['ERR_OUT_OF_RANGE', (file) => file['read']!(buffer, 0, 1, -2n)],
  'a fraction as position': ['ERR_OUT_OF_RANGE', (file) => file['read']!(buffer, 0, 1, 1.5)],
  'NaN as position': ['ERR_OUT_OF_RANGE', (file) => file['write']!(buffer, 0, 1, Number.NaN)],
  'infinity as position': ['ERR_OUT_OF_RANGE', (file) => file['read']!(buffer, 0, 1, Number.POSITIVE_INFINITY)],
  'a range whose end has no exact number': [
    'ERR_OUT_OF_RANGE',
    (file) => file['read']!(buffer, 0, 1, Number.MAX_SAFE_INTEGER),
  ],
  'a bigint position that no file has': ['ERR_OUT_OF_RANGE', (file) => file['read']!(buffer, 0, 1, 2n ** 63n)],
  'a text as length of a read': ['ERR_INVALID_ARG_TYPE', (file) => file['read']!(buffer, 0, '1', 0)],
  'a text as length of a write': ['ERR_INVALID_ARG_TYPE', (file) => file['write']!(buffer, 0, '1', 0)],
  'a fraction as length': ['ERR_OUT_OF_RANGE', (file) => file['read']!(buffer, 0, 1.5, 0)],
  'an encoding that there is not': ['ERR_UNKNOWN_ENCODING', (file) => file['write']!('text', 0, 'nope')],
  'shared memory to read into': ['ERR_INVALID_ARG_VALUE', (file) => file['read']!(shared, 0, 8, 0)],
  'shared memory to write from': ['ERR_INVALID_ARG_VALUE', (file) => file['write']!(shared, 0, 8, 0)],
  'shared memory among others': ['ERR_INVALID_ARG_VALUE', (file) => file['readv']!([buffer, shared], 0)],
  'memory that can shrink, to read into': ['ERR_INVALID_ARG_VALUE', (file) => file['read']!(resizable, 0, 8, 0)],
  'memory that can shrink, to write from': ['ERR_INVALID_ARG_VALUE', (file) => file['write']!(resizable, 0, 8, 0)],
  'a number as options of sync': ['ERR_INVALID_ARG_TYPE', (file) => file['sync']!(5)],
  'a text as options of datasync': ['ERR_INVALID_ARG_TYPE', (file) => file['datasync']!('text')],
  'a number as options of readv': ['ERR_INVALID_ARG_TYPE', (file) => file['readv']!([buffer], 0, 5)],
  'a signal that is none': ['ERR_INVALID_ARG_TYPE', (file) => file['read']!(buffer, { signal: {} })],
  'a text as ioprio': ['ERR_INVALID_ARG_TYPE', (file) => file['read']!(buffer, { ioprio: '1' })],
  'an ioprio of more than 16 bits': ['ERR_OUT_OF_RANGE', (file) => file['read']!(buffer, { ioprio: 65536 })],
  'a number as dsync': ['ERR_INVALID_ARG_TYPE', (file) => file['write']!(buffer, { dsync: 1 })],
  'a number as nowait': ['ERR_INVALID_ARG_TYPE', (file) => file['read']!(buffer, { nowait: 1 })],
  'a callback that is none': ['ERR_INVALID_ARG_TYPE', (file) => file['read']!(buffer, 0, 1, 0, 'callback')],
  'preallocate at a text': ['ERR_INVALID_ARG_TYPE', (file) => file['preallocate']!('0', 1)],
  'preallocate below 0': ['ERR_OUT_OF_RANGE', (file) => file['preallocate']!(-1, 1)],
  'preallocate of a fraction': ['ERR_OUT_OF_RANGE', (file) => file['preallocate']!(0, 1.5)],
  'preallocate of more than numbers reach': [
    'ERR_OUT_OF_RANGE',
    (file) => file['preallocate']!(1, Number.MAX_SAFE_INTEGER),
  ],
  'preallocate of nothing': ['EINVAL', (file) => file['preallocate']!(0, 0)],
};

describe('is refused too', () => {
  test.each(Object.entries(refusedToo))('%s', async (_name, [code, call]) => {
    expect(await onAioFile((file) => outcomeOf(() => call(file)))).toBe(code);
    expect(await fs.readFile(path, 'utf8')).toBe(CONTENT);
    expect(context.stats()).toMatchObject({ queued: 0, inFlight: 0 });
  });
});

describe('of a context', () => {
  const make = (options: unknown) => () => new AioContext(options as object).close();
  const refused: Record<string, [string, () => unknown]> = {
    'null as options': ['ERR_INVALID_ARG_TYPE', make(null)],
    'a number as options': ['ERR_INVALID_ARG_TYPE', make(5)],
    'a text as depth': ['ERR_INVALID_ARG_TYPE', make({ depth: '1' })],
    'depth 0': ['ERR_OUT_OF_RANGE', make({ depth: 0 })],
    'a depth that no slot number has': ['ERR_OUT_OF_RANGE', make({ depth: 65536 })],
    'a fraction as depth': ['ERR_OUT_OF_RANGE', make({ depth: 1.5 })],
    'too little memory': ['ERR_OUT_OF_RANGE', make({ memory: 65535 })],
    'more memory than a WebAssembly memory has': ['ERR_OUT_OF_RANGE', make({ memory: 2 ** 32 })],
    'a number as hugePages': ['ERR_INVALID_ARG_TYPE', make({ hugePages: 1 })],
    'a text to allocate': ['ERR_INVALID_ARG_TYPE', () => context.allocate('1' as unknown as number)],
    'nothing to allocate': ['ERR_OUT_OF_RANGE', () => context.allocate(0)],
    'a fraction to allocate': ['ERR_OUT_OF_RANGE', () => context.allocate(1.5)],
    'a text to poll': ['ERR_INVALID_ARG_TYPE', () => context.poll('0' as unknown as number, 1)],
    'a descriptor below 0 to poll': ['ERR_OUT_OF_RANGE', () => context.poll(-1, 1)],
    'no events to poll for': ['ERR_OUT_OF_RANGE', () => context.poll(0, 0)],
    'more events than there are': ['ERR_OUT_OF_RANGE', () => context.poll(0, 65536)],
    'a signal for a poll that is none': [
      'ERR_INVALID_ARG_TYPE',
      () => context.poll(0, 1, { signal: 5 as unknown as AbortSignal }),
    ],
    'a descriptor that nobody has to poll': ['EBADF', () => context.poll(1_000_000, 1)],
    'a text to attach': ['ERR_INVALID_ARG_TYPE', () => context.attach('0' as unknown as number)],
    'a descriptor below 0 to attach': ['ERR_OUT_OF_RANGE', () => context.attach(-1)],
    'a descriptor that nobody has to attach': ['EBADF', () => context.attach(1_000_000)],
    'a wrong submit to attach': [
      'ERR_INVALID_ARG_VALUE',
      () => context.attach(0, { submit: 'nope' as unknown as 'auto' }),
    ],
  };

  test.each(Object.entries(refused))('%s is refused', async (_name, [code, call]) => {
    expect(await outcomeOf(call)).toBe(code);
  });
});
