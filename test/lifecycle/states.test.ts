// Every operation in every state of its file and its context, each with one defined result. The rows are held against what the classes
// export: a method that is added without a row makes this fail.
import { writeFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { inspect } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import * as kaio from '../../src/index.ts';
import { AioContext, type AioFile, copyFile, open, support } from '../../src/index.ts';
import { eventfd } from '../../src/raw/index.ts';
import { type Blocker, block } from '../support/blocker.ts';
import { outcomeOf, submitted, turn } from '../support/outcome.ts';
import { eventually, openDescriptors } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';

const BYTES = 65536;
const POLLIN = 1;
const POLLOUT = 4;

const folder = scratchFolder();
const path = `${folder}/file`;
writeFileSync(path, Buffer.alloc(BYTES, 'x'));

/** What an operation is tried on. */
interface Stage {
  context: AioContext;
  /** Where a test looks at nothing but the context, its file is there as well. In state `opening` there is none. */
  file: AioFile;
  signal?: AbortSignal;
}

/**
 * - `opening`: an `open` of the context has not resolved; only the context can be asked for anything yet
 * - `open`: nothing is requested
 * - `busy`: an earlier request of the file waits for a slot
 * - `closing`, `closed`: `file.close()` was called and waits for such a request; it has resolved
 * - `context closing`, `context closed`: the same with `context.close()`
 * - `aborted before`: the operation is given a signal that is aborted already
 * - `aborted in flight`: the signal is aborted while the kernel has the request
 */
const states = [
  'opening',
  'open',
  'busy',
  'closing',
  'closed',
  'context closing',
  'context closed',
  'aborted before',
  'aborted in flight',
] as const;
type State = (typeof states)[number];

/** What `run` gives where it is a text, `'ok'`, or the code of the error. */
type Row = { run: (stage: Stage) => unknown } & Record<State, string>;

/** There is nothing to call, or nothing to abort: it takes no signal. */
const NA = 'not applicable';

const unabortable = { 'aborted before': NA, 'aborted in flight': NA };
const abortable = { 'aborted before': 'ABORT_ERR', 'aborted in flight': 'ABORT_ERR' };
/** Uses the descriptor of its file. */
const onDescriptor = {
  opening: NA,
  open: 'ok',
  busy: 'ok',
  closing: 'EBADF',
  closed: 'EBADF',
  'context closing': 'EBADF',
  'context closed': 'EBADF',
};
/** Of a file, and right at any time. */
const always = {
  opening: NA,
  open: 'ok',
  busy: 'ok',
  closing: 'ok',
  closed: 'ok',
  'context closing': 'ok',
  'context closed': 'ok',
  ...unabortable,
};
/** Needs a context that is open, whatever its files do. */
const onContext = {
  opening: 'ok',
  open: 'ok',
  busy: 'ok',
  closing: 'ok',
  closed: 'ok',
  'context closing': 'ERR_AIO_CONTEXT_CLOSED',
  'context closed': 'ERR_AIO_CONTEXT_CLOSED',
};
const anytime = { ...always, opening: 'ok' };
const neverCalled = Object.fromEntries(states.map((state) => [state, NA])) as Record<State, string>;

function same(actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`got ${inspect(actual)} and not ${inspect(expected)}`);
}

