// An HTTP server whose every answer is a file that it reads from the disk. The runner says `run MILLISECONDS` and gets a line of JSON with
// the CPU it took meanwhile and, where other work runs beside it, how long that had to wait.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { createInterface } from 'node:readline';
import { AioContext } from 'kaio';
import { Arena } from 'kaio/raw';
import type { Slice } from '../protocol.ts';
import { Beside } from './beside.ts';
import type { HttpSpec } from './spec.ts';

/** Reads a whole file; the buffer goes back when the answer has been sent. */
interface Reader {
  read(file: number): Promise<Uint8Array>;
  release(buffer: Uint8Array): void;
}

const spec = JSON.parse(process.argv[2]!) as HttpSpec;
const { engine, port, folder, files, bytes, connections, beside } = spec;
const paths = Array.from({ length: files }, (_, file) => `${folder}/${file}`);

/** Each connection asks for one file at a time, so that there is always a buffer left. */
function readerOf(
  free: Uint8Array[],
  read: (file: number, buffer: Uint8Array) => Promise<{ bytesRead: number }>,
): Reader {
  return {
    async read(file) {
      const buffer = free.pop()!;
      const { bytesRead } = await read(file, buffer);
      if (bytesRead !== bytes) throw new Error(`${paths[file]}: ${bytesRead} of ${bytes} bytes`);
      return buffer;
    },
    release: (buffer) => free.push(buffer),
  };
}

async function kaioReader(): Promise<Reader> {
  const context = new AioContext();
  const handles = await Promise.all(paths.map((path) => context.open(path)));
  const free = Array.from({ length: connections }, () => context.allocate(bytes));
  return readerOf(free, (file, buffer) => handles[file]!.read(buffer, 0, bytes, 0));
}

async function fsReader(): Promise<Reader> {
  const handles = await Promise.all(paths.map((path) => open(path, constants.O_RDONLY | constants.O_DIRECT)));
  // Node has no memory that O_DIRECT takes.
  const arena = new Arena(connections * bytes);
  const free = Array.from({ length: connections }, () => arena.allocate(bytes));
  return readerOf(free, (file, buffer) => handles[file]!.read(buffer, 0, bytes, 0));
}

async function answer(reader: Reader, url: string, response: ServerResponse): Promise<void> {
  const buffer = await reader.read(Number(url.slice(1)));
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  response.end(buffer, () => reader.release(buffer));
}

const reader = engine === 'kaio' ? await kaioReader() : await fsReader();
const server = createServer((request, response) => {
  answer(reader, request.url!, response).catch((error: unknown) => response.destroy(error as Error));
});
server.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'));

for await (const line of createInterface({ input: process.stdin })) {
  const milliseconds = Number(/^run (\d+)$/.exec(line)?.[1]);
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const work = new Beside(beside);
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  const { user, system } = process.cpuUsage(cpu);
  const wallMs = performance.now() - begin;
  const { lookups, hashes, samplesNs } = await work.end();
  const slice: Slice = {
    requests: lookups,
    wallMs,
    userUs: user,
    systemUs: system,
    samplesNs,
    counters: { lookups, hashes },
  };
  process.stdout.write(`${JSON.stringify(slice)}\n`);
}
process.exit();
