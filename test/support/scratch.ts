import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const { KAIO_TEST_DIR } = process.env;

/** Where tests make their folders: beside the code, which is more often on a disk than /tmp is. KAIO_TEST_DIR names another place. */
export const place: string =
  KAIO_TEST_DIR ?? fileURLToPath(new URL('../../node_modules/.cache/kaio-test', import.meta.url));

/** A fresh folder for this test file, removed after its last test. To be called at the top of the file. */
export function scratchFolder(): string {
  mkdirSync(place, { recursive: true });
  const folder = mkdtempSync(`${place}/scratch-`);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
