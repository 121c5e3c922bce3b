// Where a request goes that is given no position, and where one goes that is.
import { once } from 'node:events';
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { AioContext, type AioFile } from '../../src/index.ts';
import { block } from '../support/blocker.ts';
import { outcomeOf } from '../support/outcome.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
const context = new AioContext({ memory: 1 << 20 });
const open = (flags = 'r+') => context.open(path, flags, { direct: false });
afterAll(() => context.close());
beforeEach(() => writeFileSync(path, '0123456789'));

const text = async (reading: Promise<{ bytesRead: number; buffer: Buffer }>): Promise<string> => {
  const { bytesRead, buffer } = await reading;
  return buffer.toString('latin1', 0, bytesRead);
};

describe('the own position', () => {
  test('moves on by what each of many requests made at once has transferred', async () => {
    const file = await open();
    const reads = [3, 3, 3, 3, 3].map((length) => text(file.read(Buffer.alloc(length))));
    expect(await Promise.all(reads)).toEqual(['012', '345', '678', '9', '']);
    await file.close();
  });

  test('is one for reads, writes, vectors and texts, with promises and with callbacks', async () => {
    const file = await open();
    const results = [
      text(file.read(Buffer.alloc(1))),
      file.write(Buffer.from('ab')),
      file.write('cd'),
      file.writev([Buffer.from('e'), Buffer.from('f')]),
      file.readv([Buffer.alloc(1), Buffer.alloc(1)]).then(({ buffers }) => buffers.map(String)),
    ];
    const called = new Promise<unknown[]>((resolve) => {
      file.read(Buffer.alloc(1), null, null, null, (...given) => resolve(given.map(String)));
    });
    const [first, , , , vector] = await Promise.all(results);
    expect([first, vector]).toEqual(['0', ['7', '8']]);
    expect(await called).toEqual(['null', '1', '9']);
    expect(readFileSync(path, 'latin1')).toBe('0abcdef789');
    await file.close();
  });

  test('stays where it is for requests with a position, and for those that fail', async () => {
    const file = await open();
    const all = [
      text(file.read(Buffer.alloc(2), 0, 2, 5)),
      text(file.read(Buffer.alloc(2))),
      outcomeOf(() => file.read({ buffer: Buffer.alloc(2), signal: AbortSignal.abort() })),
      text(file.read(Buffer.alloc(2))),
    ];
    expect(await Promise.all(all)).toEqual(['56', '01', 'ABORT_ERR', '23']);
    await file.close();
  });

  test('belongs to each file that is opened', async () => {
    const files = await Promise.all([open(), open()]);
    const reads = files.flatMap((file) => [text(file.read(Buffer.alloc(4))), text(file.read(Buffer.alloc(4)))]);
    expect(await Promise.all(reads)).toEqual(['0123', '4567', '0123', '4567']);
    await Promise.all(files.map((file) => file.close()));
  });

  test('holds no request up that has a position', async () => {
    const small = new AioContext({ depth: 1, memory: 65536 });
    const file = await small.open(path, 'r', { direct: false });
    const order: string[] = [];
    const blocker = await block(small);
    const all = [
      file.read(Buffer.alloc(1)).then(() => order.push('own')),
      file.read(Buffer.alloc(1)).then(() => order.push('own')),
      file.read(Buffer.alloc(1), 0, 1, 0).then(() => order.push('placed')),
    ];
    await blocker.release();
    await Promise.all(all);
    expect(order.indexOf('placed')).toBeLessThan(2);
    await small.close();
  });
});

describe('the own position of a file that appends', () => {
  const appending = (): Promise<AioFile> => context.open(path, 'a+', { direct: false });
  const own = (file: AioFile): Promise<string> => text(file.read(Buffer.alloc(100)));

  test('is where its requests have come in the order in which they were made', async () => {
    const file = await appending();
    const all = [
      text(file.read(Buffer.alloc(3))),
      text(file.read(Buffer.alloc(3))),
      file.write('abc').then(() => ''),
      own(file),
    ];
    expect(await Promise.all(all)).toEqual(['012', '345', '', '']);
    await file.close();
  });

  test('stays where it is for what appends nothing', async () => {
    const file = await appending();
    await file.write(Buffer.from('abc'), 0, 0);
    await file.writev([]);
    expect(await outcomeOf(() => file.write(Buffer.from('z'), { signal: AbortSignal.abort() }))).toBe('ABORT_ERR');
    await file.write(Buffer.from('at a position'), 0, 2, 5);
    expect(await own(file)).toBe('0123456789at');
    await file.close();
  });

  test('is where its append ended, whoever appends after that', async () => {
    const file = await appending();
    await file.write('abc');
    appendFileSync(path, 'DEF');
    expect(await own(file)).toBe('DEF');
    await file.close();
  });

  test('keeps no append waiting that would rather fail', async () => {
    writeFileSync(path, '');
    const file = await context.open(path, 'a+', { direct: false });
    const order: string[] = [];
    const ended = (what: string) => () => void order.push(what);
    await Promise.all([
      file.readFile().then(ended('read')),
      file.write(Buffer.from('x'), { nowait: true }).then(ended('written'), ended('refused')),
    ]);
    // Buffered appends are off-thread as a rule, and then this kernel refuses.
    expect(order.at(-1)).toBe('read');
    await file.close();
  });

  test('is the end after a stream has written', async () => {
    for (const bytes of [10, 4096, 10_000]) {
      const file = await appending();
      const stream = file.createWriteStream({ autoClose: false, highWaterMark: 4096 });
      stream.end(Buffer.alloc(bytes, 'x'));
      await once(stream, 'finish');
      expect(await own(file)).toBe('');
      await file.close();
    }
  });
});

