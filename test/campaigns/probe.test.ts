// kaio probe tells the truth: on every file system, under policies and limits, and it leaves nothing behind when it is interrupted.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hasCommand } from '../support/compile.ts';
import { deviceSkip, withFullDevice } from '../support/devices.ts';
import { type FileSystemKind, fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { fuseSkip, withFuse } from '../support/fuse.ts';
import { mount, mountSkip, run, temporaryFolder } from '../support/mounts.ts';
import { factsOf, operation, runProbe, waysOf } from '../support/probe.ts';
import { scratchFolder } from '../support/scratch.ts';
import { refusingLauncher, seccompSkip, shimSkip, withFaults } from '../support/shim.ts';
import { undoing } from '../support/undo.ts';

const [EPERM, EAGAIN, ENOSYS] = [1, 11, 38];
const folder = scratchFolder();
const AIO_CALLS = ['io_setup', 'io_submit', 'io_getevents', 'io_cancel', 'io_destroy'];

/** What test/kernel/filesystems.test.ts and the page on how Linux behaves say of a file system. */
interface Truth {
  kind: FileSystemKind;
  answer: 'yes' | 'partly' | 'no';
  ways: Record<string, string>;
  /** What becomes of a request with RWF_NOWAIT, where it is always the same. */
  nowait: Record<string, 'done' | 'refused' | 'unknown'>;
}

const disk = { read: 'asynchronous', overwrite: 'asynchronous', 'reserved write': 'asynchronous' };

const truths: Truth[] = [
  {
    kind: 'ext4',
    answer: 'yes',
    ways: { ...disk, append: 'waits', 'buffered read': 'waits', 'buffered write': 'immediate' },
    nowait: { read: 'done', append: 'refused', 'buffered read': 'refused', 'buffered write': 'unknown' },
  },
  {
    kind: 'xfs',
    answer: 'yes',
    ways: { ...disk, append: 'asynchronous', 'buffered read': 'waits', 'buffered write': 'immediate' },
    nowait: { read: 'done', append: 'refused', 'buffered read': 'refused' },
  },
  {
    kind: 'btrfs',
    answer: 'partly',
    ways: {
      read: 'asynchronous',
      overwrite: 'waits',
      'reserved write': 'waits',
      append: 'waits',
      'buffered read': 'waits',
    },
    nowait: { read: 'done', overwrite: 'refused', append: 'refused' },
  },
  {
    kind: 'overlay',
    answer: 'yes',
    ways: { ...disk, append: 'waits', 'buffered read': 'waits', 'buffered write': 'immediate' },
    nowait: { read: 'unknown', overwrite: 'unknown', append: 'unknown', 'buffered read': 'unknown' },
  },
  {
    // The daemon is asked for the file's size before each read, and that is waited for.
    kind: 'fuse',
    answer: 'partly',
    ways: { read: 'waits first', overwrite: 'asynchronous', append: 'waits', 'buffered read': 'waits' },
    nowait: { read: 'unknown', overwrite: 'unknown', append: 'unknown' },
  },
];

test.for(truths)(
  'on $kind: what is asynchronous, what waits, and what becomes of RWF_NOWAIT',
  async (truth, { skip }) => {
    const { kind, answer, ways, nowait } = truth;
    skip(fileSystemSkip(kind) !== false, String(fileSystemSkip(kind)));
    await withFileSystem(kind, async (dir) => {
      const loop = ['ext4', 'xfs', 'btrfs'].includes(kind)
        ? run('findmnt', '--noheadings', '--output', 'SOURCE', dir)
        : '';
      // Else the page cache below the loop device answers so soon that nothing has to be waited for.
      if (loop !== '') run('losetup', '--direct-io=on', loop);
      const facts = await factsOf(dir);
      expect(facts).toMatchObject({ code: 0, aio: { allowed: true }, verdict: { answer } });
      expect(facts.fileSystem).toMatchObject({ mountPoint: dir });
      expect(facts.fileSystem?.type).toMatch(new RegExp(`^${kind}`));
      if (loop !== '')
        expect(facts.device).toMatchObject({ name: loop.slice('/dev/'.length), backing: { direct: true } });
      expect(waysOf(facts)).toMatchObject(ways);
      for (const [name, outcome] of Object.entries(nowait)) {
        const { done, refused, unknown } = operation(facts, name as 'read').nowait;
        expect({ name, outcome: { done, refused, unknown }[outcome] }).toEqual({
          name,
          outcome: done + refused + unknown,
        });
      }
      expect(readdirSync(dir).filter((name) => name !== 'lost+found')).toEqual([]);
    });
  },
);

test('the advice for btrfs is right: in a folder without copy-on-write, overwrites are asynchronous', async ({
  skip,
}) => {
  skip(fileSystemSkip('btrfs') !== false, String(fileSystemSkip('btrfs')));
  skip(!hasCommand('chattr'), 'chattr (e2fsprogs) is not installed');
  await withFileSystem('btrfs', async (dir) => {
    mkdirSync(`${dir}/plain`);
    run('chattr', '+C', `${dir}/plain`);
    const facts = await factsOf(`${dir}/plain`);
    expect(waysOf(facts)).toMatchObject({ read: 'asynchronous', overwrite: 'asynchronous' });
    expect(facts.verdict.advice.join()).not.toMatch(/chattr/);
  });
});

test('where O_DIRECT is refused the answer is no, and buffered I/O is tried all the same', async ({ skip }) => {
  skip(mountSkip() !== false, String(mountSkip()));
  await undoing(async (later) => {
    const dir = temporaryFolder(later);
    mount(later, 'ramfs', 'kaio', dir);
    const facts = await factsOf(dir);
    expect(facts).toMatchObject({ code: 1, measured: { direct: { supported: false } }, verdict: { answer: 'no' } });
    expect(operation(facts, 'reserved write').error).toMatch(/O_DIRECT|fallocate/);
    expect(waysOf(facts)).toMatchObject({ 'buffered read': 'immediate', 'buffered write': 'immediate' });
    expect(facts.verdict.advice.join()).toMatch(/direct: 'auto'/);
  });
});

test('of a loop device: it is only read, and the file below it is named', async ({ skip }) => {
  skip(deviceSkip() !== false, String(deviceSkip()));
  await withFullDevice(async (device) => {
    run('losetup', '--direct-io=off', device);
    const before = run('sha256sum', device);
    const facts = await factsOf(device);
    expect(facts).toMatchObject({ kind: 'block device', bytes: 64 * 2 ** 20, device: { backing: { direct: false } } });
    expect(Object.keys(waysOf(facts))).toEqual(['read', 'buffered read']);
    expect(waysOf(facts)).toMatchObject({ read: 'asynchronous' });
    expect(facts.verdict.advice.join()).toContain(`losetup --direct-io=on ${device}`);
    expect(run('sha256sum', device)).toBe(before);
  });
});

test('in a folder where nothing can be made it says so, and reads a file there', async ({ skip }) => {
  skip(mountSkip() !== false, String(mountSkip()));
  await undoing(async (later) => {
    const dir = temporaryFolder(later);
    mount(later, 'tmpfs', 'kaio', dir, 'size=1m');
    writeFileSync(`${dir}/file`, Buffer.alloc(128 * 1024));
    run('mount', '-o', 'remount,ro', dir);
    const { code, stderr } = await runProbe([dir]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/EROFS.*Name a file/s);
    const facts = await factsOf(`${dir}/file`);
    expect(waysOf(facts)).toEqual({ read: 'immediate', 'buffered read': 'immediate' });
    expect(facts.measured?.readOnly).toMatch(/EROFS/);
  });
});

const policies = [
  { name: 'EPERM', errno: EPERM },
  { name: 'ENOSYS', errno: ENOSYS },
  { name: 'SIGSYS', errno: 'kill' },
] as const;

test.for(policies)(
  'where a seccomp profile answers io_uring with $name, AIO is tried all the same',
  async ({ name, errno }, { skip }) => {
    skip(seccompSkip() !== false, String(seccompSkip()));
    const launcher = refusingLauncher(errno, 'io_uring_setup', 'io_uring_enter', 'io_uring_register');
    const facts = await factsOf(folder, { launcher });
    expect(facts.ioUring).toMatchObject({ allowed: false, call: 'io_uring_setup', error: name });
    expect(facts.ioUring?.reason).toMatch(/seccomp/);
    expect(facts.aio).toEqual({ allowed: true });
    expect(facts.measured).toBeDefined();
  },
);

test.for(policies)(
  'where it answers io_setup with $name, the answer is no, and what to allow',
  async ({ name, errno }, { skip }) => {
    skip(seccompSkip() !== false, String(seccompSkip()));
    const facts = await factsOf(folder, { launcher: refusingLauncher(errno, 'io_setup') });
    expect(facts).toMatchObject({ code: 1, aio: { allowed: false, call: 'io_setup', error: name } });
    expect(facts.ioUring).toMatchObject({ allowed: true });
    expect(facts.measured).toBeUndefined();
    expect(facts.verdict.summary).toMatch(/^io_setup .*seccomp/);
    for (const call of AIO_CALLS) expect(facts.verdict.advice.join()).toContain(call);
  },
);

test('a policy against any of the calls that the guide allows is found', async ({ skip }) => {
  skip(seccompSkip() !== false, String(seccompSkip()));
  const guide = readFileSync(new URL('../../docs/containers.md', import.meta.url), 'utf8');
  const { names } = JSON.parse(/^```json\n([\s\S]*?)^```$/m.exec(guide)![1]!) as { names: string[] };
  expect(names).toEqual(AIO_CALLS);
  for (const call of names) {
    const facts = await factsOf(folder, { launcher: refusingLauncher(EPERM, call) });
    expect(facts).toMatchObject({ code: 1, aio: { allowed: false, call, error: 'EPERM' } });
  }
});

test('a quota that is used up is no policy: the answer is no, with the sysctl line', async ({ skip }) => {
  skip(shimSkip() !== false, String(shimSkip()));
  const facts = await factsOf(folder, { env: withFaults({ setupErrno: EAGAIN }) });
  expect(facts).toMatchObject({ code: 1, aio: { allowed: true }, verdict: { answer: 'no' } });
  expect(facts.verdict.summary).toMatch(/EAGAIN.*sysctl -w fs\.aio-max-nr=\d+/);
});

test('too little address space is said to be that', async ({ skip }) => {
  skip(!hasCommand('prlimit'), 'prlimit (util-linux) is not installed');
  const bytes = 20_000_000_000;
  const facts = await factsOf(folder, { launcher: ['prlimit', `--as=${bytes}`] });
  expect(facts).toMatchObject({ code: 1, addressSpaceBytes: bytes });
  expect(facts.verdict.summary).toMatch(/ulimit -v/);
});

describe('interrupted', () => {
  const DELAY_MS = 30;

  test.for(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)(
    'by %s at any moment it leaves nothing behind',
    async (signal) => {
      for (let afterMs = 40; afterMs < 640; afterMs += 60) {
        await runProbe([folder], { onStart: (child) => setTimeout(() => child.kill(signal), afterMs) });
        expect(readdirSync(folder)).toEqual([]);
      }
    },
  );

  test('where an open file cannot be removed it is removed at the end', async ({ skip }) => {
    skip(fuseSkip() !== false, String(fuseSkip()));
    await withFuse(async ({ dir, backing, setRules }) => {
      setRules([{ operation: 'read', delayMs: DELAY_MS }]);
      const interrupted = await runProbe([dir], {
        onStart(child) {
          const watcher = setInterval(() => {
            if (readdirSync(backing).length === 0) return;
            clearInterval(watcher);
            setTimeout(() => child.kill('SIGINT'), 3 * DELAY_MS);
          }, 1);
        },
      });
      expect(interrupted.code).toBe(130);
      expect(readdirSync(backing)).toEqual([]);
    });
  });
});