const fileRows: Record<string, Row> = {
  // Files are made by open() and attach(), which have rows of their own.
  constructor: { run: () => {}, ...neverCalled },
  fd: {
    run: ({ file }) => (file.fd === -1 ? 'closed' : 'open'),
    ...always,
    open: 'open',
    busy: 'open',
    closing: 'open',
    closed: 'closed',
    'context closing': 'open',
    'context closed': 'closed',
  },
  path: { run: ({ file }) => same(file.path, path), ...always },
  state: {
    run: ({ file }) => file.state,
    ...always,
    open: 'idle',
    busy: 'busy',
    closing: 'closing',
    closed: 'closed',
    'context closing': 'closing',
    'context closed': 'closed',
  },
  read: {
    run: async ({ file, signal }) => {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(BYTES), { position: 0, signal });
      same(bytesRead, BYTES);
      same(buffer[BYTES - 1], 120);
    },
    ...onDescriptor,
    ...abortable,
  },
  write: {
    run: async ({ file, signal }) =>
      same((await file.write(Buffer.alloc(BYTES, 'x'), { position: 0, signal })).bytesWritten, BYTES),
    ...onDescriptor,
    ...abortable,
  },
  readv: {
    run: async ({ file, signal }) =>
      same((await file.readv([Buffer.alloc(BYTES / 2), Buffer.alloc(BYTES / 2)], 0, { signal })).bytesRead, BYTES),
    ...onDescriptor,
    ...abortable,
  },
  writev: {
    run: async ({ file, signal }) =>
      same((await file.writev([Buffer.alloc(BYTES, 'x')], 0, { signal })).bytesWritten, BYTES),
    ...onDescriptor,
    ...abortable,
  },
  readFile: {
    run: async ({ file, signal }) => same((await file.readFile({ signal })).byteLength, BYTES),
    ...onDescriptor,
    ...abortable,
  },
  writeFile: {
    run: async ({ file, signal }) => same(await file.writeFile(Buffer.alloc(BYTES, 'x'), { signal }), undefined),
    ...onDescriptor,
    ...abortable,
  },
  appendFile: {
    run: async ({ file, signal }) => same(await file.appendFile('x'.repeat(BYTES), { signal }), undefined),
    ...onDescriptor,
    ...abortable,
  },
  sync: {
    run: async ({ file, signal }) => same(await file.sync({ signal }), undefined),
    ...onDescriptor,
    ...abortable,
  },
  datasync: {
    run: async ({ file, signal }) => same(await file.datasync({ signal }), undefined),
    ...onDescriptor,
    ...abortable,
  },
  stat: { run: async ({ file }) => same((await file.stat()).size, BYTES), ...onDescriptor, ...unabortable },
  chmod: { run: async ({ file }) => same(await file.chmod(0o644), undefined), ...onDescriptor, ...unabortable },
  chown: { run: async ({ file }) => same(await file.chown(-1, -1), undefined), ...onDescriptor, ...unabortable },
  utimes: { run: async ({ file }) => same(await file.utimes(1, 1), undefined), ...onDescriptor, ...unabortable },
  truncate: {
    run: async ({ file }) => same(await file.truncate(BYTES), undefined),
    ...onDescriptor,
    ...unabortable,
  },
  preallocate: {
    run: async ({ file }) => same(await file.preallocate(0, BYTES), undefined),
    ...onDescriptor,
    ...unabortable,
  },
  createReadStream: {
    run: async ({ file, signal }) => same((await buffer(file.createReadStream({ start: 0, signal }))).length, BYTES),
    ...onDescriptor,
    ...abortable,
  },
  createWriteStream: {
    run: async ({ file, signal }) => {
      const stream = file.createWriteStream({ start: 0, signal });
      stream.end(Buffer.alloc(BYTES, 'x'));
      await finished(stream);
    },
    ...onDescriptor,
    ...abortable,
  },
  readableWebStream: {
    run: async ({ file }) => same((await buffer(file.readableWebStream({ start: 0 }))).length, BYTES),
    ...onDescriptor,
    closing: 'ERR_INVALID_STATE',
    closed: 'ERR_INVALID_STATE',
    'context closing': 'ERR_INVALID_STATE',
    'context closed': 'ERR_INVALID_STATE',
    ...unabortable,
  },
  readLines: {
    run: async ({ file, signal }) => {
      for await (const line of file.readLines({ start: 0, signal })) same(line.length, BYTES);
    },
    ...onDescriptor,
    ...abortable,
  },
  drain: { run: async ({ file }) => same(await file.drain(), undefined), ...always },
  getAsyncId: { run: ({ file }) => same(file.getAsyncId() > 0, true), ...always },
  close: { run: async ({ file }) => same(await file.close(), undefined), ...always },
  '[Symbol.asyncDispose]': {
    run: async ({ file }) => same(await file[Symbol.asyncDispose](), undefined),
    ...always,
  },
  '[inspect.custom]': {
    run: ({ file }) => same(inspect(file).startsWith('AioFile {'), true),
    ...always,
  },
};

