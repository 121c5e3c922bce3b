// Mistakes of callers that fs.promises.FileHandle lets pass, or that it does not know: an AioFile says what is wrong. Those that both refuse
// are in filehandle.test.ts.
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

const loose = (file: AioFile): Loose => file as unknown as Loose;

async function onAioFile<T>(use: (file: Loose) => Promise<T>): Promise<T> {
  writeFileSync(path, CONTENT);
  const file = await context.open(path, 'r+', { direct: false });
  try {
    return await use(loose(file));
  } finally {
    await file.close();
  }
}

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

describe('is refused', () => {
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
