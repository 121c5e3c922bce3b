import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';

const RECORDS = 64;
const RECORD_BYTES = 4096;

// xfs submits direct appends without waiting for those before, and all that are in flight go to the same place.
describe.each(['ext4', 'xfs', 'btrfs', 'tmpfs'] as const)('%s', (kind) => {
  test.skipIf(fileSystemSkip(kind))('appends that are requested together end one behind the other', async () => {
    await withFileSystem(kind, async (dir) => {
      await using context = new AioContext();
      for (const submit of ['auto', 'inline', 'offload'] as const) {
        const path = `${dir}/${submit}`;
        // tmpfs does direct I/O since Linux 6.6.
        const file = await context.open(path, 'a', { submit, direct: 'auto' });
        const records = Array.from({ length: RECORDS }, (_, i) => context.allocate(RECORD_BYTES).fill(i + 1));
        await Promise.all(records.map((record) => file.write(record)));
        await file.close();
        expect(readFileSync(path).equals(Buffer.concat(records)), submit).toBe(true);
        for (const record of records) record[Symbol.dispose]();
      }
    });
  });
});
