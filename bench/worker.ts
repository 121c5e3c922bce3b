import { parentPort, workerData } from 'node:worker_threads';
import { openLoad } from './load/open.ts';
import type { TrialSpec } from './protocol.ts';

const load = await openLoad(workerData as TrialSpec);
const port = parentPort!;
port.on('message', async (message: number | 'close') => {
  if (message === 'close') {
    await load.close();
    port.close();
  } else {
    port.postMessage(await load.run(message));
  }
});
port.postMessage('ready');
