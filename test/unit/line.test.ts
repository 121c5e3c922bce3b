// truncate and preallocate among requests: behind those that were made before, and before those that are made after.
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { AioContext, type AioFile } from '../../src/index.ts';
import { outcomeOf } from '../support/outcome.ts';
import { scratchFolder } from '../support/scratch.ts';

const MIB = 1 << 20;
const path = `${scratchFolder()}/file`;
const context = new AioContext({ memory: 4 * MIB });
const block = context.allocate(4096).fill('b');
afterAll(() => context.close());
beforeEach(() => writeFileSync(path, ''));

describe.each([false, 'auto'] as const)('direct: %s', (direct) => {
  const open = (): Promise<AioFile> => context.open(path, 'r+', { direct });

  test.each<[string, (file: AioFile) => Promise<void>]>([
    ['preallocate', (file) => file.preallocate(8 * MIB, MIB)],
    ['truncate', (file) => file.truncate(9 * MIB)],
  ])('%s has its turn while others write without a pause', async (_name, call) => {
    const file = await open();
    let going = true;
    let written = 0;
    const go = (): void =>
      file.write(block, 0, 4096, 0, () => {
        written++;
        if (going) go();
      });
    for (let i = 0; i < 4; i++) go();
    await call(file);
    const before = written;
    // They go on.
    while (written < before + 10) await new Promise((resolve) => setImmediate(resolve));
    going = false;
    await file.close();
    expect(statSync(path).size).toBe(9 * MIB);
  });

  test('a stream that reserves space begins and ends while others write without a pause', async () => {
    const file = await open();
    let going = true;
    const go = (): void =>
      file.write(block, 0, 4096, 0, () => {
        if (going) go();
      });
    for (let i = 0; i < 4; i++) go();
    const stream = file.createWriteStream({ start: MIB, preallocate: MIB, autoClose: false });
    stream.end('the end');
    await once(stream, 'finish');
    going = false;
    await file.close();
    expect(statSync(path).size).toBe(MIB + 7);
  });

  test.each(['sync', 'datasync'] as const)(
    '%s waits for all of a writeFile that was requested before',
    async (sync) => {
      const pieces = [1, 2, 3].map((letter) => Buffer.alloc(2048, letter));
      const all = Buffer.concat(pieces);
      for (const data of [all, pieces, new Set(pieces)]) {
        for (const before of [undefined, 0]) {
          const file = await open();
          const truncated = before === undefined ? undefined : file.truncate(before);
          const written = file.writeFile(data);
          await file[sync]();
          expect(readFileSync(path).equals(all)).toBe(true);
          await Promise.all([truncated, written]);
          await file.close();
          writeFileSync(path, '');
        }
      }
    },
  );

  test('a sync does not wait for what an asynchronous iterable has not given yet', async () => {
    const file = await open();
    let give = (): void => {};
    const later = new Promise<void>((resolve) => {
      give = resolve;
    });
    const written = file.writeFile(
      (async function* () {
        yield 'first';
        await later;
        yield 'second';
      })(),
    );
    await file.sync();
    give();
    await written;
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('firstsecond');
  });

  test('what is written after a truncate stays, wherever it comes from', async () => {
    const file = await open();
    for (let i = 0; i < 20; i++) {
      await file.write(Buffer.alloc(9000, 'o'), 0, 9000, 0);
      await Promise.all([
        file.truncate(0),
        file.write(block, 0, 4096, 0),
        file.write(Buffer.from('own'), 0, 3, 5000),
        file.writev([Buffer.from('v')], 6000),
      ]);
      expect(readFileSync(path).toString('latin1')).toBe(
        `${'b'.repeat(4096)}${'\0'.repeat(904)}own${'\0'.repeat(997)}v`,
      );
    }
    await file.close();
  });

  test('calls that change the size come one after another', async () => {
    const file = await open();
    for (let i = 0; i < 30; i++) {
      await Promise.all([file.preallocate(0, MIB), file.truncate(10)]);
      expect(statSync(path).size).toBe(10);
    }
    await file.close();
  });

  test('a sync that comes after them waits for them', async () => {
    const file = await open();
    const ended: string[] = [];
    await Promise.all([
      file.write(block, 0, 4096, 0).then(() => ended.push('write')),
      file.truncate(100).then(() => ended.push('truncate')),
      file.sync().then(() => ended.push('sync')),
    ]);
    expect(ended).toEqual(['write', 'truncate', 'sync']);
    await file.close();
  });

  test.each([false, true])(
    'they come between the pieces of a writeFile that come by and by, and after all of one that is given at once (flush: %s)',
    async (flush) => {
      const file = await open();
      const calls: Promise<unknown>[] = [];
      async function* pieces(): AsyncGenerator<string> {
        for (let i = 0; i < 3; i++) {
          yield 'piece';
          calls.push(file.truncate(12), file.sync());
        }
      }
      await file.writeFile(pieces(), { flush });
      await Promise.all(calls);
      expect(readFileSync(path, 'utf8')).toBe('piecepiecepi');
      const later = [file.truncate(0), file.writeFile('later', { flush }), file.truncate(3)];
      await Promise.all(later);
      expect(readFileSync(path, 'latin1')).toBe('\0\0\0');
      await file.close();
    },
  );

  test('an iterable whose data is written may wait for other requests of the file beside them', async () => {
    const file = await open();
    const read: number[] = [];
    async function* pieces(): AsyncGenerator<string> {
      for (const piece of ['one ', 'two ', 'three']) {
        yield piece;
        read.push((await file.read(Buffer.alloc(100), 0, 100, 0)).bytesRead);
      }
    }
    const written = file.writeFile(pieces());
    const changes: Promise<void>[] = [];
    for (let i = 0; i < 20; i++) {
      changes.push(file.truncate(50));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all([written, ...changes]);
    expect(read.length).toBe(3);
    expect(readFileSync(path, 'latin1')).toBe('one two three'.padEnd(50, '\0'));
    await file.close();
  });

  test.each(['w+', 'a+'])(
    'requests behind them come in the order in which they were made, with a signal or not (%s)',
    async (flags) => {
      const file = await context.open(path, flags, { direct });
      const { signal } = new AbortController();
      const write = (text: string, options: { signal?: AbortSignal }) => file.write(Buffer.from(text), options);
      for (let round = 0; round < 5; round++) {
        await file.truncate(0);
        const begin = (await file.stat()).size;
        const ended = await Promise.all([
          file.truncate(0),
          write('first ', { signal }),
          write('second ', {}),
          file.writeFile('third ', { signal }),
          write('fourth', { signal }),
        ]);
        expect([begin, ended.length]).toEqual([0, 5]);
        expect(readFileSync(path, 'latin1').replaceAll('\0', '')).toBe('first second third fourth');
      }
      await file.close();
    },
  );

  test('memory that goes away while a writeFile waits for them is no success', async () => {
    const file = await open();
    const bytes = new Uint8Array(10).fill(65);
    const truncated = file.truncate(0);
    const written = outcomeOf(() => file.writeFile(bytes));
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect(await written).toBe('EFAULT');
    await truncated;
    expect(statSync(path).size).toBe(0);
    await file.close();
  });

  test('a request that is aborted while it waits for them is over, and holds nobody up', async () => {
    const file = await open();
    const controller = new AbortController();
    const first = file.truncate(100);
    const waiting = outcomeOf(() => file.read(Buffer.alloc(4096), { position: 0, signal: controller.signal }));
    const second = file.truncate(200);
    controller.abort();
    expect(await waiting).toBe('ABORT_ERR');
    await Promise.all([first, second]);
    expect((await file.read(Buffer.alloc(4096), 0, 4096, 0)).bytesRead).toBe(200);
    await file.close();
  });

  test('a request that may not wait says so', async () => {
    const file = await open();
    const truncated = file.truncate(100);
    expect(await outcomeOf(() => file.read(Buffer.alloc(4096), { position: 0, nowait: true }))).toBe('EAGAIN');
    await truncated;
    await file.close();
  });

  test('close() waits for all of them', async () => {
    const file = await open();
    const all = [file.truncate(100), file.write('x', 200), file.truncate(300), file.read(Buffer.alloc(10), 0, 10, 0)];
    await file.close();
    expect((await Promise.allSettled(all)).map(({ status }) => status)).toEqual(new Array(4).fill('fulfilled'));
    expect(statSync(path).size).toBe(300);
  });
});
