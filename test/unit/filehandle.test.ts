// An AioFile is a FileHandle: every way to call it gives the same result or error and leaves the same file behind, with direct I/O and
// without; docs/filehandle.md says so, with what differs and why. Node 24 is held against it in test/campaigns/filehandle.test.ts.
import { promises as fs } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { AioContext, type AioFile } from '../../src/index.ts';
import { directSkip } from '../support/direct.ts';
import { cases, differences, effectOf, parityPage } from '../support/filehandle.ts';
import { scratchFolder } from '../support/scratch.ts';

const path = `${scratchFolder()}/file`;
const context = new AioContext({ memory: 4 << 20 });
afterAll(() => context.close());
const noDirect = directSkip();

describe.each([
  ['with direct I/O', true],
  ['through the page cache', false],
])('%s', (_name, direct) => {
  const named = cases.map((one) => [`${one.overload}: ${one.about}`, one] as const);
  test.skipIf(direct && noDirect !== false).each(named)('%s', async (_call, one) => {
    const expected = await effectOf(one, path, (flags) => fs.open(path, flags));
    const actual = await effectOf(one, path, (flags) => context.open(path, flags, { direct }));
    if (one.differs === undefined) expect(actual).toEqual(expected);
    else expect(actual).not.toEqual(expected);
    expect(context.stats()).toMatchObject({ queued: 0, inFlight: 0, buffers: 0 });
  });
});

test('what an iterable gives to writeFile may be synced and looked at between its pieces', async () => {
  const file = await context.open(path, 'w+', { direct: 'auto' });
  const sizes: number[] = [];
  await file.writeFile(
    (async function* () {
      for (const piece of ['one', 'two', 'three']) {
        yield piece;
        await file.datasync();
        sizes.push((await file.stat()).size);
      }
    })(),
  );
  expect(sizes).toEqual([3, 6, 11]);
  await file.close();
});

/** What TypeScript takes for a FileHandle in these, it takes for an AioFile: this compiles or not. */
const methods = (
  file: AioFile,
): Pick<
  fs.FileHandle,
  | 'fd'
  | 'read'
  | 'write'
  | 'readv'
  | 'writev'
  | 'readFile'
  | 'writeFile'
  | 'appendFile'
  | 'stat'
  | 'sync'
  | 'datasync'
  | 'truncate'
  | 'chmod'
  | 'chown'
  | 'utimes'
  | 'close'
> => file;

test('TypeScript takes an AioFile where the methods of a FileHandle are asked for', async () => {
  await using file = await context.open(path, 'w+', { direct: 'auto' });
  expect(methods(file).fd).toBe(file.fd);
});

test('docs/filehandle.md has the table of what is tried here, and at most six differences', async () => {
  // To make it anew: npx vitest run test/unit/filehandle.test.ts -u
  await expect(parityPage()).toMatchFileSnapshot('../../docs/filehandle.md');
  expect(Object.keys(differences).length).toBeLessThanOrEqual(6);
});
