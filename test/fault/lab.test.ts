import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fileSystemKinds, fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { fileSystemMagic } from '../support/mounts.ts';

/** As in <linux/magic.h>. */
const MAGIC = {
  ext4: 0xef53,
  xfs: 0x58465342,
  btrfs: 0x9123683e,
  tmpfs: 0x01021994,
  overlay: 0x794c7630,
  fuse: 0x65735546,
};

for (const kind of fileSystemKinds) {
  test(`a folder on ${kind} is really on ${kind}, and gone afterwards`, async ({ skip }) => {
    const reason = fileSystemSkip(kind);
    skip(reason !== false, String(reason));
    const dir = await withFileSystem(kind, async (folder) => {
      expect(fileSystemMagic(folder)).toBe(MAGIC[kind]);
      writeFileSync(`${folder}/a`, 'abc');
      expect(readFileSync(`${folder}/a`, 'utf8')).toBe('abc');
      return folder;
    });
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
  });
}
