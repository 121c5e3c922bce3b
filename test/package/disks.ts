/** File systems of a few kinds for the tests, mounted on a folder of ours and taken away again. */
import { rmSync } from 'node:fs';
import { run, temporaryFolder } from './installed.ts';

export class Disk {
  readonly folder: string;
  readonly #mounted: boolean;
  /** Why it could not be mounted; false where it was. */
  readonly unavailable: string | false;

  constructor(type: string, options: string) {
    this.folder = temporaryFolder(type);
    const { status, stderr } = run('mount', ['-t', type, '-o', options, 'kaio-test', this.folder]);
    this.#mounted = status === 0;
    this.unavailable = this.#mounted ? false : `cannot mount a ${type} here: ${stderr.trim()}`;
  }

  [Symbol.dispose](): void {
    if (this.#mounted) run('umount', [this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
