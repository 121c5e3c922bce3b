// The write-ahead log of examples/wal, on a disk that is going to lose its power.
//
//   node log.js append PLAN FOLDER     appends until somebody kills it; it says what writer.js says, and before it forgets records:
//                                        G number     those before this one may be gone
//   node log.js list PLAN FOLDER       opens the log as it survived and says what is in it, then appends once more:
//                                        R number length right, or the digest of what is wrong
//                                        N number     of the record that was appended
import { createHash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { contentOf } from './content.js';

const { Log } = await import('../../../examples/out/wal/log.js');
const [, , command, planText, folder] = process.argv;
const plan = JSON.parse(planText);
const SEGMENT_BYTES = 1024 * 1024;
const KEPT = 300;

const say = (...words) => writeSync(1, `${words.join(' ')}\n`);

/** Mostly small ones, some that fill a frame by themselves. */
function recordOf(number) {
  const name = { seed: plan.seed, lane: 0, unit: number, version: 1 };
  const draw = contentOf({ ...name, version: 0 }, 0, 4).readUInt32LE();
  const length = draw % 61 === 0 ? 300_000 : draw % 5000;
  return contentOf(name, 0, length);
}

async function write(log) {
  try {
    for (;;) {
      const expected = log.next;
      const record = recordOf(expected);
      say('S', 0, expected, 1, 0, record.length);
      const number = await log.append(record);
      say('A', 0, number, 1);
      if (number % 100 !== 0 || number < KEPT) continue;
      say('G', number - KEPT);
      await log.forget(number - KEPT);
    }
  } catch (error) {
    say('E', 0, process.hrtime.bigint(), error.code, error.message);
  }
}

const log = await Log.open(folder, { segmentBytes: SEGMENT_BYTES });
if (command === 'append') {
  say('ready');
  readSync(0, Buffer.alloc(1));
  const [{ batches, batchWrites }] = plan.lanes;
  await Promise.all(Array.from({ length: batches * batchWrites }, () => write(log)));
  setInterval(() => {}, 1000);
} else {
  for await (const { number, data } of log.records()) {
    const right = recordOf(number).equals(data);
    say('R', number, data.length, right ? 'right' : createHash('sha256').update(data).digest('hex'));
  }
  say('N', await log.append(recordOf(log.next)));
  await log.close();
}
