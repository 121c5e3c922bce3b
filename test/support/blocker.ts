import { closeSync, writeSync } from 'node:fs';
import type { AioContext } from '../../src/index.ts';
import { eventfd } from '../../src/raw/index.ts';
import { submitted, turn } from './outcome.ts';

const POLLIN = 1;

/** What keeps the only slot of a context of depth 1: meanwhile its other requests wait in their queues, whatever the device does. */
export interface Blocker {
  /** Lets the waiting requests go. */
  release(): Promise<void>;
}

/** Takes the only slot of a context, with a poll that becomes ready when it is told to. */
export async function block(context: AioContext): Promise<Blocker> {
  const fd = eventfd(0, 0);
  const poll = context.poll(fd, POLLIN).catch(() => {});
  await submitted();
  // Where an earlier submit was slow, this one has its turn a little later.
  for (let turns = 0; turns < 100 && context.stats().inFlight === 0; turns++) await turn();
  if (context.stats().inFlight !== context.stats().depth)
    throw new Error('the context has room for more than the poll');
  return {
    async release() {
      writeSync(fd, new BigUint64Array([1n]));
      await poll;
      closeSync(fd);
    },
  };
}
