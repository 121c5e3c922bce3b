import type { Core } from './core.ts';
import { isRead } from './policy.ts';
import type { Request } from './request.ts';

/** Whether the data of this request must be copied: it lies outside the pool, or where the file cannot take it from. */
export function isCopied(request: Request): boolean {
  return request.pool === -1 && (request.view !== undefined || request.vector !== undefined);
}

/**
 * Takes room for what a request will copy and, for a write, fills it. False where there is no room now. A request whose memory has shrunk
 * since it was made is `broken`.
 */
export function openWindow(core: Core, request: Request): boolean {
  const window = core.pool.takeWindow(request.length);
  if (window === -1) return false;
  request.window = window;
  if (!isRead(request.op)) {
    core.counters.copiedBytes += request.length;
    const copied = eachPiece(request, request.length, (piece, at) => core.pool.bytes.set(piece, window + at));
    if (copied < request.length) request.broken = true;
  }
  return true;
}

/** Hands out what a read brought and gives the room back. False where the caller's memory has shrunk meanwhile. */
export function closeWindow(core: Core, request: Request, bytes: number, wanted: boolean): boolean {
  const { window } = request;
  request.window = -1;
  let whole = true;
  if (wanted && bytes > 0 && isRead(request.op)) {
    core.counters.copiedBytes += bytes;
    const copied = eachPiece(request, bytes, (piece, at) => {
      piece.set(core.pool.bytes.subarray(window + at, window + at + piece.byteLength));
    });
    whole = copied === bytes;
  }
  core.pool.releaseWindow(window);
  return whole;
}

/** Walks over `bytes` of the caller's memory from where this part begins. Returns how many there were; none where any of its views shrank. */
function eachPiece(request: Request, bytes: number, use: (piece: Uint8Array, at: number) => void): number {
  if (request.vector !== undefined && hasShrunk(request.vector, request.parent ?? request)) return 0;
  let skip = request.skip;
  let at = 0;
  const views = request.vector ?? [request.view!];
  for (const view of views) {
    if (at === bytes) break;
    // What was detached has no bytes any more, and no subarray either.
    const { byteLength } = view;
    const begin = Math.min(skip, byteLength);
    skip -= begin;
    if (begin === byteLength) continue;
    const end = Math.min(byteLength, begin + bytes - at);
    const piece = begin === 0 && end === byteLength ? view : view.subarray(begin, end);
    use(piece, at);
    at += piece.byteLength;
  }
  return at;
}

/** Whether the views together are shorter than when the request was made: then what follows one that shrank would go to the wrong place. */
function hasShrunk(views: readonly Uint8Array[], { size }: Request): boolean {
  let total = 0;
  for (const view of views) total += view.byteLength;
  return total < size;
}
