// Resident memory of contexts that do nothing: all but the first, with which the code is loaded that all share. Node runs it with
// --expose-gc.
import { AioContext } from 'kaio';

const CONTEXTS = 16;

function residentBytes(): number {
  for (let i = 0; i < 3; i++) globalThis.gc!();
  return process.memoryUsage.rss();
}

const before = residentBytes();
const contexts = [new AioContext()];
const first = residentBytes();
for (let i = 0; i < CONTEXTS; i++) contexts.push(new AioContext());
const all = residentBytes();
process.stdout.write(JSON.stringify({ firstBytes: first - before, eachBytes: (all - first) / CONTEXTS }));
for (const context of contexts) await context.close();
