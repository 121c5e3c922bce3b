/** Questions to a kernel about one place, and its answers in words: what docs/kernels.md compares. */

import { execFileSync } from 'node:child_process';
import { closeSync, constants, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import {
  IOCB_CMD_FSYNC,
  IOCB_CMD_PREAD,
  IOCB_CMD_PWRITE,
  RWF_APPEND,
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOWAIT,
} from '../../../src/layout/index.ts';
import { binding } from '../../../src/raw/binding.ts';
import { type Iocb, Rig } from '../../support/raw.ts';

const { O_CREAT, O_DIRECT, O_RDWR } = constants;
/** Flags that kaio has no use for, of which newer kernels know more; <linux/fs.h>. */
const NEWER = { RWF_NOAPPEND: 0x20, RWF_ATOMIC: 0x40, RWF_DONTCACHE: 0x80, RWF_NOSIGNAL: 0x100 };

/** Large enough for a page of every machine. */
const BLOCK = 64 * 1024;
const ROUNDS = 20;

export type Answers = Record<string, string>;

/** What the kernel answers to the same request again and again: every answer once. */
function repeated(rig: Rig, request: (round: number) => Iocb): string {
  const words = Array.from({ length: ROUNDS }, (_, round) => {
    const outcome = rig.attempt(request(round));
    if ('io_submit' in outcome) return `${outcome.io_submit} of io_submit`;
    return typeof outcome.res === 'number'
      ? outcome.res === request(round).nbytes
        ? 'done'
        : `${outcome.res} bytes`
      : outcome.res;
  });
  return [...new Set(words)].sort().join(', ');
}

/** What it answers to the second of two writes in one call: that has no new time to write into the file. */
function pairs(rig: Rig, request: (round: number) => Iocb): string {
  const results = Array.from({ length: ROUNDS }, (_, round) => {
    const [, second] = rig.attemptAll([request(round), { ...request(round + ROUNDS), rw_flags: RWF_NOWAIT }]);
    return typeof second === 'number' ? 'done' : String(second);
  });
  return [...new Set(results)].sort().join(', ');
}

/** Whether requests are under way when io_submit returns. A fast device may have completed some by then. */
function pending(rig: Rig, request: (round: number) => Iocb): string {
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    rig.submit(rig.iocb(request(round)));
    if (rig.unread === 0) count++;
    rig.reap();
  }
  return count === 0 ? 'never' : 'yes';
}

async function alignment(fd: number): Promise<string> {
  const stat = await binding().statx(fd);
  if (typeof stat === 'number') return `statx fails: ${stat}`;
  const { dio_mem_align: memory, dio_offset_align: offset } = stat;
  return memory === undefined ? 'not said' : `memory ${memory}, offset ${offset}`;
}

