import { expect, test } from 'vitest';
import { IOCB_CMD_PREAD } from '../../src/layout/index.ts';
import { readRing } from '../../src/raw/index.ts';
import { Rig } from '../support/raw.ts';
import { pattern, temporaryFile } from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

test('the tail moves as requests complete, the head as events are read, and both go round', () => {
  const rig = new Rig({ nr: 1 });
  const { fd } = temporaryFile({ content: pattern(64) });
  const read = { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(64)), nbytes: 64 };
  const { nr } = readRing(rig.ctx);
  for (let done = 0; done < 2 * nr + 1; done++) {
    expect(rig.submit(rig.iocb(read))).toBe(1);
    expect(readRing(rig.ctx)).toMatchObject({ head: done % nr, tail: (done + 1) % nr });
    rig.reap();
  }
  const { head, tail } = readRing(rig.ctx);
  expect({ head, tail }).toEqual({ head: 1, tail: 1 });
});

test('events are taken by moving the head, without a call, and their slots are free again', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  const { path } = temporaryFile({ content: pattern(4096) });
  expect(observe('ring', 'advance', path)).toEqual({ reaped: 10_000, full: 10_000, refused: 0 });
});

const lost = { io_submit: 'EINVAL', io_getevents: 'EINVAL', io_destroy: 'EINVAL' };

test('a context whose ring cannot be read is unknown to every call', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  expect(observe('ring', 'protected')).toEqual(lost);
});

test('a context whose ring is unmapped is unknown to every call', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  expect(observe('ring', 'unmapped')).toEqual(lost);
});

test('a context whose ring has another id is unknown to every call, until it has its own again', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  expect(observe('ring', 'overwritten')).toEqual({ ...lost, restored_io_destroy: 0 });
});
