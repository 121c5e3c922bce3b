/**
 * A cache of objects in a file of a fixed size. The cache itself is `object-cache/cache.ts`, to be taken as it is; this program asks it
 * for the objects of a slow source, some often and most seldom, and shows how it fares.
 *
 *     node examples/out/object-cache.js [--dir FOLDER]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AioContext } from 'kaio';
import { ObjectCache } from './object-cache/cache.ts';

const MIB = 1024 * 1024;
const OBJECTS = 2000;
const CLIENTS = 64;
const REQUESTS = 200;

/** What the source has under a number: up to 64 KiB. */
function load(number: number): Buffer {
  return Buffer.alloc((number * 7919) % 65536, `object ${number} `);
}

/** The first objects are asked for often, the last ones hardly ever. */
function popular(): number {
  return Math.floor(OBJECTS * Math.random() ** 4);
}

/** Asks for one object after another, and puts into the cache what it has not. Returns how many had a wrong byte. */
async function client(cache: ObjectCache): Promise<number> {
  let wrong = 0;
  for (let request = 0; request < REQUESTS; request++) {
    const number = popular();
    const expected = load(number);
    const found = await cache.get(`${number}`);
    if (found === undefined) await cache.set(`${number}`, expected);
    else if (!found.equals(expected)) wrong++;
  }
  return wrong;
}

async function run(folder: string): Promise<boolean> {
  await using context = new AioContext();
  await using cache = await ObjectCache.open(context, join(folder, 'cache'), { capacity: 16 * MIB, maxBlocks: 16 });
  const wrong = (await Promise.all(Array.from({ length: CLIENTS }, () => client(cache)))).reduce((a, b) => a + b);
  const { hits, misses, reads, evictions, objects } = cache.stats;
  const percent = Math.round((100 * hits) / (hits + misses));
  console.log(`${hits + misses} gets of ${OBJECTS} objects through a cache of 16 MiB: ${percent} % hits`);
  console.log(`${reads} reads for ${hits} hits, ${evictions} objects evicted, ${objects} still there, ${wrong} wrong`);
  return wrong === 0;
}

/** Runs it in a folder of its own, and answers with the exit code. */
async function main(): Promise<number> {
  let dir: string;
  try {
    dir = parseArgs({ options: { dir: { type: 'string', default: tmpdir() } } }).values.dir;
  } catch (error) {
    process.stderr.write(`object-cache: ${(error as Error).message}\nUsage: object-cache [--dir FOLDER]\n`);
    return 2;
  }
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(dir, 'kaio-object-cache-'));
    return (await run(folder)) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`object-cache: ${(error as Error).message}\n`);
    return 1;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
