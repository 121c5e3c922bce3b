// Makes transfers through kaio/raw and prints what the kernel answered. The tests of the laboratory run it where something is wrong.
//
//   node transfers.js '{"path": ..., "operation": "read" | "write", "count": ..., "bytes": ..., "buffered": ...}'
import fs from 'node:fs';
import { endianness } from 'node:os';
import * as raw from '../../dist/raw/index.js';

const { path, operation, count, bytes, buffered = false } = JSON.parse(process.argv[2]);
const { O_RDWR, O_CREAT, O_DIRECT } = fs.constants;
const IOCB_CMD = { read: 0, write: 1 };
const IOCB_FLAG_RESFD = 1;
/** The byte order of the kernel's words: half of the name of a method of Buffer. */
const order = endianness();

const fd = fs.openSync(path, O_RDWR | O_CREAT | (buffered ? 0 : O_DIRECT));
const arena = new raw.Arena(1024 * 1024 + count * Math.max(bytes, 4096));
const iocbs = arena.allocate(count * 64);
const pointers = arena.allocate(count * 8);
const events = arena.allocate(count * 32);
const eventfd = raw.eventfd(0, 0);
const ctx = raw.io_setup(count);
const { incompat_features } = raw.readRing(ctx);

function pack(index) {
  const at = index * 64;
  const buffer = arena.allocate(bytes).fill(index + 1);
  iocbs.fill(0, at, at + 64);
  iocbs[`writeBigUInt64${order}`](BigInt(index), at);
  iocbs[`writeUInt16${order}`](IOCB_CMD[operation], at + 16);
  iocbs[`writeUInt32${order}`](fd, at + 20);
  iocbs[`writeBigUInt64${order}`](arena.addressOf(buffer), at + 24);
  iocbs[`writeBigUInt64${order}`](BigInt(bytes), at + 32);
  iocbs[`writeBigUInt64${order}`](BigInt(index * bytes), at + 40);
  iocbs[`writeUInt32${order}`](IOCB_FLAG_RESFD, at + 56);
  iocbs[`writeUInt32${order}`](eventfd, at + 60);
  return arena.addressOf(iocbs.subarray(at, at + 64));
}

const report = { calls: [], refused: {}, results: {}, order: [], interrupted: 0, longestSubmitMs: 0, signalled: 0 };

function submit(waiting) {
  for (const [slot, index] of waiting.entries()) pointers[`writeBigUInt64${order}`](addresses[index], slot * 8);
  const started = performance.now();
  try {
    const taken = raw.io_submit(ctx, waiting.length, arena.addressOf(pointers));
    report.calls.push(taken);
    waiting.splice(0, taken);
  } catch (error) {
    report.calls.push(error.code);
    if (error.code !== 'EAGAIN') report.refused[waiting.shift()] = error.code;
  }
  report.longestSubmitMs = Math.max(report.longestSubmitMs, performance.now() - started);
}

function reap(min) {
  try {
    const nr = raw.io_getevents(ctx, min, count, arena.addressOf(events));
    for (let at = 0; at < nr * 32; at += 32) {
      const index = Number(events[`readBigUInt64${order}`](at));
      const same = events[`readBigUInt64${order}`](at + 8) === addresses[index];
      report.results[index] = same ? Number(events[`readBigInt64${order}`](at + 16)) : 'the address of another iocb';
      report.order.push(index);
    }
    return nr;
  } catch (error) {
    if (error.code !== 'EINTR') throw error;
    report.interrupted++;
    return 0;
  }
}

const addresses = Array.from({ length: count }, (_, index) => pack(index));
const waiting = [...addresses.keys()];
const started = performance.now();
while (waiting.length > 0) submit(waiting);
for (let left = count - Object.keys(report.refused).length; left > 0; ) left -= reap(1);
report.totalMs = performance.now() - started;
if (report.order.length > 0) {
  const counter = Buffer.alloc(8);
  fs.readSync(eventfd, counter);
  report.signalled = Number(counter[`readBigUInt64${order}`]());
}
raw.io_destroy(ctx);
console.log(JSON.stringify({ ...report, incompat_features }));
