import { nextTick } from './loop.ts';
import type { Request } from './request.ts';

/** Tells whoever made the request how it ended. After this only the engine knows it. */
export function settle(request: Request, error: Error | null, bytes: number): void {
  request.settled = true;
  if (request.callback === undefined) {
    request.resolve(error === null ? request.shape(bytes, request.buffer) : rejection(error));
    return;
  }
  try {
    // In the asynchronous context of the call, so that AsyncLocalStorage keeps its store.
    if (error === null && request.buffer !== undefined) {
      request.resource!.runInAsyncScope(request.callback, undefined, null, bytes, request.buffer);
    } else request.resource!.runInAsyncScope(request.callback, undefined, error);
  } catch (thrown) {
    // It is thrown where nothing else is lost by it, and becomes an uncaught exception there.
    nextTick(rethrow, thrown);
  } finally {
    request.resource!.emitDestroy();
  }
}

function rethrow(error: unknown): never {
  throw error;
}

/**
 * A promise that rejects with this error once its stack names the line that awaits. V8 finds that line by following from the running
 * async function to whom it resolves; the second await lets the caller's promise, which is resolved with this one, become part of that
 * chain. Only failures pay for it.
 */
async function rejection(error: Error): Promise<never> {
  await undefined;
  await undefined;
  Error.captureStackTrace(error);
  throw error;
}
