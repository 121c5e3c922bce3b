// A coverage-guided fuzzer: it keeps the inputs that reach code which none before has reached, and changes those. V8 itself counts the
// blocks (Profiler.startPreciseCoverage, as c8 uses it). An input that a target throws for is a failure.
//
//   node coverage.js '{"target": "decode" | "layout" | "copy" | "bench", "seed": 1, "runs": 100000}'
//   node coverage.js '{"target": "decode", "input": BASE64}'       repeats one input
//
// It prints a line of JSON: how many inputs ran, how many blocks they reached, and what failed.
import { Session } from 'node:inspector/promises';
import { targets } from './targets.js';
import { below, oneIn, pick, seed as seedValues } from './values.js';

const { target: name, seed = 1, runs = 20_000, input } = JSON.parse(process.argv[2]);
const { run, tokens, corpus, of } = targets[name];

/** Inputs that run between two looks at the counters, which cost a millisecond each. */
const BATCH = 64;
const MOST_BYTES = 4096;
const MOST_FAILURES = 10;

const session = new Session();
session.connect();
const reached = new Set();
const failures = [];

async function counters() {
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const found = [];
  for (const { url, functions } of result) {
    if (!url.includes(of)) continue;
    for (const { ranges } of functions) {
      for (const { startOffset, endOffset, count } of ranges) {
        // As often as a power of two more is another path.
        if (count > 0) found.push(`${url}:${startOffset}-${endOffset}:${Math.floor(Math.log2(count) / 2)}`);
      }
    }
  }
  return found;
}

async function execute(bytes) {
  try {
    await run(bytes);
  } catch (error) {
    if (failures.some(({ error: known }) => known === error.stack)) return;
    failures.push({
      input: bytes.toString('base64'),
      text: bytes.toString('latin1').slice(0, 200),
      error: error.stack,
    });
  }
}

/** What these inputs reach that none has reached before. */
async function fresh(inputs) {
  for (const bytes of inputs) await execute(bytes);
  const found = (await counters()).filter((block) => !reached.has(block));
  return found;
}

const interesting = [0, 1, 7, 8, 63, 64, 127, 128, 255];

const changes = [
  (bytes) => {
    bytes[below(bytes.length)] ^= 1 << below(8);
    return bytes;
  },
  (bytes) => {
    bytes[below(bytes.length)] = pick(interesting);
    return bytes;
  },
  (bytes) => {
    bytes[below(bytes.length)] = below(256);
    return bytes;
  },
  (bytes) => bytes.subarray(0, below(bytes.length)),
  (bytes) => Buffer.concat([bytes, bytes.subarray(below(bytes.length))]),
  (bytes) => cut(bytes, below(bytes.length), below(8), Buffer.from(pick(tokens))),
  (bytes) => cut(bytes, below(bytes.length), 0, Buffer.from(pick(tokens))),
  (bytes) => cut(bytes, below(bytes.length), 1 + below(8), Buffer.alloc(0)),
  (bytes) => cut(bytes, below(bytes.length), 0, Buffer.alloc(1 + below(64), pick(interesting))),
];

function cut(bytes, at, removed, put) {
  return Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + removed)]);
}

function mutated(inputs) {
  let bytes = Buffer.from(pick(inputs));
  if (oneIn(8)) bytes = cut(bytes, below(bytes.length + 1), below(16), pick(inputs));
  for (let count = 1 + below(4); count > 0; count--) {
    if (bytes.length === 0) bytes = Buffer.from(pick(tokens));
    bytes = Buffer.from(pick(changes)(bytes));
  }
  return bytes.subarray(0, MOST_BYTES);
}

async function main() {
  if (input !== undefined) return await execute(Buffer.from(input, 'base64'));
  seedValues(seed);
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const kept = corpus.map((text) => Buffer.from(text));
  for (const block of await fresh(kept)) reached.add(block);
  const begun = reached.size;
  let done = kept.length;
  while (done < runs && failures.length < MOST_FAILURES) {
    const batch = Array.from({ length: BATCH }, () => mutated(kept));
    const together = await fresh(batch);
    done += BATCH;
    if (together.length === 0) continue;
    // Which of them it was: what one has reached, the next one reaches in vain.
    for (const bytes of batch) {
      const found = await fresh([bytes]);
      if (found.length > 0) kept.push(bytes);
      for (const block of found) reached.add(block);
    }
    for (const block of together) reached.add(block);
  }
  return { runs: done, inputsKept: kept.length, blocksAtFirst: begun, blocks: reached.size };
}

const figures = await main();
process.stdout.write(`${JSON.stringify({ target: name, seed, ...figures, failures })}\n`);
process.exit(failures.length === 0 ? 0 : 1);