function openDirect(path: string): number | string {
  try {
    return openSync(path, O_RDWR | O_CREAT | O_DIRECT, 0o600);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** Direct I/O on a file of some size, or a device, within that size. */
async function directAnswers(rig: Rig, path: string): Promise<Answers> {
  const fd = openDirect(path);
  if (typeof fd === 'string') return { 'open with O_DIRECT': fd };
  const buffer = rig.buffer(2 * BLOCK, 0x61);
  const buf = rig.address(buffer.subarray(BLOCK - (Number(rig.address(buffer)) % BLOCK)));
  const at = (round: number) => ({ fd, nbytes: 4096, offset: round * 4096 });
  const read = (round: number): Iocb => ({ opcode: IOCB_CMD_PREAD, buf, ...at(round) });
  const write = (round: number): Iocb => ({ opcode: IOCB_CMD_PWRITE, buf, ...at(round) });
  const flagged = (request: (round: number) => Iocb, rw_flags: number) => (round: number) => ({
    ...request(round),
    rw_flags,
  });
  const answers: Answers = { 'open with O_DIRECT': 'done', 'statx: aligned to': await alignment(fd) };
  answers['direct read'] = repeated(rig, read);
  answers['direct write'] = repeated(rig, write);
  answers['direct read, NOWAIT'] = repeated(rig, flagged(read, RWF_NOWAIT));
  answers['direct write, NOWAIT'] = repeated(rig, flagged(write, RWF_NOWAIT));
  const large = (request: (round: number) => Iocb) => (round: number) => ({
    ...request(round),
    nbytes: BLOCK,
    offset: 0,
  });
  // Where the call itself refuses the flag, the one above has said so.
  if (!answers['direct write, NOWAIT'].includes('io_submit'))
    answers['direct write right after another, NOWAIT'] = pairs(rig, write);
  answers['direct read of 64 KiB, NOWAIT'] = repeated(rig, flagged(large(read), RWF_NOWAIT));
  answers['direct write of 64 KiB, NOWAIT'] = repeated(rig, flagged(large(write), RWF_NOWAIT));
  answers['direct read pending'] = pending(rig, read);
  answers['direct write pending'] = pending(rig, write);
  answers['direct read of 512 bytes'] = repeated(rig, (round) => ({ ...read(round), nbytes: 512 }));
  answers['direct read of 100 bytes'] = repeated(rig, (round) => ({ ...read(round), nbytes: 100 }));
  answers['direct read, memory + 512'] = repeated(rig, (round) => ({ ...read(round), buf: buf + 512n }));
  answers['direct read, memory + 4'] = repeated(rig, (round) => ({ ...read(round), buf: buf + 4n }));
  answers['direct write, RWF_DSYNC'] = repeated(rig, flagged(write, RWF_DSYNC));
  answers['direct read, RWF_HIPRI'] = repeated(rig, flagged(read, RWF_HIPRI));
  for (const [name, flag] of Object.entries(NEWER)) {
    answers[`direct read, ${name}`] = repeated(rig, flagged(read, flag));
    answers[`direct write, ${name}`] = repeated(rig, flagged(write, flag));
  }
  answers['fsync pending'] = pending(rig, () => ({ opcode: IOCB_CMD_FSYNC, fd }));
  closeSync(fd);
  return answers;
}

/** Writes what has no place yet: beyond the end, and in a hole. */
function growing(rig: Rig, path: string): Answers {
  const fd = openDirect(path);
  if (typeof fd === 'string') return {};
  const buf = (rig.address(rig.buffer(8192).subarray(0)) + 4095n) & ~4095n;
  const write = (round: number): Iocb => ({ opcode: IOCB_CMD_PWRITE, fd, buf, nbytes: 4096, offset: round * 4096 });
  const answers: Answers = {};
  answers['extending write, NOWAIT'] = repeated(rig, (round) => ({ ...write(1000 + round), rw_flags: RWF_NOWAIT }));
  answers['extending write pending'] = pending(rig, (round) => write(2000 + round));
  answers['write in a hole, NOWAIT'] = repeated(rig, (round) => ({ ...write(200 + round), rw_flags: RWF_NOWAIT }));
  closeSync(fd);
  return answers;
}

/** Through the page cache. */
function bufferedAnswers(rig: Rig, path: string): Answers {
  const fd = openSync(path, O_RDWR);
  const buf = rig.address(rig.buffer(4096, 0x62));
  const read: Iocb = { opcode: IOCB_CMD_PREAD, fd, buf, nbytes: 4096 };
  const write: Iocb = { ...read, opcode: IOCB_CMD_PWRITE };
  const answers: Answers = {};
  readFileSync(path);
  answers['cached read, NOWAIT'] = repeated(rig, () => ({ ...read, rw_flags: RWF_NOWAIT }));
  answers['buffered write, NOWAIT'] = repeated(rig, () => ({ ...write, rw_flags: RWF_NOWAIT }));
  answers['buffered write, RWF_APPEND'] = repeated(rig, () => ({ ...write, rw_flags: RWF_APPEND }));
  for (const [name, flag] of Object.entries(NEWER)) {
    answers[`cached read, ${name}`] = repeated(rig, () => ({ ...read, rw_flags: flag }));
    answers[`buffered write, ${name}`] = repeated(rig, () => ({ ...write, rw_flags: flag }));
  }
  fsyncSync(fd);
  execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { stdio: 'ignore' });
  const first = rig.attempt({ ...read, rw_flags: RWF_NOWAIT });
  answers['uncached read, NOWAIT'] = 'io_submit' in first ? `${first.io_submit} of io_submit` : String(first.res);
  closeSync(fd);
  return answers;
}

/** All of it for a new file in a folder. */
export async function answersIn(directory: string): Promise<Answers> {
  const path = `${directory}/answers`;
  const fd = openSync(path, O_RDWR | O_CREAT, 0o600);
  for (let at = 0; at < 16; at++) writeSync(fd, Buffer.alloc(BLOCK, at));
  fsyncSync(fd);
  closeSync(fd);
  const rig = new Rig();
  return { ...(await directAnswers(rig, path)), ...growing(rig, path), ...bufferedAnswers(rig, path) };
}

/** The same for a block device, whose first MiB is overwritten. */
export async function answersOf(device: string): Promise<Answers> {
  const rig = new Rig();
  return directAnswers(rig, device);
}
