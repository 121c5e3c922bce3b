import { randomFillSync } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AioContext, copyFile, type ReadStreamOptions, type WriteStreamOptions } from 'kaio';
import type { StreamResult, StreamSpec } from './protocol.ts';

const { task, peer, source, target, bytes } = JSON.parse(process.argv[2]!) as StreamSpec;
const context = new AioContext();
const poolBytes = context.stats().freeBytes;
let leastFree = poolBytes;

/** A consumer that looks at every chunk and keeps none. */
async function consume(stream: Readable): Promise<void> {
  let length = 0;
  stream.on('data', (chunk: Buffer & Partial<Disposable>) => {
    length += chunk.length;
    leastFree = Math.min(leastFree, context.stats().freeBytes);
    chunk[Symbol.dispose]?.();
  });
  await new Promise((resolve, reject) => stream.once('close', resolve).once('error', reject));
  if (length !== bytes) throw new Error(`${length} bytes came instead of ${bytes}`);
}

/** Random data, over and over, in chunks as a program has them. */
function* produce(): Generator<Buffer> {
  const data = randomFillSync(Buffer.alloc(32 * 2 ** 20));
  const chunkBytes = 64 * 1024;
  for (let at = 0; at < bytes; at += chunkBytes) {
    leastFree = Math.min(leastFree, context.stats().freeBytes);
    const from = at % data.length;
    yield data.subarray(from, from + chunkBytes);
  }
}

const reading = async (options: ReadStreamOptions) => consume((await context.open(source)).createReadStream(options));

async function writing(options: WriteStreamOptions): Promise<void> {
  const stream = (await context.open(target, 'w')).createWriteStream({ flush: true, ...options });
  await pipeline(Readable.from(produce()), stream);
}

const PEERS: Readonly<Record<string, () => Promise<unknown>>> = {
  kaio: () => (task === 'copy' ? copyFile(source, target) : task === 'write' ? writing({}) : reading({})),
  'kaio, zeroCopy': () => reading({ zeroCopy: true }),
  'kaio, preallocate': () => writing({ preallocate: bytes }),
  fs: () =>
    task === 'write'
      ? pipeline(Readable.from(produce()), createWriteStream(target, { flush: true }))
      : consume(createReadStream(source)),
  'fs, 1 MiB chunks': () =>
    task === 'write'
      ? pipeline(Readable.from(produce()), createWriteStream(target, { flush: true, highWaterMark: 2 ** 20 }))
      : consume(createReadStream(source, { highWaterMark: 2 ** 20 })),
};

const cpu = process.cpuUsage();
const began = performance.now();
await PEERS[peer]!();
const wallMs = performance.now() - began;
const { user, system } = process.cpuUsage(cpu);
const result: StreamResult = {
  wallMs,
  cpuMs: (user + system) / 1000,
  peakMiB: process.resourceUsage().maxRSS / 1024,
  poolMiB: (poolBytes - leastFree) / 2 ** 20,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
await context.close();
