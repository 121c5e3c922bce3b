import {
  access as accessCallback,
  close as closeCallback,
  constants,
  fstat as fstatCallback,
  lstat as lstatCallback,
  type Mode,
  open as openCallback,
  type PathLike,
  unlink as unlinkCallback,
} from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { debug } from '../debug.ts';
import type { Engine } from '../engine/engine.ts';
import { type SubmitMode, Target } from '../engine/target.ts';
import { aioError, type CodedError, invalidArgValue } from '../errors.ts';
import type { AioContext } from './context.ts';
import { AioFile } from './file.ts';
import { flagsOf, modeOf } from './flags.ts';
import { Handle } from './handle.ts';
import { endOfLinks, isTaken } from './links.ts';
import { type Nature, natureOf } from './storage.ts';

const access = promisify(accessCallback);
const close = promisify(closeCallback);
const fstat = promisify(fstatCallback);
const lstat = promisify(lstatCallback);
const open = promisify(openCallback);
const unlink = promisify(unlinkCallback);
const { O_CREAT, O_DIRECT, O_EXCL, O_NOFOLLOW, O_TRUNC } = constants;

/** How a file takes part in asynchronous I/O. */
export interface AttachOptions {
  /**
   * Who submits: `'auto'` (default) tries on the event loop what will not wait and gives the rest to threads; `'inline'` submits
   * everything on the event loop, which waits where the kernel does; `'offload'` gives everything to threads, the strict promise
   * never to hold the loop.
   */
  submit?: SubmitMode;
}

export interface FileOptions extends AttachOptions {
  /**
   * Permission bits of a file that is created; default 0o666. Without the owner's write bit only root can have direct writes of other lengths
   * than whole blocks: they need a second descriptor (`ERR_AIO_MISALIGNED`).
   */
  mode?: Mode;
  /**
   * Bypass the page cache (O_DIRECT). `true` (default) fails with `ERR_AIO_DIRECT_UNSUPPORTED` where the file system cannot; `'auto'`
   * falls back to the page cache there; `false` uses it.
   */
  direct?: boolean | 'auto';
}

/** Opens a path for a context. */
export async function openFile(
  context: AioContext,
  engine: Engine,
  path: PathLike,
  flags: string | number,
  options: FileOptions,
): Promise<AioFile> {
  engine.assertOpen();
  const { direct = true } = options;
  if (direct !== true && direct !== false && direct !== 'auto') {
    throw invalidArgValue('options.direct', "must be true, false or 'auto'", direct);
  }
  const submit = checkSubmit(options.submit);
  const number = flagsOf(flags) & ~O_DIRECT;
  const mode = modeOf(options.mode, 0o666);
  const fd = await openDescriptor(path, number, mode, direct).catch((error) => {
    throw withRemedy(error, path, number);
  });
  let nature: Nature;
  try {
    nature = await natureOf(fd);
    // The context may have been closed meanwhile, and would never close this file.
    engine.assertOpen();
  } catch (error) {
    await close(fd);
    throw error;
  }
  const target = targetOf(fd, pathText(path), nature, submit);
  return await fileOf(context, new Handle(engine, target, nature.inode, true), nature);
}

