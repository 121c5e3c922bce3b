import { chmod, constants, copyFile as fsCopyFile, link, type PathLike, rename, rm, type Stats, stat } from 'node:fs';
import { constants as os } from 'node:os';
import { promisify } from 'node:util';
import { debug } from '../debug.ts';
import { throwIfAborted } from '../engine/aborts.ts';
import { invalidArgType, invalidArgValue, naming, systemError } from '../errors.ts';
import { checkCount, checkSignal } from './arguments.ts';
import { AioContext } from './context.ts';
import { deviceBytes, type Extent, extentsOf } from './extents.ts';
import type { AioFile } from './file.ts';
import { endOfLinks, folderOf, isTaken, pathBytes, withoutLinks } from './links.ts';
import { checkObject } from './streams.ts';
import { compareExtents, copyExtents } from './transport.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants;
const clone = promisify(fsCopyFile);
const calls = {
  chmod: promisify(chmod),
  link: promisify(link),
  rename: promisify(rename),
  rm: promisify(rm),
  stat: promisify(stat),
};

/** How far a copy is. */
export interface CopyProgress {
  /** First the data is copied, then, where that was asked for, compared. */
  phase: 'copy' | 'verify';
  /** Bytes of this phase that are done, and all of them. Holes are not copied and do not count; they are compared. */
  done: number;
  total: number;
}

/** Options of {@link copyFile}. */
export interface CopyOptions {
  /** Ends the copy: it rejects with an AbortError, and what was written is gone. */
  signal?: AbortSignal | undefined;
  /** Called after each piece of 512 KiB or less. What it throws ends the copy. */
  onProgress?: ((progress: CopyProgress) => void) | undefined;
  /**
   * `COPYFILE_EXCL`, `COPYFILE_FICLONE` and `COPYFILE_FICLONE_FORCE` of `fs.constants`, as `fs.copyFile` has them: fail where the destination
   * exists; share the data if possible, which is the default here; fail where it is not. Default 0.
   */
  mode?: number | undefined;
  /** Share the data with the source where the file system can (btrfs, xfs), which moves nothing. Default true. */
  reflink?: boolean | undefined;
  /** Read source and copy once more and compare them, byte for byte, before the copy gets its name. Default false. */
  verify?: boolean | undefined;
  /** The copy is durable, name and all, when the promise is settled. Default true. */
  flush?: boolean | undefined;
  /** Whose queue and memory it uses; default {@link AioContext.default}. */
  context?: AioContext | undefined;
}

/** What a copy came to. */
export interface CopyResult {
  /** Bytes of the file. */
  size: number;
  /** Bytes that were moved: without holes; 0 where the data is shared. */
  copied: number;
  /** The copy shares the source's data. */
  reflinked: boolean;
}

/**
 * Copies a file past the page cache, with several requests under way in both directions. Holes stay holes. The copy has the source's
 * permission bits (of 0o777) and, until it is complete and durable, a name of its own in the destination's folder (`.kaio-copy-...`): under
 * the destination's name there is at any time either what was there before or all of the copy. A symbolic link as destination is followed,
 * also one that leads to nothing yet. The source may also be a block device. It must not be written to meanwhile.
 *
 * @throws (rejects) system errors of either file (ENOENT, EEXIST, EISDIR, ENOSPC before anything is copied where the file system can reserve
 * space, EIO, ...); `ERR_AIO_COPY_DIFFERS` where the source became shorter meanwhile or `verify` found a difference; an AbortError; Node's
 * argument errors. Nothing is left behind.
 * @example
 * ```ts
 * import { copyFile } from 'kaio';
 *
 * await copyFile('disk.img', 'backup.img', { onProgress: ({ done, total }) => console.log(done / total) });
 * ```
 */
