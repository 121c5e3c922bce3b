// An error that rejects names the line of the program that asked for it.
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { AioContext, type AioFile } from '../../src/index.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
writeFileSync(path, Buffer.alloc(4096, 'x'));
const context = new AioContext({ memory: 65536 });
afterAll(() => context.close());
const x = Buffer.from('x');

/** Each fails: the file can only be read, or is of procfs, which has nothing to sync. */
const failing: Record<string, (file: AioFile, proc: AioFile) => Promise<unknown>> = {
  'write at a position': (file) => file.write(x, 0, 1, 0),
  'write at the own position': (file) => file.write(x),
  'write of a text': (file) => file.write('x', 0),
  writev: (file) => file.writev([x], 0),
  'a wrong argument': (file) => file.write(x, -1),
  'an aborted read': (file) => file.read(Buffer.alloc(1), { position: 0, signal: AbortSignal.abort() }),
  sync: (_file, proc) => proc.sync(),
  datasync: (_file, proc) => proc.datasync(),
  truncate: (file) => file.truncate(1),
  preallocate: (file) => file.preallocate(0, 1),
  open: () => context.open('/not/there'),
  attach: () => context.attach(1_000_000),
  poll: () => context.poll(1_000_000, 1),
};

test.each(['a', 'a+'].flatMap((flags) => [false, 'auto' as const].map((direct) => ({ flags, direct }))))(
  'an append ($flags, direct: $direct)',
  async ({ flags, direct }) => {
    const file = await context.open(path, flags, { direct });
    for (const append of [() => file.write(x, { nowait: true }), () => file.writev([x], null, { nowait: true })]) {
      async function theCaller(): Promise<void> {
        await append();
      }
      const error = await theCaller().then(
        () => undefined,
        (reason: Error) => reason,
      );
      expect(error?.stack).toContain('theCaller');
    }
    await file.close();
  },
);

test.each(Object.keys(failing))('%s', async (name) => {
  const file = await context.open(path, 'r', { direct: false });
  const fd = openSync('/proc/version', 'r');
  const proc = await context.attach(fd);
  async function theCaller(): Promise<void> {
    await failing[name]!(file, proc);
  }
  const error = await theCaller().then(
    () => undefined,
    (reason: Error) => reason,
  );
  expect(error?.stack).toContain('theCaller');
  expect(error?.stack).toContain(error?.message);
  await Promise.all([file.close(), proc.close()]);
  closeSync(fd);
});
