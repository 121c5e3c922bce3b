import { expect, test } from 'vitest';
import { command } from '../../src/cli/probe/command.ts';
import type { Operation, OperationName } from '../../src/cli/probe/operations.ts';
import { parseMounts } from '../../src/cli/probe/place.ts';
import { judge } from '../../src/cli/probe/verdict.ts';
import { runProbe } from '../support/probe.ts';

type Found = Parameters<typeof judge>[0];

function operation(name: OperationName, how: Operation['how'], nowait: Partial<Operation['nowait']> = {}): Operation {
  const counts = { rounds: 28, pending: 0, slept: 0, preempted: 0 };
  return { name, how, ...counts, submitUs: 2, totalUs: 80, nowait: { done: 0, refused: 0, unknown: 0, ...nowait } };
}

/** A disk on which everything is well, but for the operations given. */
function found(operations: Operation[] = [], changes: Partial<Found> = {}): Found {
  const well = (['read', 'overwrite', 'reserved write'] as const).map((name) =>
    operation(name, 'asynchronous', { done: 32 }),
  );
  const all = [...well, operation('append', 'asynchronous', { done: 32 })];
  return {
    path: '/data',
    kind: 'folder',
    bytes: 0,
    full: true,
    folder: '/data',
    kernel: '6.1',
    node: '20.19.0',
    aio: { allowed: true },
    quota: { used: 0, most: 65536, left: 65536 },
    fileSystem: { type: 'ext4', mountPoint: '/', source: '/dev/sda', options: 'rw', magic: '0xef53' },
    device: { name: 'sda' },
    measured: {
      direct: { supported: true },
      operations: all.map((one) => operations.find(({ name }) => name === one.name) ?? one),
    },
    ...changes,
  };
}

const mounted = (type: string) => ({ type, mountPoint: '/', source: type, options: '', magic: '0x0' });

test('where all is asynchronous the answer is yes, and there is nothing to change', () => {
  expect(judge(found())).toMatchObject({ answer: 'yes', advice: [] });
});

test.each<[string, Found, 'yes' | 'partly' | 'no', RegExp]>([
  ['appends wait', found([operation('append', 'waits')]), 'yes', /preallocate/],
  [
    'btrfs copies',
    found([operation('overwrite', 'waits', { refused: 32 })], { fileSystem: mounted('btrfs') }),
    'partly',
    /chattr \+C/,
  ],
  ['reads wait', found([operation('read', 'waits', { refused: 32 })]), 'no', /^$/],
  ['reads wait first', found([operation('read', 'waits first', { done: 32 })]), 'partly', /^$/],
  ['storage is memory', found([operation('read', 'immediate', { unknown: 32 })]), 'no', /Nothing waits/],
  [
    'overlay',
    found([operation('read', 'asynchronous', { unknown: 32 })], { fileSystem: mounted('overlay') }),
    'yes',
    /volume/,
  ],
  ['a network', found([], { fileSystem: mounted('nfs4') }), 'yes', /threads/],
  ['no O_DIRECT', found([], { measured: { direct: { supported: false }, operations: [] } }), 'no', /direct: 'auto'/],
  [
    'a loop device below LVM',
    found([], { device: { name: 'dm-0', over: [{ name: 'loop3', backing: { path: '/image', direct: false } }] } }),
    'yes',
    /losetup --direct-io=on \/dev\/loop3/,
  ],
  [
    'little quota',
    found([], { quota: { used: 65400, most: 65536, left: 136 } }),
    'yes',
    /sysctl -w fs\.aio-max-nr=1048576/,
  ],
])('%s: the answer and what to do', (_, facts, answer, advice) => {
  const verdict = judge(facts);
  expect(verdict.answer).toBe(answer);
  expect(verdict.advice.join(' ')).toMatch(advice);
});

test('mounts are read with their optional fields and with spaces in their names', () => {
  const text = `24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,size=10k
30 24 253:0 /srv /mnt/my\\040data rw,noatime shared:1 master:2 - ext4 /dev/my\\040disk rw,errors=continue
`;
  expect(parseMounts(text)).toEqual([
    {
      id: 24,
      major: 0,
      minor: 6,
      mountPoint: '/dev',
      type: 'devtmpfs',
      source: 'devtmpfs',
      options: 'rw,relatime,size=10k',
    },
    {
      id: 30,
      major: 253,
      minor: 0,
      mountPoint: '/mnt/my data',
      type: 'ext4',
      source: '/dev/my disk',
      options: 'rw,noatime,errors=continue',
    },
  ]);
});

test.each([
  { args: [], says: /give one folder, file or block device/ },
  { args: ['a', 'b'], says: /give one/ },
  { args: ['--deep', '.'], says: /--deep/ },
  { args: ['/nowhere'], says: /ENOENT.*'\/nowhere'/ },
  { args: ['/nowhere/file'], says: /ENOENT.*'\/nowhere\/file'/ },
  { args: ['/dev/null'], says: /neither a file, a folder nor a block device/ },
])('$args is wrong use', async ({ args, says }) => {
  const silent = { out: () => {}, err: () => {}, stdin: process.stdin, color: false, columns: 0 };
  await expect(command.run(args, silent)).rejects.toThrow(says);
});

// procfs says ENOENT of a file that is new, which is then no reason to give up.
test.each([
  ['/proc', /^kaio probe: No scratch file .* in '\/proc' \(ENOENT.*Name a file in it, to try reads$/m],
  ['/proc/version', /^kaio probe: '\/proc\/version' has nothing to read, and No scratch file .* in '\/proc' \(ENOENT/],
])('%s, where no file can be made, is judged by itself', async (path, says) => {
  const { code, stderr } = await runProbe([path]);
  expect(stderr).toMatch(says);
  expect(code).toBe(2);
});
