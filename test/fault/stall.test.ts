// A file system that takes its time holds up its own requests and nothing else.
import { copyFileSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { beforeAll, expect, type TestContext, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { dist, patience, runNode } from '../support/child.ts';
import { type FuseRule, fuseSkip, withFuse } from '../support/fuse.ts';
import { scratchFolder } from '../support/scratch.ts';

const KIBIBYTE = 1024;
/** Long against everything that a busy machine does to a process: 40 calls, one after the other, are to end within it. */
const DELAY_MS = patience === 1 ? 2000 : 8000;
const slowWrites: FuseRule[] = [{ file: 'slow*', operation: 'write', delayMs: DELAY_MS }];

const folder = scratchFolder();

beforeAll(() => {
  writeFileSync(`${folder}/full`, Buffer.alloc(1024 * KIBIBYTE, 'x'));
});

function need(context: TestContext): void {
  const reason = fuseSkip();
  context.skip(reason !== false, String(reason));
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await action();
  return performance.now() - started;
}

/** Runs `use` while extending writes to as many files as a context has threads are stuck in the kernel. */
async function whileStuck(dir: string, context: AioContext, use: () => Promise<void>): Promise<void> {
  const THREADS = 4;
  const files = await Promise.all(Array.from({ length: THREADS }, (_, at) => context.open(`${dir}/slow${at}`, 'w+')));
  const buffers = files.map(() => context.allocate(4096));
  let stuck = files.length;
  const writes = files.map((file, at) => file.write(buffers[at]!, 0, 4096, 0).finally(() => stuck--));
  await use();
  // Otherwise nothing was shown.
  expect(stuck).toBe(files.length);
  await Promise.all(writes);
  await Promise.all(files.map((file) => file.close()));
  for (const buffer of buffers) buffer[Symbol.dispose]();
}

test('while extending writes are stuck, the loop turns, fs answers and other files are read', async (t) => {
  need(t);
  await withFuse(async ({ dir, setRules }) => {
    setRules(slowWrites);
    await using context = new AioContext();
    await using other = await context.open(`${folder}/full`, 'r+');
    using memory = context.allocate(4096);
    // Without dirty pages a direct read need not wait for any, and goes to the kernel from the loop.
    await other.sync();
    const delay = monitorEventLoopDelay({ resolution: 5 });
    const [stats, reads]: [number[], number[]] = [[], []];
    await whileStuck(dir, context, async () => {
      delay.enable();
      for (let at = 0; at < 20; at++) {
        stats.push(await timed(() => stat(`${folder}/full`)));
        reads.push(await timed(() => other.read(memory, 0, 4096, at * 4096)));
      }
      delay.disable();
    });
    expect(median(stats)).toBeLessThan(20 * patience);
    expect(median(reads)).toBeLessThan(100 * patience);
    // One inline submit would have held the loop for all of it.
    expect(delay.max / 1e6).toBeLessThan(DELAY_MS / 2);
  });
});

test('a request that must leave the loop does not queue behind those that are stuck', async (t) => {
  need(t);
  await withFuse(async ({ dir, setRules }) => {
    setRules(slowWrites);
    await using context = new AioContext();
    await using other = await context.open(`${folder}/new`, 'w+');
    using memory = context.allocate(4096);
    // A write that extends a file on a local disk: it blocks as well, but for its own time only.
    await whileStuck(dir, context, async () => {
      expect(await timed(() => other.write(memory, 0, 4096, 0))).toBeLessThan(DELAY_MS / 2);
    });
  });
});

test('slow reads of one file leave the others their turn', async (t) => {
  need(t);
  await withFuse(async ({ dir, setRules }) => {
    copyFileSync(`${folder}/full`, `${dir}/slow`);
    setRules([{ operation: 'read', delayMs: DELAY_MS }]);
    // Fewer slots than the slow file has requests.
    await using context = new AioContext({ depth: 64 });
    await using slow = await context.open(`${dir}/slow`, 'r');
    await using other = await context.open(`${folder}/full`, 'r');
    const buffers = Array.from({ length: 32 }, () => context.allocate(4096));
    using memory = context.allocate(4096);
    const flood = buffers.map((buffer, at) => slow.read(buffer, 0, 4096, at * 4096));
    expect(await timed(() => other.read(memory, 0, 4096, 0))).toBeLessThan(DELAY_MS / 2);
    await Promise.all(flood);
    for (const buffer of buffers) buffer[Symbol.dispose]();
  });
});

/** Six writes to a file, each of which the kernel holds for DELAY_MS; then it ends. */
const stuckProgram = (path: string, end: string) => `
  import { AioContext } from '${dist}index.js';
  const context = new AioContext();
  const file = await context.open('${path}', 'w+');
  for (let at = 0; at < 6; at++) file.write(context.allocate(4096), 0, 4096, at * 4096);
  setTimeout(() => { ${end} }, 100);
`;

/** Runs a program that says when it begins to end: its exit code, and how long that took. */
async function ending(program: string): Promise<{ code: number | null; stderr: string; tookMs: number }> {
  let begunMs = Number.NaN;
  const onOutput = () => {
    begunMs = performance.now();
  };
  const { code, stderr } = await runNode(program, { onOutput });
  return { code, stderr, tookMs: performance.now() - begunMs };
}

test.for(['exit', 'worker.terminate()'])(
  '%s waits for the one call that the kernel holds, not for the queue',
  async (end, t) => {
    need(t);
    await withFuse(async ({ dir, setRules }) => {
      setRules(slowWrites);
      const exiting = stuckProgram(`${dir}/slow`, "console.log('ending'); process.exit(7)");
      const idling = stuckProgram(`${dir}/slow`, "parentPort.postMessage('stuck')").replace(
        'import',
        "import { parentPort } from 'node:worker_threads'; import",
      );
      const terminating = `
      import { Worker } from 'node:worker_threads';
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(idling)})));
      worker.on('message', () => { console.log('ending'); worker.terminate(); });
      worker.on('exit', () => process.exit(7));
    `;
      const { code, stderr, tookMs } = await ending(end === 'exit' ? exiting : terminating);
      expect(code, stderr).toBe(7);
      expect(tookMs).toBeLessThan(3 * DELAY_MS);
    });
  },
);
