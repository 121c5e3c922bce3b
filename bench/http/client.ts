// The load: every connection asks for one random file after the other, and checks what comes. A process of its own, so that its work is
// not the server's; it reads the answers itself, since an HTTP client takes as much as the server.
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { randomBlocks } from '../offsets.ts';
import type { Slice } from '../protocol.ts';
import { type HttpSpec, wordOf } from './spec.ts';

const { port, files, bytes, connections } = JSON.parse(process.argv[2]!) as HttpSpec;
const END_OF_HEAD = Buffer.from('\r\n\r\n');

let running = false;
let left = 0;
let samplesNs: number[] = [];
let finished: () => void = () => {};

class Connection {
  readonly #socket: Socket;
  readonly #next: () => number;
  #file = 0;
  #began = 0;
  /** What has come of the answer: its head until that is complete, then how many bytes of its body. */
  #head: Buffer = Buffer.alloc(0);
  #body = -1;

  constructor(seed: number) {
    this.#next = randomBlocks(files, seed);
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('close', () => {
      throw new Error('the server has closed a connection');
    });
  }

  ask(): void {
    this.#file = this.#next();
    this.#head = Buffer.alloc(0);
    this.#body = -1;
    this.#began = performance.now();
    this.#socket.write(`GET /${this.#file} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  }

  #take(chunk: Buffer): void {
    let body = chunk;
    if (this.#body === -1) {
      this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
      const end = this.#head.indexOf(END_OF_HEAD);
      if (end === -1) return;
      const length = Number(/content-length: (\d+)/i.exec(this.#head.toString('latin1', 0, end))?.[1]);
      if (!this.#head.toString('latin1', 0, 15).startsWith('HTTP/1.1 200') || length !== bytes) {
        throw new Error(`an answer begins with ${this.#head.toString('latin1', 0, end)}`);
      }
      body = this.#head.subarray(end + END_OF_HEAD.length);
      this.#body = 0;
    }
    this.#check(body);
    this.#body += body.length;
    if (this.#body >= bytes) this.#done();
  }

  /** The first and the last byte of what has come, as they must be there. */
  #check(body: Buffer): void {
    const word = wordOf(this.#file);
    const expected = (at: number): number => (word >>> (8 * (at % 4))) & 0xff;
    const last = body.length - 1;
    if (last < 0) return;
    if (
      this.#body + body.length > bytes ||
      body[0] !== expected(this.#body) ||
      body[last] !== expected(this.#body + last)
    ) {
      throw new Error(`wrong bytes for file ${this.#file}`);
    }
  }

  #done(): void {
    samplesNs.push(Math.round((performance.now() - this.#began) * 1e6));
    if (running) this.ask();
    else if (--left === 0) finished();
  }
}

const all = Array.from({ length: connections }, (_, i) => new Connection(i + 1));
process.stdout.write('ready\n');

for await (const line of createInterface({ input: process.stdin })) {
  const milliseconds = Number(/^run (\d+)$/.exec(line)?.[1]);
  const cpu = process.cpuUsage();
  const begin = performance.now();
  samplesNs = [];
  running = true;
  left = all.length;
  const ended = new Promise<void>((resolve) => {
    finished = resolve;
  });
  for (const connection of all) connection.ask();
  setTimeout(() => {
    running = false;
  }, milliseconds);
  await ended;
  const wallMs = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpu);
  const slice: Slice = { requests: samplesNs.length, wallMs, userUs: user, systemUs: system, samplesNs };
  process.stdout.write(`${JSON.stringify(slice)}\n`);
}
process.exit();