const contextRows: Record<string, Row> = {
  // A new one is another context, which the state of this one does not touch.
  constructor: { run: () => new AioContext({ depth: 1, memory: BYTES }).close(), ...anytime },
  default: { run: () => same(AioContext.default.closed, false), ...anytime },
  open: {
    run: async ({ context }) => await (await context.open(path, 'r', { direct: 'auto' })).close(),
    ...onContext,
    ...unabortable,
  },
  attach: {
    run: async ({ context }) => await (await context.attach(process.stdin.fd)).close(),
    ...onContext,
    ...unabortable,
  },
  allocate: {
    run: ({ context }) => context.allocate(4096)[Symbol.dispose](),
    ...onContext,
    ...unabortable,
  },
  closed: {
    run: ({ context }) => String(context.closed),
    ...anytime,
    opening: 'false',
    open: 'false',
    busy: 'false',
    closing: 'false',
    closed: 'false',
    'context closing': 'true',
    'context closed': 'true',
  },
  poll: {
    // One is ready at once, the other never.
    run: async ({ context, signal }) =>
      same(await context.poll(ready, signal?.aborted === false ? POLLIN : POLLOUT, signal && { signal }), POLLOUT),
    ...onContext,
    ...abortable,
  },
  stats: { run: ({ context }) => same(context.stats().depth, 1), ...anytime },
  ref: { run: ({ context }) => same(context.ref(), context), ...anytime },
  // And back: what the next states wait for would not keep the process.
  unref: { run: ({ context }) => same(context.unref().ref(), context), ...anytime },
  close: { run: async ({ context }) => same(await context.close(), undefined), ...anytime },
  '[Symbol.asyncDispose]': {
    run: async ({ context }) => same(await context[Symbol.asyncDispose](), undefined),
    ...anytime,
  },
  '[inspect.custom]': {
    run: ({ context }) => same(inspect(context).startsWith('AioContext {'), true),
    ...anytime,
  },
};

const functionRows: Record<string, Row> = {
  open: {
    run: async ({ context }) => await (await open(path, 'r', { context, direct: 'auto' })).close(),
    ...onContext,
    ...unabortable,
  },
  copyFile: {
    // When it comes to make the copy durable in its folder, that has its name already, and nothing ends it.
    run: async ({ context, signal }) =>
      same((await copyFile(path, `${path}.copy`, { context, signal, flush: false })).size, BYTES),
    ...onContext,
    ...abortable,
  },
  support: { run: () => same(support().supported, true), ...anytime },
};

/** Writable at any time, and never readable. */
const ready = eventfd(0, 0);

/** Symbols have other descriptions on other versions of Node. */
function nameOf(key: string | symbol): string {
  if (key === Symbol.asyncDispose) return '[Symbol.asyncDispose]';
  return key === inspect.custom ? '[inspect.custom]' : String(key);
}

/** The names and symbols that a class gives its objects, and its own statics. */
function membersOf(type: { prototype: object }): string[] {
  const statics = Object.getOwnPropertyNames(type).filter((name) => !['length', 'name', 'prototype'].includes(name));
  return [...Reflect.ownKeys(type.prototype).map(nameOf), ...statics].sort();
}

test('the matrix has a row for everything that is exported', () => {
  expect(Object.keys(fileRows).sort()).toEqual(membersOf(kaio.AioFile));
  expect(Object.keys(contextRows).sort()).toEqual(membersOf(AioContext));
  const functions = Object.entries(kaio).filter(([, value]) => value !== kaio.AioFile && value !== AioContext);
  expect(Object.keys(functionRows).sort()).toEqual(functions.map(([name]) => name).sort());
});

async function newStage(): Promise<Stage> {
  const context = new AioContext({ depth: 1, memory: 262144 });
  // A thread takes each request over: no completion can come in the turn that submits it.
  return { context, file: await context.open(path, 'r+', { direct: 'auto', submit: 'offload' }) };
}

/** For the states that leave the context as it was. A context costs 30 ms to destroy. */
let common: Stage | undefined;

afterAll(async () => {
  await common?.context.close();
  await AioContext.default.close();
});

/** A stage whose file may be closed afterwards, of the common context. */
async function commonStage(): Promise<Stage> {
  common ??= await newStage();
  const { context } = common;
  return { context, file: await context.open(path, 'r+', { direct: 'auto', submit: 'offload' }) };
}

/** Nothing may be left of what was requested. */
async function leave({ context, file }: Stage): Promise<void> {
  await file.close();
  // The event of a poll that was aborted comes a moment later.
  await eventually(() => context.stats().inFlight === 0);
  expect(context.stats()).toMatchObject({ queued: 0, inFlight: 0, inFlightBytes: 0 });
}

