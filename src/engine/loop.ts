import { AsyncResource } from 'node:async_hooks';

// As they are when this is loaded: where somebody mocks timers later, requests go on, as those of node:fs do.
export const nextTick: typeof process.nextTick = process.nextTick;
export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask;
export const setImmediate: typeof globalThis.setImmediate = globalThis.setImmediate;
export const setTimeout: typeof globalThis.setTimeout = globalThis.setTimeout;
export const clearTimeout: typeof globalThis.clearTimeout = globalThis.clearTimeout;

/**
 * Callbacks in later turns of the event loop. They run in the asynchronous context in which the AioContext was made: one that brings about
 * the next would keep alive, and show to subscribers, that of whoever happened to ask first.
 */
export class Loop {
  readonly #scope: AsyncResource = new AsyncResource('AIOCONTEXT');

  next(callback: () => void): NodeJS.Immediate {
    return this.#scope.runInAsyncScope(setImmediate, undefined, callback);
  }

  after(ms: number, callback: () => void): NodeJS.Timeout {
    return this.#scope.runInAsyncScope(setTimeout, undefined, callback, ms);
  }
}
