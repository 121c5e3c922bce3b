import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { IOCB_CMD_PREAD } from '../../src/layout/index.ts';
import { io_pgetevents } from '../../src/raw/index.ts';
import { answer, KERNEL_ADDRESS, order, Rig } from '../support/raw.ts';
import { pattern, temporaryFile } from '../support/raw-files.ts';
import { settle } from '../support/raw-threads.ts';

const NOW = { tv_sec: 0, tv_nsec: 0 };
/** The size of the kernel's sigset_t on every 64-bit machine. */
const SIGSET_BYTES = 8;
const ALL_SIGNALS = 2n ** 64n - 1n;

/** The address of a `struct __aio_sigset`, and of the mask that it points to. */
function sigset(rig: Rig, mask: bigint, { size = SIGSET_BYTES, at }: { size?: number; at?: bigint } = {}): bigint {
  const bytes = rig.buffer(24);
  bytes[`writeBigUInt64${order}`](mask, 16);
  bytes[`writeBigUInt64${order}`](at ?? rig.address(bytes) + 16n, 0);
  bytes[`writeBigUInt64${order}`](BigInt(size), 8);
  return rig.address(bytes);
}

function ready(): Rig {
  const rig = new Rig();
  const { fd } = temporaryFile({ content: pattern(64) });
  expect(rig.submit(rig.iocb({ opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(64)), nbytes: 64 }))).toBe(1);
  return rig;
}

test('an event is read under a signal mask', () => {
  const rig = ready();
  expect(io_pgetevents(rig.ctx, 1, 1, rig.events, undefined, sigset(rig, ALL_SIGNALS))).toBe(1);
  expect(rig.decode(1)).toMatchObject([{ res: 64 }]);
});

test('no signal set, or one without a mask, is fine', () => {
  const rig = ready();
  expect(io_pgetevents(rig.ctx, 0, 0, rig.events, NOW, 0n)).toBe(0);
  expect(io_pgetevents(rig.ctx, 0, 0, rig.events, NOW, sigset(rig, 0n, { at: 0n }))).toBe(0);
  expect(io_pgetevents(rig.ctx, 1, 1, rig.events)).toBe(1);
});

test('a bad signal set, or a bad mask in it, is a fault', () => {
  const rig = ready();
  const bad = [KERNEL_ADDRESS, rig.end, sigset(rig, 0n, { at: KERNEL_ADDRESS }), sigset(rig, 0n, { at: rig.end })];
  for (const usig of bad) expect(answer(() => io_pgetevents(rig.ctx, 1, 1, rig.events, NOW, usig))).toBe('EFAULT');
  expect(rig.unread).toBe(1);
});

test('a mask of another size than the kernel has is refused', () => {
  const rig = ready();
  for (const size of [4, 16, 128]) {
    expect(answer(() => io_pgetevents(rig.ctx, 1, 1, rig.events, NOW, sigset(rig, 0n, { size })))).toBe('EINVAL');
  }
});

test('what io_getevents refuses is refused', () => {
  const rig = ready();
  expect(answer(() => io_pgetevents(0n, 1, 1, rig.events, NOW))).toBe('EINVAL');
  expect(answer(() => io_pgetevents(rig.ctx, 2, 1, rig.events, NOW))).toBe('EINVAL');
  expect(answer(() => io_pgetevents(rig.ctx, 1, 1, rig.events, KERNEL_ADDRESS))).toBe('EFAULT');
});

/** Waits under a signal mask while signals come, ten a second: what the call answers, and how long it took. */
async function waitUnderSignals(
  mask: bigint,
  milliseconds: number,
): Promise<{ result: number | string; elapsedMs: number }> {
  const rig = new Rig();
  let handled = 0;
  const handler = (): void => {
    handled++;
  };
  process.on('SIGUSR2', handler);
  // Again and again: now and then another thread of the process takes one, and the kernel restarts the call.
  const script = `while sleep 0.1 && kill -USR2 ${process.pid}; do :; done`;
  const killer = spawn('sh', ['-c', script], { stdio: 'ignore' });
  const ended = once(killer, 'exit');
  const timeout = { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
  const start = performance.now();
  const result = answer(() => io_pgetevents(rig.ctx, 1, 1, rig.events, timeout, sigset(rig, mask)));
  const elapsedMs = performance.now() - start;
  await expect.poll(() => handled, { timeout: 5000 }).toBeGreaterThan(0);
  killer.kill();
  await ended;
  // What was on its way needs the handler as well: the signal's default is to end the process.
  onTestFinished(() => settle(50).then(() => void process.off('SIGUSR2', handler)));
  return { result, elapsedMs };
}

test('a mask that blocks signals lets the wait last in full, and they come afterwards', async () => {
  const { result, elapsedMs } = await waitUnderSignals(ALL_SIGNALS, 600);
  expect(result).toBe(0);
  expect(elapsedMs).toBeGreaterThanOrEqual(599);
});

test('a mask that lets a signal through ends the wait with EINTR', async () => {
  const { result, elapsedMs } = await waitUnderSignals(0n, 20_000);
  expect(result).toBe('EINTR');
  expect(elapsedMs).toBeLessThan(19_000);
});
