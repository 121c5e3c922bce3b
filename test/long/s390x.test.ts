import { expect, test } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';
import { obstacle, runInGuest } from './s390x-guest.ts';

const folder = scratchFolder();

/** A write and a read through kaio, and the same through kaio/raw with iocbs that kaio/layout encoded. */
const script = `
import { closeSync, openSync, constants, readFileSync } from 'node:fs';
import { open } from '/kaio/dist/index.js';
import { decodeIoEvents, encodeBatch, hostAbi } from '/kaio/dist/layout/index.js';
import { Arena, io_destroy, io_getevents, io_setup, io_submit, readRing } from '/kaio/dist/raw/index.js';

const results = { arch: process.arch, hostAbi };

const file = await open('/mnt/engine', 'w+');
const pattern = Buffer.from(Array.from({ length: 8192 }, (_, i) => (i * 7 + (i >> 8)) & 255));
results.written = (await file.write(pattern, 0, 8192, 4096)).bytesWritten;
const back = Buffer.alloc(8192);
results.read = (await file.read(back, 0, 8192, 4096)).bytesRead;
results.same = back.equals(pattern);
await file.sync();
await file.close();
results.onDisk = readFileSync('/mnt/engine').subarray(4096).equals(pattern);

const fd = openSync('/mnt/raw', constants.O_RDWR | constants.O_CREAT | constants.O_DIRECT);
const context = io_setup(8);
results.ring = readRing(context).magic.toString(16);
const arena = new Arena(65536);
const memory = Buffer.from(arena.buffer);
pattern.copy(memory, 8192);
const submit = (opcode, at) => {
  const request = { aio_data: 0x1122334455667788n, aio_lio_opcode: opcode, aio_fildes: fd, aio_buf: arena.address + BigInt(at), aio_nbytes: 8192 };
  const { iocbs, pointers } = encodeBatch([request], arena.address);
  memory.set(iocbs, 0);
  memory.set(pointers, 1024);
  io_submit(context, 1, arena.address + 1024n);
  io_getevents(context, 1, 1, arena.address + 2048n);
  const [event] = decodeIoEvents(memory.subarray(2048, 2048 + 32));
  return { data: event.data.toString(16), obj: event.obj === arena.address, res: Number(event.res) };
};
results.rawWrite = submit(1, 8192);
results.rawRead = submit(0, 16384);
results.rawSame = memory.subarray(16384, 16384 + 8192).equals(pattern);
io_destroy(context);
closeSync(fd);
console.log('RESULT ' + JSON.stringify(results));
`;

test('a big-endian kernel writes and reads what kaio asks it to', ({ skip }) => {
  const reason = obstacle();
  skip(reason !== undefined, reason);
  const output = runInGuest(folder, script);
  const [, result] = /RESULT (\{.*\})/.exec(output) ?? [];
  expect(result, output.slice(-4000)).toBeDefined();
  const event = { data: '1122334455667788', obj: true, res: 8192 };
  expect(JSON.parse(result!)).toEqual({
    arch: 's390x',
    hostAbi: 's390x',
    written: 8192,
    read: 8192,
    same: true,
    onDisk: true,
    ring: 'a10a10a1',
    rawWrite: event,
    rawRead: event,
    rawSame: true,
  });
}, 600_000);
