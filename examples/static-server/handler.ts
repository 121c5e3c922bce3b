import { constants } from 'node:fs';
import { readlink, realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { AioContext, AioFile } from 'kaio';
import { type Part, partOf } from './ranges.ts';
import { Turns } from './turns.ts';
import { fitsRange, isKnown, validatorsOf } from './validators.ts';

const CHUNK_BYTES = 256 * 1024;
/** While one is sent the next is read. */
const CHUNKS = 2;
/** A client that takes nothing for so long is cut off: others wait for its turn to end. */
const STALLED_MS = 10_000;

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.md': 'text/markdown; charset=utf-8',
  '.mp4': 'video/mp4',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** What went wrong in words for the client. */
class HttpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface StaticOptions {
  /** Answers at once, each with an open file and 512 KiB of memory; default 64. Others wait for their turn. */
  concurrency?: number;
}

/** Makes what answers requests for the files in `root`, which are read past the page cache with memory of `context`. */
export async function serveFiles(
  context: AioContext,
  root: string,
  { concurrency = 64 }: StaticOptions = {},
): Promise<RequestListener> {
  const folder = await realpath(root);
  const turns = new Turns(concurrency);
  return (request, response) => {
    response.setTimeout(STALLED_MS, () => response.destroy());
    turns.take(() => answer(context, folder, request, response)).catch((error: unknown) => fail(response, error));
  };
}

async function answer(
  context: AioContext,
  folder: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    throw new HttpError(405, 'Only GET and HEAD are answered here');
  }
  await using file = await openFile(context, folder, request.url ?? '/');
  const stats = await file.stat({ bigint: true });
  const validators = validatorsOf(stats);
  const size = Number(stats.size);
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('ETag', validators.etag);
  response.setHeader('Last-Modified', new Date(validators.modified).toUTCString());
  if (isKnown(request.headers, validators)) {
    response.writeHead(304).end();
    return;
  }
  const asked = request.method === 'GET' && fitsRange(request.headers, validators) ? request.headers.range : undefined;
  const part = partOf(asked, size);
  if (part === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${size}`);
    throw new HttpError(416, `The file has ${size} bytes`);
  }
  const { start, end } = part ?? { start: 0, end: size };
  response.setHeader('Content-Type', TYPES[extname(file.path!).toLowerCase()] ?? 'application/octet-stream');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Content-Length', end - start);
  if (part !== undefined) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${size}`);
  response.writeHead(part === undefined ? 200 : 206);
  if (request.method === 'GET' && end > start) await send(file, { start, end }, response);
  response.end();
}

// ---- Which file -----------------------------------------------------------------------------------------------------------

/** Opens what a URL names. Whatever is not a file in the folder is not there, for all that a client can tell. */
async function openFile(context: AioContext, folder: string, url: string): Promise<AioFile> {
  // Within "/" no ".." leads further up.
  const path = join(folder, join('/', pathOf(url)));
  try {
    // To open a pipe would wait for somebody to write to it.
    if (!(await stat(path)).isFile()) throw new HttpError(404, 'Not found');
    const file = await context.open(path, constants.O_RDONLY, { direct: 'auto' });
    if (await isInside(folder, file)) return file;
    await file.close();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP', 'ENAMETOOLONG'].includes(code ?? '')) throw error;
  }
  throw new HttpError(404, 'Not found');
}

/** The path of a URL as a path of files. */
function pathOf(url: string): string {
  let path: string;
  try {
    path = decodeURIComponent(url.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*/s, ''));
  } catch {
    throw new HttpError(400, 'The path is not encoded as UTF-8');
  }
  if (path.includes('\0')) throw new HttpError(400, 'The path has a zero byte');
  return path.endsWith('/') ? `${path}index.html` : path;
}

/** Asks of the open file where it is: no link leads out of the folder, also where somebody changes links at this moment. */
async function isInside(folder: string, file: AioFile): Promise<boolean> {
  const path = await readlink(`/proc/self/fd/${file.fd}`);
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

// ---- The bytes ------------------------------------------------------------------------------------------------------------

/**
 * Sends a part of a file, as fast as the client takes it. A response that is too short must not be ended: the next one would be taken for
 * the rest of it.
 */
async function send(file: AioFile, { start, end }: Part, response: ServerResponse): Promise<void> {
  const { socket } = response.req;
  const gone = new AbortController();
  const leave = () => gone.abort();
  // A response that waits behind another one of the same connection does not hear of its end.
  socket.once('close', leave);
  if (socket.destroyed) leave();
  try {
    const stream = file.createReadStream({ start, end: end - 1, highWaterMark: CHUNK_BYTES, inFlight: CHUNKS });
    await pipeline(stream, response, { end: false, signal: gone.signal });
    if (stream.bytesRead < end - start) throw new Error(`${file.path} has become shorter while it was sent`);
  } finally {
    socket.off('close', leave);
  }
}

/** Says what went wrong where that is still possible; else the client sees that bytes are missing. */
function fail(response: ServerResponse, error: unknown): void {
  const clientIsGone = response.destroyed || response.req.socket.destroyed;
  if (!(error instanceof HttpError) && !clientIsGone) console.error(error);
  if (response.headersSent || clientIsGone) {
    response.destroy();
    return;
  }
  const { status, message } = error instanceof HttpError ? error : { status: 500, message: 'The file cannot be read' };
  for (const name of ['ETag', 'Last-Modified', 'Accept-Ranges']) response.removeHeader(name);
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${message}\n`);
}
