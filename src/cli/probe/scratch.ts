import { randomUUID } from 'node:crypto';
import { closeSync, constants as fsConstants, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { exitOnSignals } from '../signals.ts';

const { O_CREAT, O_DIRECT, O_EXCL, O_RDWR } = fsConstants;
/** How often, and how long apart, it is tried to remove a file that may still be busy. */
const ATTEMPTS = 200;
const ATTEMPT_MS = 10;

/** A file that is open twice and has no name, so that nothing stays behind whatever becomes of the process. */
export class Scratch {
  readonly buffered: number;
  /** Undefined where the file system refuses O_DIRECT. */
  readonly direct: number | undefined;
  /** Its name, for as long as it has one: not every FUSE file system removes what is open. */
  #path: string | undefined;
  readonly #releaseSignals = exitOnSignals();

  private constructor(path: string) {
    try {
      this.buffered = openSync(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
    } catch (error) {
      this.#unhook();
      throw error;
    }
    this.#path = path;
    process.on('exit', this.#leave);
    this.direct = openDirect(path, O_RDWR);
    try {
      this.#remove();
    } catch {
      // Then close() does it, or the end of the process.
    }
  }

  /** Makes one in a folder. Throws the system error of open(2) where there can be none. */
  static async make(folder: string): Promise<Scratch> {
    const scratch = new Scratch(join(folder, `.kaio-probe-${randomUUID()}`));
    // A signal that came meanwhile is told of in the next turn of the event loop; this one may be half over.
    await turn();
    await turn();
    if (scratch.#path === undefined) scratch.#unhook();
    return scratch;
  }

  /** Throws the system error of unlink(2) where the file stays. */
  close(): void {
    this.#unhook();
    this.#leave();
  }

  /** What refuses to remove an open file does it once that is closed, and no request is under way in it. */
  readonly #leave = (): void => {
    if (this.direct !== undefined) closeSync(this.direct);
    closeSync(this.buffered);
    for (let attempt = 1; this.#path !== undefined; attempt++) {
      try {
        this.#remove();
      } catch (error) {
        if (attempt === ATTEMPTS) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ATTEMPT_MS);
      }
    }
  };

  #remove(): void {
    if (this.#path !== undefined) unlinkSync(this.#path);
    this.#path = undefined;
  }

  #unhook(): void {
    process.off('exit', this.#leave);
    this.#releaseSignals();
  }
}

/** Opens a file for direct I/O, or says that its file system has none. */
export function openDirect(path: string, flags: number): number | undefined {
  try {
    return openSync(path, flags | O_DIRECT);
  } catch (error) {
    // open(2): EINVAL, "The filesystem does not support the O_DIRECT flag".
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
    throw error;
  }
}
