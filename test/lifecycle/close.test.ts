// The end of files and contexts: at any moment, twice, together, and with everything that was requested before.
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { block } from '../support/blocker.ts';
import { dist, runNode } from '../support/child.ts';
import { outcomeOf, turn } from '../support/outcome.ts';
import { contextCount, openDescriptors } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();
const path = `${folder}/file`;
beforeEach(() => writeFileSync(path, Buffer.alloc(65536, 'o')));

const newContext = (): AioContext => new AioContext({ depth: 1, memory: 1 << 20 });
const openIn = (context: AioContext, flags = 'r+') => context.open(path, flags, { direct: false });

describe('file.close()', () => {
  test('waits for what was requested, at a position and at the own one', async () => {
    const context = newContext();
    const file = await openIn(context);
    const blocker = await block(context);
    const ended: string[] = [];
    const note = (name: string) => () => ended.push(name);
    const requests = [
      file.write('1', 0).then(note('write')),
      file.write('2').then(note('own write')),
      file.write('3').then(note('second own write')),
      file.read(Buffer.alloc(1)).then(note('own read')),
      file.sync().then(note('sync')),
    ];
    const closed = file.close().then(note('close'));
    await turn();
    expect(file.fd).toBeGreaterThan(0);
    await blocker.release();
    await Promise.all([...requests, closed]);
    expect(ended.at(-1)).toBe('close');
    expect(ended).toHaveLength(6);
    expect(readFileSync(path, 'latin1').slice(0, 2)).toMatch(/^[12]3$/);
    await context.close();
  });

  test('waits for what changes the size, though other threads do that', async () => {
    const context = newContext();
    for (let round = 0; round < 20; round++) {
      const file = await openIn(context);
      const ended: string[] = [];
      const all = [
        file.truncate(10_000).then(() => ended.push('truncate')),
        file.preallocate(0, 20_000).then(() => ended.push('preallocate')),
        file.stat().then(() => ended.push('stat')),
      ];
      const closed = file.close().then(() => ended.push('close'));
      await Promise.all([...all, closed]);
      expect(ended.at(-1)).toBe('close');
    }
    await context.close();
  });

  test('called twice and together resolves each time, and closes one descriptor', async () => {
    const context = newContext();
    const file = await openIn(context);
    const descriptors = openDescriptors();
    let events = 0;
    file.on('close', () => events++);
    await Promise.all([file.close(), file.close(), file[Symbol.asyncDispose]()]);
    await file.close();
    expect(openDescriptors()).toBe(descriptors - 1);
    expect(events).toBe(1);
    await context.close();
  });

  test('says what the kernel says where somebody else has closed the descriptor', async () => {
    const context = newContext();
    const file = await openIn(context);
    closeSync(file.fd);
    expect(await outcomeOf(() => file.close())).toBe('EBADF');
    await outcomeOf(() => context.close());
    expect(context.stats().inFlight).toBe(0);
  });

  test('of one file does not wait for those of others', async () => {
    const context = new AioContext({ depth: 1, memory: 1 << 20 });
    const [busy, idle] = [await openIn(context), await openIn(context)];
    const blocker = await block(context);
    const read = busy.read(Buffer.alloc(10), 0, 10, 0);
    await idle.close();
    expect(context.stats().queued).toBe(1);
    await blocker.release();
    await read;
    await context.close();
  });

  test('ends an "await using" declaration', async () => {
    const context = newContext();
    const descriptors = openDescriptors();
    {
      await using file = await openIn(context);
      expect(file.fd).toBeGreaterThan(0);
    }
    expect(openDescriptors()).toBe(descriptors);
    await context.close();
  });
});

describe('file.drain()', () => {
  test('resolves when nothing of the file is left, own positions included', async () => {
    const context = newContext();
    const file = await openIn(context);
    let ended = 0;
    for (let i = 0; i < 10; i++) void file.read(Buffer.alloc(1)).then(() => ended++);
    await file.drain();
    await turn();
    expect(ended).toBe(10);
    await file.drain();
    await context.close();
  });
});

