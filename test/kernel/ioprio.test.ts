import { expect, test } from 'vitest';
import { IOCB_CMD_FSYNC, IOCB_CMD_PREAD, IOCB_FLAG_IOPRIO } from '../../src/layout/index.ts';
import { type Iocb, PAGE_BYTES, Rig } from '../support/raw.ts';
import { pattern, temporaryFile } from '../support/raw-files.ts';

/** <linux/ioprio.h>: a class above 13 bits of level. */
const ioprio = (priorityClass: number, level: number): number => (priorityClass << 13) | level;
const NONE = 0;
const RT = 1;
const BE = 2;
const IDLE = 3;
/** A class that does not exist. */
const BAD = ioprio(5, 0);

function reading(): { rig: Rig; read: Iocb } {
  const rig = new Rig();
  const { fd } = temporaryFile({ content: pattern(PAGE_BYTES), direct: true });
  return { rig, read: { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(PAGE_BYTES)), nbytes: PAGE_BYTES } };
}

test.each([
  ['none', ioprio(NONE, 0)],
  ['best effort, highest', ioprio(BE, 0)],
  ['best effort, lowest', ioprio(BE, 7)],
  ['idle', ioprio(IDLE, 0)],
])('the priority "%s" is accepted', (_, reqprio) => {
  const { rig, read } = reading();
  expect(rig.attempt({ ...read, flags: IOCB_FLAG_IOPRIO, reqprio })).toEqual({ res: PAGE_BYTES });
});

test('the real-time priority is accepted of root', ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root has the real-time class');
  const { rig, read } = reading();
  expect(rig.attempt({ ...read, flags: IOCB_FLAG_IOPRIO, reqprio: ioprio(RT, 4) })).toEqual({ res: PAGE_BYTES });
});

test('a priority of no class is refused', () => {
  const { rig, read } = reading();
  expect(rig.attempt({ ...read, flags: IOCB_FLAG_IOPRIO, reqprio: BAD })).toEqual({ io_submit: 'EINVAL' });
});

test('a priority without its flag is not looked at', () => {
  const { rig, read } = reading();
  expect(rig.attempt({ ...read, reqprio: BAD })).toEqual({ res: PAGE_BYTES });
});

test('a sync does not look at its priority', () => {
  const { rig, read } = reading();
  const sync = { opcode: IOCB_CMD_FSYNC, fd: read.fd, reqprio: BAD };
  expect(rig.attempt({ ...sync, flags: IOCB_FLAG_IOPRIO })).toEqual({ res: 0 });
});
