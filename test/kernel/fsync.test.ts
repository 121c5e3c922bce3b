import { constants, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_PWRITE } from '../../src/layout/index.ts';
import { Rig } from '../support/raw.ts';
import {
  closeNow,
  connectedSockets,
  descriptorsOf,
  openFile,
  pattern,
  scratch,
  temporaryFile,
  temporaryPipe,
} from '../support/raw-files.ts';

const { O_RDONLY, O_RDWR } = constants;
const opcodes = [IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC];

test.each(opcodes)('a file is synced, with a descriptor for writing or for reading (opcode %i)', (opcode) => {
  const { fd, path } = temporaryFile();
  const rig = new Rig();
  writeSync(fd, pattern(5000));
  expect(rig.attempt({ opcode, fd })).toEqual({ res: 0 });
  writeSync(fd, pattern(5000));
  expect(rig.attempt({ opcode, fd: openFile(path, O_RDONLY) })).toEqual({ res: 0 });
});

test.each(opcodes)('a directory is synced (opcode %i)', (opcode) => {
  expect(new Rig().attempt({ opcode, fd: openFile(scratch(), O_RDONLY) })).toEqual({ res: 0 });
});

test.each(opcodes)('what cannot be synced is refused (opcode %i)', async (opcode) => {
  const rig = new Rig();
  const refused = [
    temporaryPipe().writer,
    openFile('/dev/null', O_RDWR),
    descriptorsOf('anon_inode:[eventpoll]')[0]!,
    (await connectedSockets())[0],
  ];
  for (const fd of refused) expect(rig.attempt({ opcode, fd })).toEqual({ io_submit: 'EINVAL' });
});

test.each(opcodes)('a bad descriptor is refused (opcode %i)', (opcode) => {
  const { fd } = temporaryFile();
  closeNow(fd);
  const rig = new Rig();
  expect(rig.attempt({ opcode, fd })).toEqual({ io_submit: 'EBADF' });
  expect(rig.attempt({ opcode, fd: -1 })).toEqual({ io_submit: 'EBADF' });
});

test.each(['buf', 'nbytes', 'offset', 'rw_flags'] as const)('a sync with %s set is refused', (field) => {
  const { fd } = temporaryFile();
  const rig = new Rig();
  const value = field === 'buf' ? 1n : 1;
  for (const opcode of opcodes) expect(rig.attempt({ opcode, fd, [field]: value })).toEqual({ io_submit: 'EINVAL' });
});

test('a sync beside direct writes in flight completes, before or after them', () => {
  const { fd } = temporaryFile({ content: pattern(1 << 20), direct: true });
  const rig = new Rig();
  const buf = rig.address(rig.buffer(256 << 10, 0x61));
  for (let round = 0; round < 20; round++) {
    const results = rig.attemptAll([
      ...[0, 1, 2].map((at) => ({ opcode: IOCB_CMD_PWRITE, fd, buf, nbytes: 256 << 10, offset: at * (256 << 10) })),
      { opcode: round % 2 ? IOCB_CMD_FSYNC : IOCB_CMD_FDSYNC, fd },
    ]);
    expect(results).toEqual([256 << 10, 256 << 10, 256 << 10, 0]);
  }
});
