import { parentPort, workerData } from 'node:worker_threads';
import { Load, type LoadSpec } from './load.ts';

// One worker of a run: a number is for how long to run, anything else the end. An error ends it, and reaches the main thread.
const port = parentPort!;
const opening = Load.open(workerData as LoadSpec);
port.on('message', async (message: number | 'close') => {
  const load = await opening;
  if (typeof message === 'number') {
    port.postMessage(await load.run(message));
    return;
  }
  await load.close();
  port.close();
});
opening.then(() => port.postMessage('ready'));
