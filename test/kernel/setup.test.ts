import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { Arena, io_destroy, io_setup, readRing } from '../../src/raw/index.ts';
import { ALL_ONES, aioNr, answer, KERNEL_ADDRESS, long, Rig } from '../support/raw.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

const library = new URL('../../dist/raw/index.js', import.meta.url).href;
const maxNr = Number(readFileSync('/proc/sys/fs/aio-max-nr', 'utf8'));

/** A context that ends with the test. */
function context(nr: number): bigint {
  const ctx = io_setup(nr);
  onTestFinished(() => io_destroy(ctx));
  return ctx;
}

/** Memory for an aio_context_t of the test's own. */
function contextPointer(): { address: bigint; view: BigUint64Array } {
  const arena = new Arena(64);
  const view = new BigUint64Array(arena.buffer, 0, 1);
  return { address: arena.address, view };
}

test('a context for no requests is refused', () => {
  expect(answer(() => io_setup(0))).toBe('EINVAL');
});

test.each([-1, -1000, 0x7fff_ffff])('a context for %i requests is refused', (nr) => {
  expect(answer(() => io_setup(nr))).toBe('EINVAL');
});

test('a context pointer that is not zero is refused', () => {
  const { address, view } = contextPointer();
  view[0] = 1n;
  expect(answer(() => io_setup(1, address))).toBe('EINVAL');
});

test('a context pointer that holds a living context is refused, and the context lives on', () => {
  const { address, view } = contextPointer();
  const ctx = io_setup(1, address);
  onTestFinished(() => io_destroy(ctx));
  expect(view[0]).toBe(ctx);
  expect(answer(() => io_setup(1, address))).toBe('EINVAL');
  expect(readRing(ctx).magic).toBe(0xa10a_10a1);
});

test.each([
  ['null', () => 0n],
  ['of the kernel', () => KERNEL_ADDRESS],
  ['all ones', () => ALL_ONES],
  ['unmapped', () => new Rig().end],
])('a context pointer that is %s is a fault, whatever the number of requests', (_, pointer) => {
  const address = pointer();
  expect(answer(() => io_setup(1, address))).toBe('EFAULT');
  expect(answer(() => io_setup(0, address))).toBe('EFAULT');
  expect(answer(() => io_setup(-1, address))).toBe('EFAULT');
});

test('a context counts for exactly what it was asked for, until it is destroyed', () => {
  // Other processes have contexts too: only an interval in which none of theirs came or went says anything.
  for (let attempt = 0; attempt < 200; attempt++) {
    const before = aioNr();
    const ctx = io_setup(100);
    const during = aioNr();
    io_destroy(ctx);
    if (aioNr() !== before) continue;
    expect(during - before).toBe(100);
    return;
  }
  throw new Error('fs.aio-nr never stood still');
});

/** Makes contexts of `nr` requests until three quarters of what is free are taken: the rest is for the other tests. */
function fillQuota(nr: number): { contexts: bigint[]; refused: string | undefined } {
  const wanted = Math.floor(((maxNr - aioNr()) * 0.75) / nr);
  const contexts: bigint[] = [];
  for (let made = 0; made < wanted; made++) {
    const ctx = answer(() => io_setup(nr));
    if (typeof ctx === 'string') return { contexts, refused: ctx };
    contexts.push(ctx);
  }
  return { contexts, refused: undefined };
}

test.each([16384, 8192, 4096])('contexts for %i requests can be made until the quota is taken', (nr) => {
  const { contexts, refused } = fillQuota(nr);
  for (const ctx of contexts) io_destroy(ctx);
  expect(refused).toBeUndefined();
  expect(contexts.length).toBeGreaterThan(0);
});

test('more requests than the quota has are refused for now', () => {
  expect(answer(() => io_setup(maxNr + 1))).toBe('EAGAIN');
});

test('the end of a process returns its quota', async () => {
  const nr = 20_011;
  const program = `
    import { readFileSync } from 'node:fs';
    import { io_setup } from '${library}';
    io_setup(${nr});
    console.log(readFileSync('/proc/sys/fs/aio-nr', 'utf8'));
    process.kill(process.pid, 'SIGKILL');`;
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  expect(signal).toBe('SIGKILL');
  expect(Number(stdout)).toBeGreaterThanOrEqual(nr);
  await expect.poll(aioNr, { timeout: 10_000 }).toBeLessThan(nr);
});

test('contexts of every size can take the whole quota, which comes back when the process ends', {
  timeout: 600_000,
}, async ({ skip }) => {
  skip(!long, 'every other user of asynchronous I/O is refused meanwhile (KAIO_LONG=1 runs it)');
  skip(noCompiler !== undefined, noCompiler);
  for (let nr = 1; nr <= maxNr / 2; nr *= 2) {
    const { errno, contexts, room } = observe('quota', String(nr));
    // A context is a mapping, and a process has a limited number of those (vm.max_map_count): small contexts may reach that first.
    expect(errno).toBe(Number(contexts) >= 60_000 && errno === 'ENOMEM' ? 'ENOMEM' : 'EAGAIN');
    if (errno === 'EAGAIN') expect(room).toBeLessThan(nr);
    await expect.poll(aioNr, { timeout: 60_000 }).toBeLessThan(maxNr / 2);
  }
});

test('a full address space stops io_setup; limits on descriptors and locked memory do not', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  expect(observe('limits')).toEqual({ address_space: 'ENOMEM', descriptors: 0, locked_memory: 0 });
});

test('a new ring is empty and says which layout it has', () => {
  const ring = readRing(context(100));
  expect(ring).toMatchObject({
    head: 0,
    tail: 0,
    magic: 0xa10a_10a1,
    compat_features: 1,
    incompat_features: 0,
    header_length: 32,
  });
});

test('a ring has room for more than was asked for', () => {
  expect(readRing(context(100)).nr).toBeGreaterThan(100);
});
