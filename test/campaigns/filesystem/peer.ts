import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { compile } from '../../support/compile.ts';

/** As in c/peer.c. */
const LOAD = 0;
const STORE = 1;
const FALLOCATE = 2;
const CLONE = 3;
const COPY = 4;
const FLUSH = 5;
const EVICT = 6;

/** Modes of fallocate(2), from <linux/falloc.h>. */
export const KEEP_SIZE = 1;
export const PUNCH_HOLE: number = 2 | KEEP_SIZE;
export const COLLAPSE_RANGE = 8;
export const ZERO_RANGE = 16;
export const INSERT_RANGE = 32;

/** Another process that has the file mapped and does to it what Node cannot; see test/support/c/peer.c. */
export class Peer implements AsyncDisposable {
  #child: ChildProcessByStdio<Writable, Readable, null>;
  #answers: Buffer[] = [];
  #have = 0;
  #arrived: (() => void) | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #ended = false;

  /** Maps the first `bytes` of a file. */
  constructor(path: string, bytes: number) {
    const [command, args] = [compile('peer'), [path, String(bytes)]];
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdin.on('error', () => {});
    this.#child.stdout.on('data', (data: Buffer) => {
      this.#answers.push(data);
      this.#have += data.length;
      this.#arrived?.();
    });
    this.#child.on('exit', () => {
      this.#ended = true;
      this.#arrived?.();
    });
  }

  /** What the mapping shows. The range must lie within the file, or the peer dies of SIGBUS. */
  async load(offset: number, length: number): Promise<Buffer> {
    const { data } = await this.#ask(LOAD, offset, length);
    return data;
  }

  /** Stores into the mapping, within the file. */
  async store(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#ask(STORE, offset, bytes.length, 0, bytes);
  }

  /** fallocate(2): 0, or a negative error number. */
  async fallocate(mode: number, offset: number, length: number): Promise<number> {
    return (await this.#ask(FALLOCATE, offset, length, mode)).result;
  }

  /** ioctl_ficlonerange(2) within the file: 0, or a negative error number. */
  async clone(from: number, to: number, length: number): Promise<number> {
    return (await this.#ask(CLONE, from, length, to)).result;
  }

  /** copy_file_range(2) within the file: how many bytes it copied, or a negative error number. */
  async copy(from: number, to: number, length: number): Promise<number> {
    return (await this.#ask(COPY, from, length, to)).result;
  }

  /** msync(2) of whole pages. */
  async flush(offset: number, length: number): Promise<number> {
    return (await this.#ask(FLUSH, offset, length)).result;
  }

  /** Drops clean pages of the file from the page cache. */
  async evict(): Promise<void> {
    await this.#ask(EVICT, 0, 0);
  }

  async #ask(what: number, offset: number, length: number, other = 0, payload?: Uint8Array) {
    const asked = this.#turn.then(async () => {
      const command = new BigUint64Array([what, offset, length, other].map(BigInt));
      this.#child.stdin.write(Buffer.from(command.buffer));
      if (payload !== undefined) this.#child.stdin.write(payload);
      const result = Number((await this.#take(8)).readBigInt64LE());
      return { result, data: what === LOAD ? await this.#take(length) : Buffer.alloc(0) };
    });
    this.#turn = asked.catch(() => {});
    return await asked;
  }

  async #take(bytes: number): Promise<Buffer> {
    while (this.#have < bytes) {
      if (this.#ended) throw new Error(`the peer ended: ${this.#child.signalCode ?? this.#child.exitCode}`);
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
    const all = Buffer.concat(this.#answers);
    this.#answers = [all.subarray(bytes)];
    this.#have -= bytes;
    return all.subarray(0, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    if (!this.#ended) await once(this.#child, 'exit');
  }
}

const { EOPNOTSUPP, EINVAL } = constants.errno;

/** The file system does not have this call. */
export function unknownHere(result: number): boolean {
  return result === -EOPNOTSUPP;
}

/** The file system has it, but not for such a range. */
export function notSuch(result: number): boolean {
  return result === -EINVAL;
}