describe('context.close()', () => {
  test('waits for its files, closes them, and gives everything back', async () => {
    const before = { descriptors: openDescriptors(), contexts: contextCount() };
    const context = newContext();
    const files = await Promise.all([openIn(context), openIn(context), openIn(context)]);
    const requests = files.map((file, i) => file.write(Buffer.alloc(4096, 'n'), 0, 4096, i * 4096));
    await context.close();
    expect((await Promise.all(requests)).map(({ bytesWritten }) => bytesWritten)).toEqual([4096, 4096, 4096]);
    expect(readFileSync(path).subarray(0, 12288).equals(Buffer.alloc(12288, 'n'))).toBe(true);
    expect(files.map(({ fd }) => fd)).toEqual([-1, -1, -1]);
    expect({ descriptors: openDescriptors(), contexts: contextCount() }).toEqual(before);
  });

  test('called twice, and together with those of its files, resolves each time', async () => {
    const context = newContext();
    const file = await openIn(context);
    const write = file.write('x', 0);
    await Promise.all([context.close(), file.close(), context.close(), context[Symbol.asyncDispose]()]);
    expect((await write).bytesWritten).toBe(1);
    await Promise.all([file.close(), context.close()]);
  });

  test('while a file is being opened leaves no descriptor open', async () => {
    const descriptors = openDescriptors();
    const fd = openSync(path, 'r');
    for (const when of [0, 1, 2]) {
      const context = newContext();
      const opening = [outcomeOf(() => openIn(context)), outcomeOf(() => context.attach(fd, {}))];
      for (let i = 0; i < when; i++) await Promise.resolve();
      await context.close();
      expect(await Promise.all(opening)).toEqual(['ERR_AIO_CONTEXT_CLOSED', 'ERR_AIO_CONTEXT_CLOSED']);
    }
    closeSync(fd);
    expect(openDescriptors()).toBe(descriptors);
  });

  test('says which descriptor does not close, and gives everything else back all the same', async () => {
    const contexts = contextCount();
    const descriptors = openDescriptors();
    const context = newContext();
    const files = [await openIn(context), await openIn(context), await openIn(context)];
    closeSync(files[0]!.fd);
    const request = files[1]!.read(Buffer.alloc(10), 0, 10, 0);
    await expect(context.close()).rejects.toMatchObject({ code: 'EBADF', syscall: 'close' });
    expect((await request).bytesRead).toBe(10);
    expect(files.map(({ state }) => state)).toEqual(['closed', 'closed', 'closed']);
    expect([contextCount(), openDescriptors()]).toEqual([contexts, descriptors]);
  });

  test('of the default one makes way for a new one', async () => {
    const first = AioContext.default;
    expect(AioContext.default).toBe(first);
    await first.close();
    const second = AioContext.default;
    expect(second).not.toBe(first);
    const file = await openIn(second);
    expect((await file.read(Buffer.alloc(1), 0, 1, 0)).bytesRead).toBe(1);
    await second.close();
  });

  test('leaves other contexts alone', async () => {
    const [one, other] = [newContext(), newContext()];
    const files = [await openIn(one), await openIn(other)];
    await one.close();
    expect(await outcomeOf(() => files[0]!.read(Buffer.alloc(1), 0, 1, 0))).toBe('EBADF');
    expect((await files[1]!.read(Buffer.alloc(1), 0, 1, 0)).bytesRead).toBe(1);
    await other.close();
  });
});

test('two contexts and four workers at once do their work and end', async () => {
  const source = `import { AioContext } from '${dist}index.js';
    import { workerData } from 'node:worker_threads';
    const contexts = [new AioContext({ depth: 8, memory: 1 << 20 }), AioContext.default];
    // A file that is dropped before its context is closed would be worth a warning.
    export const files = [];
    for (const [i, context] of contexts.entries()) {
      const file = await context.open(workerData + i, 'w+', { direct: 'auto' });
      files.push(file);
      const data = Buffer.alloc(65536, i + 1);
      await Promise.all(Array.from({ length: 50 }, (_, at) => file.write(data, 0, 65536, at * 65536)));
      const back = Buffer.alloc(65536);
      for (let at = 0; at < 50; at++) {
        await file.read(back, 0, 65536, at * 65536);
        if (!back.equals(data)) throw new Error('other bytes came back');
      }
    }
    await contexts[0].close();`;
  const { code, stderr, stdout } = await runNode(`
    import { Worker } from 'node:worker_threads';
    const url = new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(source)}));
    for (let i = 0; i < 4; i++) {
      new Worker(url, { workerData: ${JSON.stringify(folder)} + '/worker' + i + '-' }).on('exit', (code) => console.log(code));
    }`);
  expect(stderr).toBe('');
  expect([code, stdout]).toEqual([0, '0\n0\n0\n0\n']);
});
