import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { OwnPosition } from '../../src/file/position.ts';
import { AioContext, type AioFile } from '../../src/index.ts';
import { outcomeOf } from '../support/outcome.ts';
import { eventually } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();
const path = `${folder}/file`;
const content = randomFillSync(Buffer.alloc(300_003));

let context: AioContext;

beforeAll(() => {
  writeFileSync(path, content);
  context = new AioContext({ depth: 32, memory: 8 << 20 });
});
afterAll(() => context.close());

const opened = (): Promise<AioFile> => context.open(path, 'r', { direct: 'auto' });

test('a reader without memory of its own gets all bytes, and the file stays open', async () => {
  const file = await opened();
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.readableWebStream({ highWaterMark: 20_000 })) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(content)).toBe(true);
  expect(Math.max(...chunks.map(({ length }) => length))).toBe(16_384);
  expect(await eventually(() => file.state === 'idle')).toBe(true);
  await file.close();
});

test('a reader with memory of its own gets the bytes there, as many as fit', async () => {
  await using file = await opened();
  const reader = file.readableWebStream({ start: 5, end: 99_999 }).getReader({ mode: 'byob' });
  const chunks: Buffer[] = [];
  let memory = new Uint8Array(7000);
  for (;;) {
    const { done, value } = await reader.read(memory);
    if (done) break;
    expect(value.byteLength).toBeLessThanOrEqual(7000);
    chunks.push(Buffer.from(value));
    memory = new Uint8Array(value.buffer);
  }
  expect(Buffer.concat(chunks).equals(content.subarray(5, 100_000))).toBe(true);
});

test("it begins at the file's own position, and moves it on by what it gave out", async () => {
  await using file = await opened();
  await file.read(Buffer.alloc(4096), 0, 4096, null);
  const reader = file.readableWebStream({ highWaterMark: 4096 }).getReader();
  const { value } = await reader.read();
  expect(Buffer.from(value!).equals(content.subarray(4096, 8192))).toBe(true);
  await reader.cancel();
  const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, null);
  expect(buffer.equals(content.subarray(8192, 12_288))).toBe(true);
});

test('a stream that is cancelled or whose file is closed gives back its memory, and readers get to the end', async () => {
  const { buffers } = context.stats();
  const file = await opened();
  const cancelled = file.readableWebStream().getReader();
  await cancelled.read();
  await cancelled.cancel();
  const reader = file.readableWebStream({ start: 0 }).getReader({ mode: 'byob' });
  await reader.read(new Uint8Array(10));
  await file.close();
  expect((await reader.read(new Uint8Array(10))).done).toBe(true);
  expect(context.stats()).toMatchObject({ buffers, inFlight: 0 });
});

test.each(['it is cancelled', 'its file is closed'])(
  'a stream takes no memory where %s before it knows where to begin',
  async (what) => {
    const { buffers } = context.stats();
    const file = await opened();
    let begin: ((position: number) => void) | undefined;
    const position = vi.spyOn(OwnPosition.prototype, 'current').mockImplementationOnce(
      () =>
        new Promise((resolve) => {
          begin = resolve;
        }),
    );
    const reader = file.readableWebStream().getReader();
    const reading = reader.read();
    expect(await eventually(() => begin !== undefined)).toBe(true);
    position.mockRestore();
    await (what === 'it is cancelled' ? reader.cancel() : file.close());
    begin!(0);
    expect(await reading).toEqual({ done: true, value: undefined });
    await file.close();
    expect(context.stats()).toMatchObject({ buffers, inFlight: 0 });
  },
);

test('a stream that cannot find out where to begin fails, and leaves the file', async () => {
  const file = await opened();
  const position = vi.spyOn(OwnPosition.prototype, 'current').mockRejectedValueOnce(new Error('nowhere'));
  const reader = file.readableWebStream({ autoClose: true }).getReader();
  await expect(reader.read()).rejects.toThrow('nowhere');
  expect(file.state).toBe('closed');
  position.mockRestore();
});

test('file.close() closes the file though a reader has only a part of an element', async () => {
  const file = await context.open(path, 'r', { direct: 'auto', submit: 'offload' });
  const reader = file.readableWebStream({ start: content.length - 1 }).getReader({ mode: 'byob' });
  const { bytesRead } = context.stats();
  const reading = outcomeOf(() => reader.read(new Uint32Array(1)));
  // Then the last byte has come, and the request is under way that finds the end.
  while (context.stats().bytesRead === bytesRead) await new Promise(setImmediate);
  await file.close();
  expect(file.state).toBe('closed');
  expect(await reading).toBe('ERR_INVALID_STATE');
});

test('file.close() ends the other streams where one of them cannot be ended', async () => {
  const file = await opened();
  const [broken, other] = [file.createReadStream({ start: 0 }), file.createReadStream({ start: 0 })];
  broken.close = () => {
    throw new Error('broken');
  };
  const warned = once(process, 'warning');
  await file.close();
  expect((await warned)[0]).toMatchObject({ message: 'broken' });
  expect(other.destroyed).toBe(true);
  expect(file.state).toBe('closed');
});

test('autoClose closes the file at the end, after an error, and when the stream is cancelled', async () => {
  const ended = await opened();
  for await (const _ of ended.readableWebStream({ autoClose: true })) void _;
  expect(await eventually(() => ended.state === 'closed')).toBe(true);
  const cancelled = await opened();
  await cancelled.readableWebStream({ autoClose: true }).cancel();
  expect(cancelled.state).toBe('closed');
  const failing = await context.open(`${folder}/write-only`, 'w', { direct: 'auto' });
  const reader = failing.readableWebStream({ autoClose: true }).getReader();
  expect(await outcomeOf(() => reader.read())).toBe('EBADF');
  expect(failing.state).toBe('closed');
});

test('a file that is closed has no stream', async () => {
  const file = await opened();
  await file.close();
  expect(await outcomeOf(() => file.readableWebStream())).toBe('ERR_INVALID_STATE');
});
