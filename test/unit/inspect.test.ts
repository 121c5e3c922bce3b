// What the objects say of themselves, to console.log and under NODE_DEBUG.
import { writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { block } from '../support/blocker.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
writeFileSync(path, Buffer.alloc(4096, 'x'));

test('a context shows its limits, its load, and whether it is closed', async () => {
  const context = new AioContext({ depth: 1, memory: 1 << 20 });
  const file = await context.open(path, 'r', { direct: false });
  const free = context.stats().freeBytes;
  expect(inspect(context, { breakLength: Number.POSITIVE_INFINITY })).toBe(
    `AioContext { closed: false, depth: 1, queued: 0, inFlight: 0, freeBytes: ${free} }`,
  );
  const blocker = await block(context);
  const read = file.read(Buffer.alloc(1), 0, 1, 0);
  expect(inspect(context)).toMatch(/queued: 1,\s+inFlight: 1/);
  await blocker.release();
  await read;
  await context.close();
  expect(inspect(context)).toContain('closed: true');
});

test('a file shows its descriptor, its path and how it is aligned', async () => {
  const context = new AioContext({ memory: 65536 });
  const file = await context.open(path, 'r', { direct: false });
  const shown = inspect(file);
  for (const part of [`fd: ${file.fd}`, `path: '${path}'`, 'direct: false', 'memory: 1, offset: 1']) {
    expect(shown).toContain(part);
  }
  await file.close();
  expect(inspect(file)).toContain('fd: -1');
  expect(inspect({ file })).toContain('AioFile {');
  await context.close();
});

test('the counters tell what was done', async () => {
  const context = new AioContext({ memory: 1 << 20 });
  const file = await context.open(path, 'r+', { direct: false });
  await file.write(Buffer.alloc(1000, 'y'), 0, 1000, 0);
  await file.read(Buffer.alloc(300), 0, 300, 0);
  await file.read(Buffer.alloc(1), 0, 1, -5).catch(() => {});
  await file.sync();
  expect(context.stats()).toMatchObject({
    requested: 3,
    completed: 3,
    failed: 0,
    aborted: 0,
    bytesWritten: 1000,
    bytesRead: 300,
    copiedBytes: 1300,
    queued: 0,
    inFlight: 0,
    inFlightBytes: 0,
    buffers: 0,
  });
  await file.close();
  await context.close();
});
