import { spawn } from 'node:child_process';
import { constants, writeSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { IOCB_CMD_PREAD, RWF_NOWAIT } from '../../src/layout/index.ts';
import { type Iocb, Rig } from '../support/raw.ts';
import { temporaryPipe } from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';
import { settle } from '../support/raw-threads.ts';

const { O_NONBLOCK } = constants;

function readOf(rig: Rig, fd: number): Iocb {
  return { opcode: IOCB_CMD_PREAD, fd, buf: rig.address(rig.buffer(64)), nbytes: 64 };
}

test('a read of an empty pipe with RWF_NOWAIT is taken and fails with EAGAIN, where pipes know the flag', ({
  skip,
}) => {
  skip(noCompiler !== undefined, noCompiler);
  const { empty, filled } = observe('descriptors', 'pipe');
  skip(
    empty === 'EOPNOTSUPP' && filled === 'EOPNOTSUPP',
    'this kernel refuses the flag for every pipe, as it does for a FIFO',
  );
  expect({ empty, filled }).toEqual({ empty: 'EAGAIN', filled: 4 });
});

test('a FIFO refuses RWF_NOWAIT', () => {
  const rig = new Rig();
  const { reader } = temporaryPipe();
  expect(rig.attempt({ ...readOf(rig, reader), rw_flags: RWF_NOWAIT })).toEqual({ io_submit: 'ENOTSUP' });
});

test('a read of an empty pipe that is non-blocking is taken and fails with EAGAIN', () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe(O_NONBLOCK);
  expect(rig.attempt(readOf(rig, reader))).toEqual({ res: 'EAGAIN' });
  writeSync(writer, 'kaio');
  expect(rig.attempt(readOf(rig, reader))).toEqual({ res: 4 });
});

/** Does something in this process from outside of it, while its only thread stands still in a system call. */
function outside(script: string): void {
  const shell = spawn('sh', ['-c', script], { stdio: 'ignore' });
  onTestFinished(() => {
    shell.kill();
  });
}

test('a read of an empty pipe that blocks holds io_submit itself until there is data', () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe();
  const buffer = rig.buffer(64);
  const iocb = rig.iocb({ ...readOf(rig, reader), buf: rig.address(buffer) });
  const self = `/proc/${process.pid}`;
  // Twice in the same system call at the same place (proc_pid_syscall(5)): it waits. Where it is not seen to, it reads something else.
  const look = `now=$(cat ${self}/syscall); if [ "$now" != running ] && [ "$now" = "$before" ]; then said=kaio; break; fi`;
  outside(
    `said=late; for i in $(seq 200); do ${look}; before=$now; sleep 0.3; done; printf $said > ${self}/fd/${writer}`,
  );
  let res: unknown = 'EINTR';
  // Besides signals, work of io_uring ends a wait, and libuv may use that.
  while (res === 'EINTR') {
    expect(rig.submit(iocb)).toBe(1);
    res = rig.poll()[0]?.res;
  }
  expect(res).toBe(4);
  expect(buffer.toString('utf8', 0, 4)).toBe('kaio');
}, 120_000);

test('a signal ends the wait for an empty pipe: the request was taken and fails with EINTR', () => {
  const rig = new Rig();
  const { reader, writer } = temporaryPipe();
  const iocb = rig.iocb(readOf(rig, reader));
  const ignore = (): void => undefined;
  process.on('SIGUSR2', ignore);
  onTestFinished(() => settle(50).then(() => void process.off('SIGUSR2', ignore)));
  // Some signals, since another thread of the process may take one. The write ends a wait that they should have ended: the test
  // then fails and does not hang.
  const signals = `for i in 1 2 3 4 5; do sleep 0.1; kill -USR2 ${process.pid}; done`;
  outside(`${signals}; sleep 5; printf late > /proc/${process.pid}/fd/${writer}`);
  expect(rig.submit(iocb)).toBe(1);
  expect(rig.poll()).toMatchObject([{ res: 'EINTR' }]);
});
