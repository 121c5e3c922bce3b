// Whether a request costs more, or leaves something behind, when there have been many. It reads a file in memory, so that what varies is
// kaio. Node runs it with --expose-gc.
import { AioContext } from 'kaio';

const DEPTH = 32;
const BYTES = 4096;
const WARM_UP = 200_000;
const FEW = 10_000;
const MANY = 1_000_000;
/** Before and after the many, so that what the machine does meanwhile meets both. */
const FEW_RUNS = 10;

const context = new AioContext();
const file = await context.open(process.argv[2]!, 'r', { direct: 'auto' });
const blocks = Math.floor((await file.stat()).size / BYTES);
const buffers = Array.from({ length: DEPTH }, () => context.allocate(BYTES));

/** Reads so many blocks, `DEPTH` at a time; the CPU and the time of one, in microseconds. */
async function read(requests: number): Promise<{ cpuUs: number; wallUs: number }> {
  let left = requests;
  const one = async (buffer: Uint8Array): Promise<void> => {
    while (left-- > 0) {
      const { bytesRead } = await file.read(buffer, 0, BYTES, (left % blocks) * BYTES);
      if (bytesRead !== BYTES) throw new Error(`${bytesRead} bytes`);
    }
  };
  const cpu = process.cpuUsage();
  const begin = performance.now();
  await Promise.all(buffers.map(one));
  const wallUs = ((performance.now() - begin) * 1000) / requests;
  const { user, system } = process.cpuUsage(cpu);
  return { cpuUs: (user + system) / requests, wallUs };
}

async function few(): Promise<{ cpuUs: number; wallUs: number }[]> {
  const runs: { cpuUs: number; wallUs: number }[] = [];
  for (let i = 0; i < FEW_RUNS; i++) runs.push(await read(FEW));
  return runs;
}

async function heap(): Promise<{ heapBytes: number; outsideBytes: number }> {
  for (let i = 0; i < 5; i++) {
    globalThis.gc!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return { heapBytes: heapUsed, outsideBytes: external + arrayBuffers };
}

await read(WARM_UP);
const earlier = await few();
const before = await heap();
const many = await read(MANY);
const after = await heap();
const few10000 = [...earlier, ...(await few())];
process.stdout.write(JSON.stringify({ few: few10000, many, before, after }));
await context.close();
