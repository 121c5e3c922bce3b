/**
 * `kaio`: files whose reads and writes the Linux kernel does asynchronously, without a thread for each request.
 *
 * @module kaio
 */
import type { PathLike } from 'node:fs';
import { AioContext } from './file/context.ts';
import type { AioFile } from './file/file.ts';
import type { FileOptions } from './file/open.ts';

export type { RequestOptions } from './engine/engine.ts';
export type { PoolBuffer } from './engine/pool.ts';
export type { AioStats } from './engine/stats.ts';
export type { SubmitMode } from './engine/target.ts';
export type { AioErrorCode, CodedError, SystemError } from './errors.ts';
export { AioContext, type AioContextOptions, type PollOptions } from './file/context.ts';
export { type CopyOptions, type CopyProgress, type CopyResult, copyFile } from './file/copyfile.ts';
export { AioFile } from './file/file.ts';
export type { AttachOptions, FileOptions } from './file/open.ts';
export type { AioReadStream, ReadStreamOptions } from './file/readstream.ts';
export type {
  Position,
  ReadCallback,
  ReadOptions,
  ReadResult,
  ReadVResult,
  WriteCallback,
  WriteOptions,
  WriteResult,
  WriteVResult,
} from './file/results.ts';
export { support } from './file/support.ts';
export type { WebStreamOptions } from './file/webstream.ts';
export type { FileData, ReadFileOptions, WriteFileOptions } from './file/whole.ts';
export type { AioWriteStream, Taken, WriteStreamOptions } from './file/writestream.ts';
export type { Unsupported } from './raw/binding.ts';

/** Options of {@link open}. */
export interface OpenOptions extends FileOptions {
  /** Whose queue and memory the file uses; default {@link AioContext.default}. */
  context?: AioContext;
}

/**
 * Opens a file in the default context of this thread, or in `options.context`; see {@link AioContext.open}, whose arguments and errors it
 * has. Close the file when you are done; the default context closes itself with the thread.
 *
 * @throws (rejects) also what making the default context can throw, see {@link AioContext}.
 * @example
 * ```ts
 * import { AioContext, open } from 'kaio';
 *
 * await using file = await open('data.bin', 'r');
 * using buffer = AioContext.default.allocate(4096);
 * const { bytesRead } = await file.read(buffer, 0, 4096, 0);
 * ```
 */
export async function open(
  path: PathLike,
  flags: string | number = 'r',
  options: OpenOptions | number | string = {},
): Promise<AioFile> {
  const context = typeof options === 'object' ? options?.context : undefined;
  return await (context ?? AioContext.default).open(path, flags, options);
}
