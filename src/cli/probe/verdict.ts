import type { Allowed } from './calls.ts';
import type { Device } from './device.ts';
import type { Facts } from './facts.ts';
import type { Operation, OperationName } from './operations.ts';

/** The answer to the question whether there is asynchronous direct I/O here. */
export interface Verdict {
  readonly answer: 'yes' | 'partly' | 'no';
  /** A sentence. */
  readonly summary: string;
  /** What to change, or what to know; a sentence or two each. */
  readonly advice: readonly string[];
}

/** A context has room for so many requests by default. */
const DEFAULT_DEPTH = 128;

const CALLS = 'io_setup, io_submit, io_getevents, io_cancel and io_destroy';

type Found = Omit<Facts, 'verdict'>;

/** Says in words what the facts mean. */
export function judge(facts: Found): Verdict {
  const { aio, problem, measured } = facts;
  if (!aio.allowed) return { answer: 'no', ...denied(aio) };
  if (measured === undefined) return { answer: 'no', summary: problem ?? 'Nothing could be tried', advice: [] };
  return { ...answerOf(facts, measured.operations), advice: adviceOn(facts, measured.operations) };
}

function denied({ call, error, reason }: Allowed): Omit<Verdict, 'answer'> {
  if (call === undefined) return { summary: reason!, advice: [] };
  const advice =
    error === 'ENOSYS' && !reason!.includes('seccomp')
      ? 'Run a kernel that is built with CONFIG_AIO.'
      : `Allow ${CALLS} in the profile; the default profiles of Docker and Podman do.`;
  return { summary: `${call} is denied with ${error}: ${reason}`, advice: [advice] };
}

function named(operations: readonly Operation[], name: OperationName): Operation | undefined {
  return operations.find((operation) => operation.name === name);
}

function answerOf({ measured }: Found, operations: readonly Operation[]): Omit<Verdict, 'advice'> {
  const read = named(operations, 'read');
  if (!measured!.direct.supported) return { answer: 'no', summary: 'There is no direct I/O (O_DIRECT) here' };
  if (read?.how === undefined) return { answer: 'no', summary: `Direct reads fail with ${read?.error}` };
  if (read.how === 'immediate') {
    const us = read.submitUs.toFixed(0);
    return { answer: 'no', summary: `Reads are done before io_submit returns, in ${us} µs: this storage is memory` };
  }
  if (read.how === 'waits') return { answer: 'no', summary: 'Direct reads wait in io_submit until they are done' };
  const direct = (['read', 'overwrite', 'reserved write'] as const).flatMap((name) => named(operations, name) ?? []);
  const beside = direct.filter(({ how }) => how === 'asynchronous');
  const others = direct.filter((operation) => !beside.includes(operation));
  if (others.length === 0) return { answer: 'yes', summary: `Direct I/O is asynchronous here: ${list(beside)}` };
  const rest = others.map(
    ({ name, how, error }) => `${plural(name)} ${how === undefined ? `fail (${error})` : verbs[how]}`,
  );
  const first = beside.length === 0 ? '' : `${list(beside)} are asynchronous, `;
  return { answer: 'partly', summary: `Direct I/O is asynchronous in part: ${first}${rest.join(', ')}` };
}

const verbs = {
  asynchronous: 'are asynchronous',
  'waits first': 'wait in io_submit at first',
  waits: 'wait in io_submit',
  immediate: 'are done before io_submit returns',
} as const;

function plural(name: OperationName): string {
  return `${name}s`;
}

function list(operations: readonly Operation[]): string {
  return operations
    .map(({ name }) => plural(name))
    .join(', ')
    .replace(/, ([^,]*)$/, ' and $1');
}

/** Each looks at the facts for one thing to change. */
const advisers: readonly ((facts: Found, of: (name: OperationName) => Operation | undefined) => string | false)[] = [
  ({ quota }) =>
    quota !== undefined &&
    quota.left < 8 * DEFAULT_DEPTH &&
    `Only ${quota.left} of ${quota.most} requests are left to all contexts of this machine, and each takes its depth, ` +
      `${DEFAULT_DEPTH} by default: sysctl -w fs.aio-max-nr=${Math.max(1048576, 2 * quota.most)}, on the host where this is a container.`,
  ({ measured }) =>
    !measured!.direct.supported &&
    "Open with { direct: 'auto' } to use the page cache, from threads as fs does, or keep the data on ext4, xfs or btrfs.",
  (_, of) =>
    of('read')?.how === 'immediate' && 'Nothing waits here, and nothing is to be gained from asynchronous I/O either.',
  (_, of) =>
    of('append')?.how === 'waits' &&
    `Writes that make a file longer wait in io_submit; kaio lets threads make them. ${
      of('reserved write')?.how === 'asynchronous'
        ? 'Reserve the space with file.preallocate(), to the full size: writes to reserved space do not wait.'
        : 'Writes to what the file has already are better.'
    }`,
  ({ fileSystem }, of) =>
    fileSystem?.type === 'btrfs' &&
    refusesAll(of('overwrite')) &&
    'btrfs copies what is written over, and waits for that: switch it off with chattr +C on the folder, before files are made there.',
  ({ fileSystem }, of) =>
    unknownFlag(of('read')) &&
    of('read')?.how !== 'immediate' &&
    (fileSystem?.type === 'overlay'
      ? "A container's own layer (overlay) does not know RWF_NOWAIT, by which kaio learns what would wait: keep the data on a volume."
      : 'RWF_NOWAIT, by which kaio learns what would wait, is not known here: what may wait goes to threads.'),
  ({ fileSystem }) =>
    /^(fuse|nfs|cifs|smb|9p|ceph|virtiofs)/.test(fileSystem?.type ?? '') &&
    'This file system answers when it likes, and kaio submits from threads: the event loop goes on, at the rate of fs.',
  ({ device }) =>
    loopsOf(device).length > 0 &&
    `The loop device goes through the page cache of its file: losetup --direct-io=on /dev/${loopsOf(device)[0]}.`,
  (_, of) =>
    of('buffered read')?.how === 'waits' &&
    'Buffered reads of what is not cached wait in io_submit; kaio leaves those to threads. Direct I/O does without.',
];

function adviceOn(facts: Found, operations: readonly Operation[]): string[] {
  return advisers.flatMap((adviser) => adviser(facts, (name) => named(operations, name)) || []);
}

function refusesAll(operation: Operation | undefined): boolean {
  return operation?.how !== undefined && operation.nowait.done === 0 && operation.nowait.refused > 0;
}

function unknownFlag(operation: Operation | undefined): boolean {
  return operation?.how !== undefined && operation.nowait.done === 0 && operation.nowait.unknown > 0;
}

function loopsOf(device: Device | undefined): string[] {
  if (device === undefined) return [];
  const own = device.backing !== undefined && !device.backing.direct ? [device.name] : [];
  return [...own, ...(device.over ?? []).flatMap(loopsOf)];
}