describe('a position', () => {
  test('may be a bigint', async () => {
    const file = await open();
    expect(await text(file.read(Buffer.alloc(3), 0, 3, 4n))).toBe('456');
    await file.write(Buffer.from('ab'), 0, 2, 8n);
    expect(await file.readv([Buffer.alloc(2)], 8n).then(({ buffers }) => String(buffers[0]))).toBe('ab');
    await file.close();
  });

  test('beyond 32 bits goes there', async () => {
    const file = await open();
    const far = 2 ** 33 + 5;
    await file.write(Buffer.from('far'), 0, 3, far);
    expect((await file.stat()).size).toBe(far + 3);
    expect(await text(file.read(Buffer.alloc(10), 0, 10, far - 1))).toBe('\0far');
    await file.truncate(10);
    await file.close();
  });

  test('beyond what the kernel takes is its error, with the place', async () => {
    const file = await open();
    await expect(file.write(Buffer.from('x'), 0, 1, Number.MAX_SAFE_INTEGER - 1)).rejects.toMatchObject({
      code: 'EFBIG',
      syscall: 'write',
      path,
      offset: Number.MAX_SAFE_INTEGER - 1,
      length: 1,
    });
    await file.close();
  });
});

describe('the end of the file', () => {
  test('makes a read short, and one beyond it empty', async () => {
    const file = await open('r');
    expect(await text(file.read(Buffer.alloc(8), 0, 8, 6))).toBe('6789');
    expect((await file.read(Buffer.alloc(8), 0, 8, 10)).bytesRead).toBe(0);
    expect((await file.readv([Buffer.alloc(2), Buffer.alloc(2)], 9)).bytesRead).toBe(1);
    await file.close();
  });

  test('is the one that is there now, whoever moved it', async () => {
    const file = await open('r');
    truncateSync(path, 4);
    expect(await text(file.read(Buffer.alloc(8), 0, 8, 0))).toBe('0123');
    writeFileSync(path, 'longer than it was');
    expect(await text(file.read(Buffer.alloc(18), 0, 18, 0))).toBe('longer than it was');
    await file.close();
  });
});

describe('a file that appends', () => {
  test('gets everything at its end, in order, whatever position is given', async () => {
    const file = await open('a+');
    const pieces = Array.from({ length: 40 }, (_, i) => `<${i}>`);
    const writes = pieces.map((piece, i) =>
      i % 2 === 0 ? file.write(Buffer.from(piece), 0, piece.length, 0) : file.write(piece),
    );
    const results = await Promise.all(writes);
    expect(results.map(({ bytesWritten }) => bytesWritten)).toEqual(pieces.map(({ length }) => length));
    expect(readFileSync(path, 'latin1')).toBe(`0123456789${pieces.join('')}`);
    expect(await text(file.read(Buffer.alloc(4), 0, 4, 0))).toBe('0123');
    await file.close();
  });

  test('goes on at the end after it was cut off', async () => {
    const file = await open('a');
    await file.truncate(2);
    await file.write('x');
    expect(readFileSync(path, 'latin1')).toBe('01x');
    await file.close();
  });

  test('gets a large vector in one piece', async () => {
    const file = await open('a');
    const large = Buffer.alloc(700_000, 'L');
    const writes = [file.writev([large, Buffer.from('!')]), file.write('after')];
    await Promise.all(writes);
    const written = readFileSync(path, 'latin1');
    expect(written.length).toBe(10 + 700_001 + 5);
    expect(written.endsWith('L!after')).toBe(true);
    await file.close();
  });
});

describe('the size of a file', () => {
  test('is what truncate and preallocate make it, and what was not written is zero', async () => {
    const file = await open();
    await file.truncate(4);
    await file.preallocate(2, 6);
    expect((await file.stat()).size).toBe(8);
    expect(readFileSync(path, 'latin1')).toBe('0123\0\0\0\0');
    await file.preallocate(0, 2);
    expect((await file.stat({ bigint: true })).size).toBe(8n);
    await file.truncate();
    expect(readFileSync(path, 'latin1')).toBe('');
    await file.close();
  });

  test('changes only after the writes that were requested before', async () => {
    const file = await open();
    const done = [file.write('abcdefgh', 0), file.truncate(3), file.stat()];
    await Promise.all(done);
    expect(readFileSync(path, 'latin1')).toBe('abc');
    await file.close();
  });

  test('of a file that can only be read stays, with an error that names the path', async () => {
    const file = await open('r');
    await expect(file.truncate(1)).rejects.toMatchObject({ code: 'EINVAL', syscall: 'ftruncate' });
    await expect(file.preallocate(0, 100)).rejects.toMatchObject({ code: 'EBADF', syscall: 'fallocate', path });
    await expect(file.write('x', 0)).rejects.toMatchObject({ code: 'EBADF', syscall: 'write', path });
    expect(readFileSync(path, 'latin1')).toBe('0123456789');
    await file.close();
  });
});
