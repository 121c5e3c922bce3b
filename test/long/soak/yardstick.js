// How fast the machine is for a process that has no part of kaio: Node's own fs reads and writes as the load does. What slows both down is
// not kaio's. A process of its own, for what it has must not show in what the soak measures of itself.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { constants, mkdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLatencies, record, takeLatencies } from './latency.js';

const path = fileURLToPath(import.meta.url);
/** As many as fs has threads. */
const LANES = 4;
const REST_MS = 10;
const UNIT_BYTES = 4096;
const UNITS = 1024;
const SYNC_ONE_IN = 30;

export class Yardstick {
  #child;

  constructor(dir) {
    // Without the library that is preloaded into the soak.
    const { LD_PRELOAD, ...env } = process.env;
    this.#child = fork(path, [dir], { env, execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  }

  /** The p99.9 in milliseconds since the last call, and of how many requests. */
  async take() {
    const answer = once(this.#child, 'message');
    this.#child.send('take');
    const [figures] = await answer;
    return figures;
  }

  async end() {
    const exit = once(this.#child, 'exit');
    this.#child.disconnect();
    await exit;
  }
}

async function lane(file, memory, latencies) {
  while (process.connected) {
    const position = Math.floor(Math.random() * UNITS) * UNIT_BYTES;
    const began = performance.now();
    if (Math.random() < 0.5) await file.read(memory, 0, UNIT_BYTES, position);
    else await file.write(memory, 0, UNIT_BYTES, position);
    record(latencies, performance.now() - began);
    if (Math.random() < 1 / SYNC_ONE_IN) await file.datasync();
    await sleep(REST_MS * 2 * Math.random());
  }
}

async function main(dir) {
  mkdirSync(dir, { recursive: true });
  const { O_CREAT, O_RDWR, O_DIRECT } = constants;
  const file = await open(`${dir}/yardstick`, O_CREAT | O_RDWR | O_DIRECT);
  // Memory of WebAssembly begins at a page, as direct I/O wants it.
  const memory = Buffer.from(new WebAssembly.Memory({ initial: 1 }).buffer);
  for (let unit = 0; unit < UNITS; unit++) await file.write(memory, 0, UNIT_BYTES, unit * UNIT_BYTES);
  const latencies = createLatencies();
  process.on('message', () => process.send(takeLatencies(latencies)));
  await Promise.all(Array.from({ length: LANES }, () => lane(file, memory, latencies)));
  await file.close();
}

if (process.argv[1] === path) await main(process.argv[2]);
