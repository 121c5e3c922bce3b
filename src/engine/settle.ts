import { AsyncResource } from 'node:async_hooks';
import { nextTick } from './loop.ts';
import type { Callback, Request } from './request.ts';

// A callback can reach its resource (executionAsyncResource): Node's own methods are used, whatever it puts in their place. What that
// threw would be thrown amid the completions.
const { call } = Function.prototype;
type Run = (resource: AsyncResource, callback: Callback, self: undefined, ...answer: Parameters<Callback>) => void;
const runInAsyncScope = call.bind(AsyncResource.prototype.runInAsyncScope) as Run;
const emitDestroy = call.bind(AsyncResource.prototype.emitDestroy) as (resource: AsyncResource) => void;

/** Tells whoever made the request how it ended. After this only the engine knows it. What a callback throws is thrown on its own. */
export function settle(request: Request, error: Error | null, bytes: number): void {
  request.settled = true;
  const { callback, buffer } = request;
  if (callback === undefined) {
    request.resolve(error === null ? request.shape(bytes, buffer) : rejection(error));
    return;
  }
  // A callback may run ticks, and the record of a request that was aborted in the queue is free for the next one then.
  const resource = request.resource!;
  try {
    // In the asynchronous context of the call, so that AsyncLocalStorage keeps its store.
    if (error === null && buffer !== undefined) {
      runInAsyncScope(resource, callback, undefined, null, bytes, buffer);
    } else runInAsyncScope(resource, callback, undefined, error);
  } catch (thrown) {
    nextTick(rethrow, thrown);
  } finally {
    emitDestroy(resource);
  }
}

/** To be called on its own, so that an error becomes an uncaught exception where nothing else is lost by it. */
export function rethrow(error: unknown): never {
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
