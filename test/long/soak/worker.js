// A worker with a load of its own, which ends in the way that it is told.
import { parentPort, workerData } from 'node:worker_threads';
import { Load } from './load.js';

const load = new Load(workerData);
parentPort.on('message', (end) => {
  // With everything in flight.
  if (end === 'exit') process.exit(7);
  if (end === 'throw') throw new Error('on purpose');
  if (end === 'spin') for (;;);
  load.end().then(() => {
    parentPort.postMessage(load.counts);
    parentPort.close();
  });
});
await load.start();
parentPort.postMessage('ready');
