import { expect, test } from 'vitest';
import { readWhole } from '../../src/file/whole.ts';

test('a file whose size nobody knows is read in ever larger pieces, to its end', async () => {
  const asked: number[] = [];
  const size = 1_000_000;
  const whole = await readWhole(0, 0, undefined, async (view, done) => {
    asked.push(view.byteLength);
    const bytes = Math.min(view.byteLength, size - done);
    view.fill(7, 0, bytes);
    return bytes;
  });
  expect(whole.equals(Buffer.alloc(size, 7))).toBe(true);
  // The last one is asked again, and finds nothing more.
  expect(asked.slice(0, 5)).toEqual([65536, 65536, 131072, 262144, 524288]);
  expect(asked.length).toBe(6);
});

test('a file that never ends is too large, and does not take all the memory', async () => {
  let most = 0;
  // Nothing is written: the pieces take no memory.
  const endless = readWhole(0, 0, undefined, async (view, done) => {
    most = Math.max(most, done + view.byteLength);
    return view.byteLength;
  });
  await expect(endless).rejects.toMatchObject({ code: 'ERR_FS_FILE_TOO_LARGE' });
  expect(most).toBeLessThan(2 ** 31 + 2 ** 24);
});
