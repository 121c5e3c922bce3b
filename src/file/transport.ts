import { constants } from 'node:os';
import { throwIfAborted } from '../engine/aborts.ts';
import { aioError, systemError } from '../errors.ts';
import type { AioContext } from './context.ts';
import type { Extent } from './extents.ts';
import type { AioFile } from './file.ts';

const { EIO } = constants.errno;
/** Bytes of one request, and requests under way, those that read and those that write together. */
const REQUEST_BYTES: number = 512 * 1024;
const IN_FLIGHT = 16;

export interface Transport {
  readonly context: AioContext;
  readonly source: AioFile;
  readonly target: AioFile;
  readonly extents: readonly Extent[];
  /** Bytes of the source: where it ends for good. */
  readonly size: number;
  readonly signal: AbortSignal | undefined;
  /** Called with the bytes of a piece that is done. */
  readonly onPiece: (bytes: number) => void;
}

/** Does something with each piece of the extents, `memory` at a time: it gets whole blocks, of which `bytes` belong to the file. */
type Work = (memory: Buffer, position: number, length: number, bytes: number) => Promise<void>;

/**
 * Writes to the target what the source has there. Pieces are whole blocks: the last one may reach beyond the end of the source, and then
 * writes what was in memory behind it.
 */
export function copyExtents(transport: Transport): Promise<void> {
  const { source, target } = transport;
  return eachPiece(transport, 1, async (memory, position, length, bytes) => {
    await readWhole(source, memory, position, length, bytes);
    for (let done = 0; done < length; ) {
      const { bytesWritten } = await target.write(memory, done, length - done, position + done);
      if (bytesWritten === 0) throw systemError(-EIO, 'write', { path: target.path, offset: position + done, length });
      done += bytesWritten;
    }
  });
}

/** Compares two files. Rejects with `ERR_AIO_COPY_DIFFERS` that names the first byte found to differ. */
export function compareExtents(transport: Transport): Promise<void> {
  const { source, target } = transport;
  return eachPiece(transport, 2, async (memory, position, length, bytes) => {
    const half = memory.byteLength / 2;
    const ours = memory.subarray(0, half);
    const theirs = memory.subarray(half);
    await Promise.all([
      readWhole(source, ours, position, length, bytes),
      readWhole(target, theirs, position, length, bytes),
    ]);
    if (ours.subarray(0, bytes).equals(theirs.subarray(0, bytes))) return;
    const at = position + ours.subarray(0, bytes).findIndex((byte, i) => byte !== theirs[i]);
    throw aioError(
      'ERR_AIO_COPY_DIFFERS',
      `The copy of '${source.path}' differs from it at byte ${at}. Either the source was written to meanwhile: copy it again when ` +
        'nobody does; or a device does not give back what it was given',
    );
  });
}

async function readWhole(
  file: AioFile,
  memory: Buffer,
  position: number,
  length: number,
  bytes: number,
): Promise<void> {
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await file.read(memory, done, length - done, position + done);
    done += bytesRead;
    if (bytesRead > 0) continue;
    throw aioError(
      'ERR_AIO_COPY_DIFFERS',
      `'${file.path}' ended at byte ${position + done} while it was copied: somebody made it shorter. Copy it again`,
    );
  }
}

async function eachPiece(transport: Transport, share: number, work: Work): Promise<void> {
  const { context, source, target, size, signal, onPiece } = transport;
  const unit = Math.max(source.alignment.offset, target.alignment.offset);
  const pieces = piecesOf(transport.extents, unit);
  let failed = false;
  const worker = async (): Promise<void> => {
    const memory = memoryOf(context, REQUEST_BYTES * share);
    try {
      for (const [position, length] of pieces) {
        if (failed) break;
        throwIfAborted(signal);
        const bytes = Math.min(length, size - position);
        await work(memory, position, length, bytes);
        onPiece(bytes);
      }
    } catch (error) {
      failed = true;
      throw error;
    } finally {
      memory[Symbol.dispose]();
    }
  };
  const results = await Promise.allSettled(Array.from({ length: IN_FLIGHT / share }, worker));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** The extents in whole blocks, none twice, cut into requests: position and length. */
function* piecesOf(extents: readonly Extent[], unit: number): Generator<[number, number]> {
  let from = 0;
  for (const { begin, end } of extents) {
    const last = Math.ceil(end / unit) * unit;
    for (let at = Math.max(from, Math.floor(begin / unit) * unit); at < last; ) {
      // Up to a multiple of the request's size, so that requests lie as the device has its stripes.
      const length = Math.min(REQUEST_BYTES - (at % REQUEST_BYTES), last - at);
      yield [at, length];
      at += length;
    }
    from = Math.max(from, last);
  }
}

/** Memory of the context; where that is exhausted ordinary memory, which is copied. */
function memoryOf(context: AioContext, bytes: number): Buffer & Disposable {
  try {
    return context.allocate(bytes);
  } catch {
    return Object.defineProperty(Buffer.alloc(bytes), Symbol.dispose, { value: () => {} }) as Buffer & Disposable;
  }
}