export async function copyFile(
  source: PathLike,
  destination: PathLike,
  options: CopyOptions = {},
): Promise<CopyResult> {
  checkObject(options);
  const { signal, reflink = true, mode = 0, onProgress, verify = false, flush = true } = options;
  checkCount('mode', mode, 7, 0);
  if (!reflink && (mode & COPYFILE_FICLONE_FORCE) !== 0) {
    throw invalidArgValue('options.reflink', 'must not be false where mode has COPYFILE_FICLONE_FORCE', reflink);
  }
  checkSignal(signal);
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalidArgType('options.onProgress', 'of type function', onProgress);
  }
  throwIfAborted(signal);
  const context = options.context ?? AioContext.default;
  const checked = { signal, reflink, mode, onProgress, verify, flush, context };
  return await new Copy(checkPath('source', source), checkPath('destination', destination), checked).run();
}

class Copy {
  readonly #source: Buffer;
  readonly #options: CopyOptions;
  readonly #context: AioContext;
  #destination: Buffer;

  constructor(source: Buffer, destination: Buffer, options: CopyOptions & { context: AioContext }) {
    this.#source = source;
    this.#destination = destination;
    this.#options = options;
    this.#context = options.context;
  }

  async run(): Promise<CopyResult> {
    const stats = await naming(calls.stat(this.#source));
    this.#checkKind(this.#source, stats, true);
    const existing = await this.#existing();
    if (existing !== undefined) {
      if (existing.dev === stats.dev && existing.ino === stats.ino)
        return { size: stats.size, copied: 0, reflinked: false };
      this.#checkKind(this.#destination, existing, false);
      this.#destination = await naming(withoutLinks(this.#destination));
    } else if (await isTaken(this.#destination)) {
      this.#destination = await naming(this.#throughLinks());
    } else if (this.#destination.at(-1) === SLASH) {
      throw systemError(-os.errno.EISDIR, 'copyfile', { path: this.#destination.toString() });
    }
    const folder = folderOf(this.#destination);
    await naming(calls.stat(folder));
    const temporary = Buffer.concat([folder, Buffer.from(`/.kaio-copy-${crypto.randomUUID()}`)]);
    try {
      const result = (await this.#reflink(temporary, stats)) ?? (await this.#copy(temporary, stats));
      throwIfAborted(this.#options.signal);
      await this.#publish(temporary);
      return result;
    } finally {
      await calls.rm(temporary, { force: true });
    }
  }

  /** What is at the destination. */
  async #existing(): Promise<Stats | undefined> {
    let stats: Stats;
    try {
      stats = await calls.stat(this.#destination);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    if (this.#has(COPYFILE_EXCL)) throw this.#taken();
    return stats;
  }

  /** The destination is a link that leads to nothing yet: the copy is to be where it leads, and the link stays. */
  async #throughLinks(): Promise<Buffer> {
    if (this.#has(COPYFILE_EXCL)) throw this.#taken();
    return await endOfLinks(this.#destination);
  }

  #taken(): Error {
    return systemError(-os.errno.EEXIST, 'copyfile', { path: this.#destination.toString() });
  }

  #has(flag: number): boolean {
    return ((this.#options.mode ?? 0) & flag) !== 0;
  }

  #checkKind(bytes: Buffer, stats: Stats, read: boolean): void {
    if (stats.isFile() || (read && stats.isBlockDevice())) return;
    const path = bytes.toString();
    if (stats.isDirectory()) throw systemError(-os.errno.EISDIR, 'copyfile', { path });
    const allowed = read ? 'must be a regular file or a block device' : 'must be a regular file, or nothing yet';
    throw invalidArgValue(read ? 'source' : 'destination', allowed, path);
  }

  /** Has the file system share the data; undefined where it cannot, and the data must be moved. */
  async #reflink(temporary: Buffer, stats: Stats): Promise<CopyResult | undefined> {
    if (this.#options.reflink === false) return undefined;
    try {
      await clone(this.#source, temporary, COPYFILE_EXCL | COPYFILE_FICLONE_FORCE);
    } catch (error) {
      if (this.#has(COPYFILE_FICLONE_FORCE)) throw error;
      debug(
        '%s cannot share the data of %s: %s',
        temporary.toString(),
        this.#source.toString(),
        (error as Error).message,
      );
      return undefined;
    }
    // It has the source's permissions by now, by which its owner, another one, may not even open it.
    await calls.chmod(temporary, 0o600);
    await using target = await this.#open(temporary, 'r+');
    const { size } = await target.stat();
    await target.chmod(stats.mode & 0o777);
    if (this.#options.flush !== false) await target.sync();
    return { size, copied: 0, reflinked: true };
  }

  #open(path: Buffer, flags: string): Promise<AioFile> {
    return this.#context.open(path, flags, { mode: 0o600, direct: 'auto' });
  }

  async #copy(temporary: Buffer, stats: Stats): Promise<CopyResult> {
    await using source = await this.#open(this.#source, 'r');
    // Nobody else reads it before it has the source's permissions.
    await using target = await this.#open(temporary, 'wx+');
    const device = stats.isBlockDevice();
    const size = device ? await deviceBytes(source.fd) : stats.size;
    const whole: Extent[] = size === 0 ? [] : [{ begin: 0, end: size }];
    const extents = device ? whole : await extentsOf(source.fd, size);
    await this.#reserve(target, size, extents);
    const between = { context: this.#context, source, target, size, signal: this.#options.signal };
    const copied = extents.reduce((sum, { begin, end }) => sum + end - begin, 0);
    await copyExtents({ ...between, extents, onPiece: this.#progress('copy', copied) });
    await target.truncate(size);
    if (this.#options.verify === true) {
      await compareExtents({ ...between, extents: whole, onPiece: this.#progress('verify', size) });
    }
    await target.chmod(stats.mode & 0o777);
    if (this.#options.flush !== false) await target.sync();
    return { size, copied, reflinked: false };
  }

  /** Makes room, up to the end of the last block: writes to space that is there do not wait, and a full disk is noticed at once. */
  async #reserve(target: AioFile, size: number, extents: readonly Extent[]): Promise<void> {
    const unit = target.alignment.offset;
    await target.truncate(Math.ceil(size / unit) * unit);
    for (const { begin, end } of extents) {
      throwIfAborted(this.#options.signal);
      try {
        await target.preallocate(begin, Math.ceil(end / unit) * unit - begin);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOTSUP') throw error;
        return;
      }
    }
  }

  #progress(phase: CopyProgress['phase'], total: number): (bytes: number) => void {
    let done = 0;
    return (bytes) => {
      done += bytes;
      this.#options.onProgress?.({ phase, done: Math.min(done, total), total });
    };
  }

  /** Gives the copy its name. What can fail before that, without harm to what has the name now, comes before. */
  async #publish(temporary: Buffer): Promise<void> {
    await using folder = this.#options.flush === false ? undefined : await this.#openFolder();
    if (this.#has(COPYFILE_EXCL)) await this.#linkAnew(temporary);
    else await calls.rename(temporary, this.#destination);
    try {
      await folder?.sync();
    } catch (error) {
      // Not every file system can: then a name is as durable as it makes it.
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    }
  }

  /** The folder of the copy, to be synced; undefined where this user may write to it but not read it: the same goes for the name then. */
  async #openFolder(): Promise<AioFile | undefined> {
    try {
      return await this.#context.open(folderOf(this.#destination), 'r', { direct: false });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
      return undefined;
    }
  }

  /** A link fails where the name is taken, also where somebody took it this moment; rename(2) would take it away. */
  async #linkAnew(temporary: Buffer): Promise<void> {
    try {
      await calls.link(temporary, this.#destination);
    } catch (error) {
      // File systems without links, such as vfat.
      if (!['EPERM', 'ENOTSUP', 'ENOSYS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      if ((await this.#existing()) === undefined) await calls.rename(temporary, this.#destination);
    }
  }
}

const SLASH = 0x2f;

function checkPath(name: string, path: PathLike): Buffer {
  if (typeof path === 'string' || Buffer.isBuffer(path) || path instanceof URL) return pathBytes(path);
  throw invalidArgType(name, 'of type string or an instance of Buffer or URL', path);
}
