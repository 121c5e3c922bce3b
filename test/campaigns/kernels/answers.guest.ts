/** What the kernel of a guest answers, for the table in docs/kernels.md; and what kaio cannot do without. */
import { expect, test } from 'vitest';
import { IOCB_CMD_PREAD, RWF_NOWAIT } from '../../../src/layout/index.ts';
import { io_pgetevents, readRing } from '../../../src/raw/index.ts';
import { fileSystemKinds, fileSystemSkip, withFileSystem } from '../../support/filesystems.ts';
import { answer, Rig, temporaryEventfd } from '../../support/raw.ts';
import { temporaryPipe } from '../../support/raw-files.ts';
import { observe } from '../../support/raw-observe.ts';
import { type Answers, answersIn, answersOf } from './answers.ts';

function report(place: string, answers: Answers): void {
  console.log(`@@answers ${JSON.stringify({ place, answers })}`);
}

test.each(fileSystemKinds)('on %s each request is done or refused as the engine expects', async (kind) => {
  const reason = fileSystemSkip(kind);
  expect(reason).toBe(false);
  await withFileSystem(kind, async (directory) => {
    const answers = await answersIn(directory);
    report(kind, answers);
    expectUsable(answers);
  });
});

test('on a block device each request is done or refused as the engine expects', async () => {
  const answers = await answersOf('/dev/kaio/disk1');
  report('block device', answers);
  expectUsable(answers);
});

/** A flag that is not taken is refused in one of these ways: the engine goes on from each of them, and from no other. */
const REFUSAL = /^(?:done|EAGAIN|ENOTSUP|ENOTSUP of io_submit|EAGAIN of io_submit)(?:, (?:done|EAGAIN|ENOTSUP))*$/;

function expectUsable(answers: Answers): void {
  if (answers['open with O_DIRECT'] === 'done') {
    expect(answers['direct read']).toBe('done');
    expect(answers['direct write']).toBe('done');
  }
  for (const [question, given] of Object.entries(answers)) {
    if (question.endsWith('NOWAIT') && !question.startsWith('uncached')) expect(given, question).toMatch(REFUSAL);
  }
}

test('contexts, rings, polls, signals and pipes', () => {
  const rig = new Rig({ nr: 128 });
  const { magic, compat_features, incompat_features, nr } = readRing(rig.ctx);
  expect(magic).toBe(0xa10a10a1);
  expect(incompat_features).toBe(0);
  const ready = temporaryEventfd(1);
  const poll = rig.attempt({ opcode: 5, fd: ready, buf: 1n });
  expect(poll).toEqual({ res: 1 });
  const waited = answer(() => io_pgetevents(rig.ctx, 0, 1, rig.events, { tv_sec: 0, tv_nsec: 0 }));
  expect(waited).toBe(0);
  const { reader } = temporaryPipe();
  const read = {
    opcode: IOCB_CMD_PREAD,
    fd: reader,
    buf: rig.address(rig.buffer(64)),
    nbytes: 64,
    rw_flags: RWF_NOWAIT,
  };
  const fifo = rig.attempt(read);
  const { empty } = observe('descriptors', 'pipe');
  report('kernel', {
    'ring of 128 requests': `${nr} events, compat ${compat_features}, incompat ${incompat_features}`,
    'read of a FIFO, NOWAIT': 'io_submit' in fifo ? `${fifo.io_submit} of io_submit` : String(fifo.res),
    'read of a pipe, NOWAIT': String(empty),
    IOCB_CMD_POLL: 'done',
    io_pgetevents: 'done',
  });
});
