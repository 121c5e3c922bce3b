import { nextTick } from '../engine/loop.ts';
import type { Callback } from '../engine/request.ts';
import { invalidArgType } from '../errors.ts';

/** Runs what may throw; what it throws goes where the result would have gone. */
export function attempt<T>(callback: Callback | undefined, run: () => Promise<T> | undefined): Promise<T> | undefined {
  try {
    if (callback !== undefined && typeof callback !== 'function') {
      throw invalidArgType('callback', 'of type function', callback);
    }
    return run();
  } catch (error) {
    if (typeof callback !== 'function') return Promise.reject(error);
    nextTick(callback, error);
    return undefined;
  }
}

/** Has a callback called with what a promise comes to, and with the buffer where there is one. */
export function callBackWith(callback: Callback, result: Promise<unknown>, buffer?: unknown): void {
  result.then(
    (bytes) => (buffer === undefined ? callBack(callback, null) : callBack(callback, null, bytes as number, buffer)),
    (error) => callBack(callback, error),
  );
}

/** Calls back; what it throws becomes an uncaught exception, as from any other callback, and not a rejection that nobody handles. */
function callBack(callback: Callback, ...result: Parameters<Callback>): void {
  try {
    callback(...result);
  } catch (thrown) {
    nextTick(() => {
      throw thrown;
    });
  }
}