/** From here on the context closes the descriptor too: it must not be closed in any other way, or its number could be another file's. */
async function fileOf(context: AioContext, handle: Handle, nature: Nature): Promise<AioFile> {
  try {
    return new AioFile(context, handle, nature);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Takes part in a descriptor that somebody else opened and will close. */
export async function attachFile(
  context: AioContext,
  engine: Engine,
  fd: number,
  options: AttachOptions,
): Promise<AioFile> {
  engine.assertOpen();
  const submit = checkSubmit(options.submit);
  const nature = await natureOf(fd);
  engine.assertOpen();
  const target = targetOf(fd, undefined, nature, submit);
  return await fileOf(context, new Handle(engine, target, nature.inode, false), nature);
}

function checkSubmit(submit: unknown = 'auto'): SubmitMode {
  if (submit === 'auto' || submit === 'inline' || submit === 'offload') return submit;
  throw invalidArgValue('options.submit', "must be 'auto', 'inline' or 'offload'", submit);
}

function targetOf(fd: number, path: string | undefined, nature: Nature, submit: SubmitMode): Target {
  debug('%s is fd %d: %o, submit %s', path ?? 'attached', fd, nature, submit);
  const { direct, append, size, storage, alignment } = nature;
  const { memory: memoryAlign, offset: lengthAlign } = alignment;
  return new Target({ fd, path, direct, append, size, storage, submit, memoryAlign, lengthAlign });
}

/** A descriptor of which nothing needs to be known: for polls. */
export function descriptorTarget(fd: number): Target {
  return new Target({
    fd,
    path: undefined,
    direct: false,
    append: false,
    size: 0,
    storage: 'remote',
    submit: 'auto',
    memoryAlign: 1,
    lengthAlign: 1,
  });
}

function pathText(path: PathLike): string {
  return path instanceof URL ? fileURLToPath(path) : path.toString();
}

async function openDescriptor(path: PathLike, flags: number, mode: number, direct: boolean | 'auto'): Promise<number> {
  if (direct === false) return open(path, flags, mode);
  if ((flags & O_CREAT) !== 0 && (await isMissing(path))) return openNew(path, flags, mode, direct);
  return openThere(path, flags, mode, direct);
}

/**
 * Opens what is not there yet. Where the file system refuses O_DIRECT, open(2) has created the file already: then it is ours to remove, and
 * O_EXCL says for certain that it is.
 */
async function openNew(path: PathLike, flags: number, mode: number, direct: true | 'auto'): Promise<number> {
  const exclusive = (flags & O_EXCL) !== 0;
  // Neither follows a link.
  const place = exclusive || (flags & O_NOFOLLOW) !== 0 ? path : await placeOf(path);
  try {
    return await open(place, flags | O_EXCL | O_DIRECT, mode);
  } catch (error) {
    const { code } = error as CodedError;
    // Somebody else made it meanwhile.
    if (code === 'EEXIST' && !exclusive) return openThere(path, flags, mode, direct);
    if (code !== 'EINVAL') throw error;
    if (direct === 'auto') return openMade(place, flags, mode);
    throw (await takeBack(place)) ? unsupported(path, OTHER_FILES, error) : error;
  }
}

/** Opens without O_DIRECT what was made just now: removing it first could take it from somebody who has opened it meanwhile. */
async function openMade(place: PathLike, flags: number, mode: number): Promise<number> {
  try {
    return await open(place, (await isTaken(place)) ? flags & ~O_EXCL : flags, mode);
  } catch (error) {
    // Its own mode forbids it: only who makes it may open it then.
    if ((error as CodedError).code !== 'EACCES' || !(await takeBack(place))) throw error;
    return open(place, flags, mode);
  }
}

/** Where the file comes to be that this path makes: a link may lead to nothing yet. */
async function placeOf(path: PathLike): Promise<PathLike> {
  if (!(await isTaken(path))) return path;
  // What is wrong with the path is for open(2) to say.
  return endOfLinks(path).catch(() => path);
}

/** Removes a file that was made just now, unless it is another by now. Returns whether there was one. */
async function takeBack(place: PathLike): Promise<boolean> {
  const stats = await lstat(place).catch(() => undefined);
  if (stats === undefined || !stats.isFile() || stats.size > 0) return false;
  await unlink(place);
  return true;
}

async function openThere(path: PathLike, flags: number, mode: number, direct: true | 'auto'): Promise<number> {
  try {
    return await open(path, flags | O_DIRECT, mode);
  } catch (error) {
    if ((error as CodedError).code !== 'EINVAL') throw error;
    return openWithoutDirect(path, flags, mode, direct, error);
  }
}

/** Adds to an error of open(2) what to do, where its name does not say it: the file was to be made, so it is its folder that is missing. */
function withRemedy(error: CodedError, path: PathLike, flags: number): CodedError {
  if (error.code === 'ENOENT' && (flags & O_CREAT) !== 0) {
    error.message += `. Make its folder first: fs.mkdir('${dirname(pathText(path))}', { recursive: true })`;
  }
  return error;
}

/** Whether the path leads to nothing yet. Where the kernel follows a link for nobody or not for us (proc_sys_fs(5)), that is for open(2) to say. */
async function isMissing(path: PathLike): Promise<boolean> {
  try {
    await access(path);
    return false;
  } catch (error) {
    return (error as CodedError).code === 'ENOENT';
  }
}

const OTHER_FILES =
  "Open with { direct: 'auto' } to use the page cache where it must be, with { direct: false } to use it always, or put the file on " +
  'a file system such as ext4 or xfs';

/** open(2) answered EINVAL of what is there: either there is no direct I/O here, or the flags are wrong in another way. */
async function openWithoutDirect(
  path: PathLike,
  flags: number,
  mode: number,
  direct: true | 'auto',
  error: unknown,
): Promise<number> {
  // A check must neither create nor empty what is there.
  const again = direct === 'auto' ? flags : flags & ~(O_CREAT | O_EXCL | O_TRUNC);
  let fd: number;
  try {
    fd = await open(path, again, mode);
  } catch {
    throw error;
  }
  const stats = await fstat(fd);
  // A directory is opened to be synced; nobody reads it past the page cache.
  if (direct === 'auto' || stats.isDirectory()) return fd;
  await close(fd);
  const isData = stats.isFile() || stats.isBlockDevice();
  throw unsupported(
    path,
    isData ? OTHER_FILES : 'It is a pipe, a socket or a device: open with { direct: false }',
    error,
  );
}

function unsupported(path: PathLike, remedy: string, error: unknown): Error {
  return aioError(
    'ERR_AIO_DIRECT_UNSUPPORTED',
    `'${pathText(path)}' cannot be opened for direct I/O (O_DIRECT). ${remedy}`,
    error,
  );
}
