import { closeSync, openSync } from 'node:fs';
import { Arena } from 'kaio/raw';
import { binding, instantiatePacker } from '../internals.ts';

// What callgrind counts: a fixed number of submits, of 32 reads each from a file that answers in the submit, and as many reaps. With
// `slow` every other reap is one too many: the regression that the guard must catch.
const DEPTH = 32;
const IOCB_CMD_PREAD = 0;
const rounds = Number(process.argv[2]);
const slow = process.argv[3] === 'slow';

const control = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const arena = new Arena(DEPTH * 4096);
const packer = instantiatePacker(control);
const kernel = binding().createContext(
  control.buffer,
  arena.buffer,
  DEPTH,
  packer.pointersAt(DEPTH),
  packer.eventsAt(DEPTH),
  packer.reportAt(),
  true,
  1,
  false,
  DEPTH,
  () => {},
);
if ('errno' in kernel) throw new Error(`${kernel.syscall}: ${kernel.errno}`);
packer.init(DEPTH, 0, binding().addressOf(control.buffer), arena.address, kernel.eventfd, 0);
const report = new Int32Array(control.buffer, packer.reportAt(), 3);
const fd = openSync('/dev/zero', 'r');
for (let round = 0; round < rounds; round++) {
  for (let slot = 0; slot < DEPTH; slot++) packer.pack(slot, slot, IOCB_CMD_PREAD, fd, slot * 4096, 512, 0, 0, 0, 1);
  kernel.submit(0, DEPTH, DEPTH);
  const [taken, count] = report;
  if (slow && round % 2 === 0) kernel.reap();
  if (taken !== DEPTH || packer.decode(count!) !== DEPTH) throw new Error(`${taken} submitted, ${count} completed`);
}
closeSync(fd);
kernel.destroy(() => {});
