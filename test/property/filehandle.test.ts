// Any requests, at any offset and of any length: an AioFile and a FileHandle end alike. test/campaigns/filehandle.test.ts makes more.
import { afterAll, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { directSkip } from '../support/direct.ts';
import { scratchFolder } from '../support/scratch.ts';
import { compareTwins } from '../support/twins.ts';

const folder = scratchFolder();
const context = new AioContext({ memory: 4 << 20 });
afterAll(() => context.close());

test.skipIf(directSkip() !== false)('random requests with direct I/O end as those of a FileHandle', async () => {
  expect(await compareTwins(context, folder, true, 800)).toBeGreaterThan(500);
});

test('random requests through the page cache end as those of a FileHandle', async () => {
  expect(await compareTwins(context, folder, false, 400)).toBeGreaterThan(250);
});