async function behindBlocker(stage: Stage, use: (blocker: Blocker) => Promise<string>): Promise<string> {
  const blocker = await block(stage.context);
  const earlier = stage.file.read(Buffer.alloc(BYTES), 0, BYTES, 0);
  expect(stage.context.stats().queued).toBe(1);
  const outcome = await use(blocker);
  expect((await earlier).bytesRead).toBe(BYTES);
  return outcome;
}

async function aborted(run: Row['run']): Promise<string> {
  const stage = await commonStage();
  const before = stage.context.stats();
  const outcome = await outcomeOf(() => run({ ...stage, signal: AbortSignal.abort() }));
  const after = stage.context.stats();
  expect(after.submittedInline + after.submittedOffThread).toBe(before.submittedInline + before.submittedOffThread);
  await leave(stage);
  return outcome;
}

/** A sync may be done before anybody can abort it; then it is tried again. */
async function abortedInFlight(run: Row['run']): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const stage = await commonStage();
    const controller = new AbortController();
    let over = false;
    const result = outcomeOf(() => run({ ...stage, signal: controller.signal })).finally(() => {
      over = true;
    });
    await submitted();
    // Some look at the file first.
    while (!over && stage.context.stats().inFlight === 0) await turn();
    const met = stage.context.stats().inFlight === 1;
    controller.abort();
    const outcome = await result;
    await leave(stage);
    if (met) return outcome;
  }
  return 'it was never in flight';
}

/** Brings about each state and tells how the operation ends in it. */
const inState: Record<State, (run: Row['run']) => Promise<string>> = {
  async opening(run) {
    const stage = await commonStage();
    // A close of the context makes it fail, at once or while the operation under test runs.
    const opening = stage.context.open(path, 'r', { direct: 'auto' }).catch(() => undefined);
    const outcome = await outcomeOf(() => run(stage));
    await (await opening)?.close();
    await leave(stage);
    return outcome;
  },
  async open(run) {
    const stage = await commonStage();
    const outcome = await outcomeOf(() => run(stage));
    await leave(stage);
    return outcome;
  },
  async busy(run) {
    const stage = await commonStage();
    const outcome = await behindBlocker(stage, async (blocker) => {
      const result = outcomeOf(() => run(stage));
      await blocker.release();
      return await result;
    });
    await leave(stage);
    return outcome;
  },
  async closing(run) {
    const stage = await commonStage();
    const outcome = await behindBlocker(stage, async (blocker) => {
      const closed = stage.file.close();
      const result = outcomeOf(() => run(stage));
      await blocker.release();
      await closed;
      return await result;
    });
    await leave(stage);
    return outcome;
  },
  async closed(run) {
    const stage = await commonStage();
    await stage.file.close();
    const outcome = await outcomeOf(() => run(stage));
    await leave(stage);
    return outcome;
  },
  async 'context closing'(run) {
    const stage = await newStage();
    return await behindBlocker(stage, async (blocker) => {
      // It ends the poll, and with it the file's request has its turn.
      const closed = stage.context.close();
      const result = outcomeOf(() => run(stage));
      await blocker.release();
      await closed;
      return await result;
    });
  },
  async 'context closed'(run) {
    const stage = await newStage();
    await stage.context.close();
    return await outcomeOf(() => run(stage));
  },
  'aborted before': aborted,
  'aborted in flight': abortedInFlight,
};

/** An operation that closes the context needs one of its own. */
function closesContext(name: string): boolean {
  return name === 'close' || name === '[Symbol.asyncDispose]';
}

async function resultsOf({ run, ...expected }: Row, consumesContext: boolean): Promise<Record<string, string>> {
  const results: Record<string, string> = {};
  for (const state of states) {
    results[state] = expected[state] === NA ? NA : await inState[state](run);
    if (!consumesContext) continue;
    await common?.context.close();
    common = undefined;
  }
  return results;
}

describe.each([
  ['AioFile', fileRows],
  ['AioContext', contextRows],
  ['kaio', functionRows],
])('%s', (type, rows) => {
  test.each(Object.entries(rows))('%s has a defined result in every state', async (name, row) => {
    common ??= await newStage();
    // It is made on first use, and stays.
    expect(AioContext.default.closed).toBe(false);
    const descriptors = openDescriptors();
    const consumesContext = type === 'AioContext' && closesContext(name);
    const { run: _, ...expected } = row;
    expect(await resultsOf(row, consumesContext)).toEqual(expected);
    common ??= await newStage();
    expect(openDescriptors()).toBe(descriptors);
  });
});
