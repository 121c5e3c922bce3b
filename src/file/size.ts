import { fstat as fstatCallback, ftruncate as ftruncateCallback } from 'node:fs';
import { promisify } from 'node:util';
import { systemError } from '../errors.ts';
import { binding } from '../raw/binding.ts';
import type { Handle } from './handle.ts';

const fstat = promisify(fstatCallback);
const ftruncate = promisify(ftruncateCallback);

/** What a reservation made of a file. */
export interface Reservation {
  /** Bytes that are not its own: the file's size before, or up to its beginning, where that was beyond. */
  least: number;
  /** The file's size since, in bytes. */
  after: number;
}

/** What changes the size of an open file, each call in its turn among the requests (see Line). */
export class FileSize {
  readonly #handle: Handle;

  constructor(handle: Handle) {
    this.#handle = handle;
  }

  /** ftruncate(2) to so many bytes. */
  async truncate(bytes: number): Promise<void> {
    await this.#exclusively('ftruncate', (fd) => this.#cut(fd, bytes));
  }

  /** fallocate(2), which extends the file to the end of the range. */
  async preallocate(offset: number, length: number): Promise<void> {
    await this.#exclusively('fallocate', (fd) => this.#allocate(fd, offset, length));
  }

  /** The same for somebody who may give back what he does not use; undefined where the file did not grow. */
  async reserve(offset: number, length: number): Promise<Reservation | undefined> {
    let before = 0;
    await this.#exclusively('fallocate', async (fd) => {
      before = (await fstat(fd)).size;
      try {
        await this.#allocate(fd, offset, length);
      } catch (error) {
        // ext4 keeps what there was room for.
        if ((await fstat(fd)).size > before) await this.#cut(fd, before);
        throw error;
      }
    });
    const after = offset + length;
    return after > before ? { least: Math.max(before, offset), after } : undefined;
  }

  /** Takes back what was reserved behind `end`. In a file of another size others have been at work, whose data it could be. */
  async giveBack({ least, after }: Reservation, end: number): Promise<void> {
    if (end >= after) return;
    await this.#exclusively('ftruncate', async (fd) => {
      if ((await fstat(fd)).size === after) await this.#cut(fd, Math.max(least, end));
    });
  }

  async #exclusively(syscall: string, run: (fd: number) => Promise<void>): Promise<void> {
    this.#handle.assertOpen(syscall);
    await this.#handle.exclusively(run);
  }

  async #cut(fd: number, bytes: number): Promise<void> {
    await ftruncate(fd, bytes);
    this.#handle.target.size = bytes;
  }

  async #allocate(fd: number, offset: number, length: number): Promise<void> {
    const { target } = this.#handle;
    const result = await binding().fallocate(fd, 0, offset, length);
    if (result < 0) throw systemError(result, 'fallocate', { path: target.path, offset, length });
    if (offset + length > target.size) target.size = offset + length;
  }
}
