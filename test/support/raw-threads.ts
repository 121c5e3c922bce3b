/** Calls of kaio/raw on threads of their own, for those that stand still: addresses and contexts are good in every thread. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { onTestFinished } from 'vitest';

const library = new URL('../../dist/raw/index.js', import.meta.url).href;

/** What runs in the worker: one call, between two messages. */
const program = `
  const { parentPort, workerData } = require('node:worker_threads');
  import(workerData.library).then((raw) => {
    parentPort.postMessage('calling');
    let result;
    try {
      result = raw[workerData.call](...workerData.args);
    } catch (error) {
      result = error.code;
    }
    parentPort.postMessage({ result });
  });
`;

type Argument = number | bigint | { tv_sec: number; tv_nsec: number } | undefined;

/** A call under way in another thread. */
export interface Blocked {
  /** Its result, or the code of its error. */
  readonly result: Promise<number | string>;
  /** Whether it has returned. */
  returned: boolean;
}

/** Makes a call of kaio/raw in a new thread; resolves when the thread is about to make it. */
export async function callInThread(
  call: 'io_getevents' | 'io_submit' | 'io_destroy',
  ...args: readonly Argument[]
): Promise<Blocked> {
  const worker = new Worker(program, { eval: true, workerData: { library, call, args } });
  onTestFinished(async () => {
    await worker.terminate();
  });
  await once(worker, 'message');
  const result = once(worker, 'message').then(([message]) => {
    blocked.returned = true;
    return (message as { result: number | string }).result;
  });
  const blocked: Blocked = { result, returned: false };
  return blocked;
}

/** Long enough for a call that does not stand still to return; a thread that has not by then is taken to wait. */
export function settle(milliseconds = 150): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
