import { constants, copyFileSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IOCB_CMD_PREAD, IOCB_CMD_PWRITE, RWF_NOWAIT } from '../../src/layout/index.ts';
import { directSkip } from '../support/direct.ts';
import { type FileSystemKind, fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { kernelBefore } from '../support/proc.ts';
import { type Iocb, type Outcome, PAGE_BYTES, Rig } from '../support/raw.ts';
import { openFile, pattern, temporaryFile } from '../support/raw-files.ts';

const { COPYFILE_FICLONE_FORCE, O_DIRECT, O_RDWR } = constants;
/** <linux/fs.h>: flags that kaio has no use for. */
const RWF_ATOMIC = 0x40;
const RWF_DONTCACHE = 0x80;

const INT64_MAX = 2n ** 63n - 1n;
const full: Outcome = { res: PAGE_BYTES };
/** EOPNOTSUPP of the call: the file says beforehand that it has no such flag. */
const refused: Outcome = { io_submit: 'ENOTSUP' };

/** Where file systems differ. A list holds all answers that were seen of one. */
interface Behaviour {
  kind: FileSystemKind;
  /** A buffered write whose last byte is at the largest offset. */
  writeAtLastOffset: Outcome;
  /** A direct transfer of 100 bytes, or at an offset of 100. */
  unalignedDirect: 'EINVAL' | 'full';
  /** A write whose buffer has 96 bytes, and then unmapped memory. */
  writePastBuffer: Outcome[];
  /** A direct transfer whose buffer has one page of two. */
  directPastBuffer: Outcome[];
  /** Of cached pages. */
  nowaitRead: Outcome;
  nowaitWrite: Outcome[];
  dontcache: Outcome;
  atomicDirectWrite: Outcome[];
  /** Whether some direct writes that extend the file are pending when io_submit returns; undefined where kernels differ. */
  extendsAsynchronously: boolean | undefined;
}

const behaviours: readonly Behaviour[] = [
  {
    kind: 'ext4',
    writeAtLastOffset: { res: 'EFBIG' },
    unalignedDirect: 'EINVAL',
    writePastBuffer: [{ res: 96 }, { res: 'EFAULT' }],
    directPastBuffer: [{ res: 'EFAULT' }],
    nowaitRead: full,
    nowaitWrite: [{ res: 'ENOTSUP' }],
    dontcache: full,
    // A device that can do it makes the difference.
    atomicDirectWrite: [refused, full],
    extendsAsynchronously: false,
  },
  {
    kind: 'xfs',
    writeAtLastOffset: { res: 16 },
    unalignedDirect: 'EINVAL',
    writePastBuffer: [{ res: 96 }, { res: 'EFAULT' }],
    directPastBuffer: [{ res: 'EFAULT' }],
    nowaitRead: full,
    // It refuses when the time of modification must change, which is once a timer tick.
    nowaitWrite: [full, { res: 'EAGAIN' }, { res: 'ENOTSUP' }],
    dontcache: full,
    atomicDirectWrite: [full],
    extendsAsynchronously: true,
  },
  {
    kind: 'btrfs',
    writeAtLastOffset: { res: 16 },
    unalignedDirect: 'full',
    writePastBuffer: [{ res: 'EFAULT' }],
    // In full where the kernel does the rest through the page cache.
    directPastBuffer: [full, { res: 'EFAULT' }],
    nowaitRead: full,
    nowaitWrite: [{ res: 'EAGAIN' }, { res: 'ENOTSUP' }],
    dontcache: refused,
    atomicDirectWrite: [refused],
    extendsAsynchronously: undefined,
  },
  {
    kind: 'tmpfs',
    writeAtLastOffset: { res: 16 },
    unalignedDirect: 'full',
    writePastBuffer: [{ res: 96 }, { res: 'EFAULT' }],
    directPastBuffer: [full],
    nowaitRead: refused,
    nowaitWrite: [refused],
    dontcache: refused,
    atomicDirectWrite: [refused],
    extendsAsynchronously: false,
  },
];

/** What happens, in words, for the name of a test. */
function say(...outcomes: readonly Outcome[]): string {
  const words = outcomes.map((outcome) => {
    if ('io_submit' in outcome) return `is refused with ${outcome.io_submit}`;
    if (typeof outcome.res === 'string') return `fails with ${outcome.res}`;
    return outcome.res === PAGE_BYTES ? 'gives a page' : `gives ${outcome.res} bytes`;
  });
  return words.join(' or ');
}

/** Mounts a file system for all tests of a block; says where, or skips. */
function mounted(kind: FileSystemKind): (skip: (condition: boolean, note: string) => void) => string {
  const reason = fileSystemSkip(kind);
  let directory = '';
  let unmount: () => void;
  let unmounted: Promise<void>;
  beforeAll(async () => {
    if (reason !== false) return;
    await new Promise<void>((ready, fail) => {
      unmounted = withFileSystem(kind, async (dir) => {
        directory = dir;
        ready();
        await new Promise<void>((resolve) => {
          unmount = resolve;
        });
      });
      unmounted.catch(fail);
    });
  });
  afterAll(async () => {
    if (reason !== false) return;
    unmount();
    await unmounted;
  });
  return (skip) => {
    skip(reason !== false, String(reason));
    return directory;
  };
}

/** A file of two pages that are in the page cache, and a transfer of the first. */
function twoPages(directory: string, direct = false): { rig: Rig; path: string; read: Iocb; write: Iocb } {
  const { fd, path } = temporaryFile({ content: pattern(2 * PAGE_BYTES), directory, direct });
  readFileSync(path);
  const rig = new Rig();
  const request = { fd, buf: rig.address(rig.buffer(PAGE_BYTES, 0x61)), nbytes: PAGE_BYTES };
  return { rig, path, read: { ...request, opcode: IOCB_CMD_PREAD }, write: { ...request, opcode: IOCB_CMD_PWRITE } };
}

/** How many of fifty writes that extend a file were pending when io_submit returned. */
function pendingExtensions(directory: string): number {
  const { fd } = temporaryFile({ directory, direct: true });
  const rig = new Rig();
  const write: Iocb = { opcode: IOCB_CMD_PWRITE, fd, buf: rig.address(rig.buffer(64 * 1024)), nbytes: 64 * 1024 };
  let pending = 0;
  for (let round = 0; round < 50; round++) {
    rig.submit(rig.iocb({ ...write, offset: round * 64 * 1024 }));
    if (rig.unread === 0) pending++;
    expect(rig.reap()).toMatchObject([{ res: 64 * 1024 }]);
  }
  return pending;
}

describe.for(behaviours)('on $kind', (behaviour) => {
  const directoryOf = mounted(behaviour.kind);
  /** The same where the file system does direct I/O: tmpfs does since Linux 6.6. */
  const directWhere: typeof directoryOf = (skip) => {
    const directory = directoryOf(skip);
    const reason = directSkip(directory);
    skip(reason !== false, String(reason));
    return directory;
  };
  const unaligned = behaviour.unalignedDirect === 'full' ? 'gives what was asked for' : 'fails with EINVAL';

  test(`a write that ends at the last offset ${say(behaviour.writeAtLastOffset)}`, ({ skip }) => {
    const { rig, write } = twoPages(directoryOf(skip));
    expect(rig.attempt({ ...write, nbytes: 16, offset: INT64_MAX - 16n })).toEqual(behaviour.writeAtLastOffset);
  });

  test(`a direct transfer whose length or offset is not aligned ${unaligned}`, ({ skip }) => {
    const { rig, read, write } = twoPages(directWhere(skip), true);
    const expected = (nbytes: number): Outcome => ({ res: behaviour.unalignedDirect === 'full' ? nbytes : 'EINVAL' });
    for (const request of [read, write]) {
      expect(rig.attempt({ ...request, nbytes: 100 })).toEqual(expected(100));
      expect(rig.attempt({ ...request, offset: 1 })).toEqual(expected(PAGE_BYTES));
      expect(rig.attempt({ ...request, offset: 100 })).toEqual(expected(PAGE_BYTES));
    }
  });

  test(`a write with 96 bytes before unmapped memory ${say(...behaviour.writePastBuffer)}, a direct transfer with a page ${say(...behaviour.directPastBuffer)}`, ({
    skip,
  }) => {
    const { rig, path, read, write } = twoPages(directWhere(skip));
    const tail = { buf: rig.end - 96n, nbytes: 512 };
    expect(rig.attempt({ ...read, ...tail })).toEqual({ res: 96 });
    expect(behaviour.writePastBuffer).toContainEqual(rig.attempt({ ...write, ...tail }));
    const page = { fd: openFile(path, O_RDWR | O_DIRECT), buf: rig.end - BigInt(PAGE_BYTES), nbytes: 2 * PAGE_BYTES };
    expect(behaviour.directPastBuffer).toContainEqual(rig.attempt({ ...read, ...page }));
    expect(behaviour.directPastBuffer).toContainEqual(rig.attempt({ ...write, ...page }));
  });

  test(`a cached read with RWF_NOWAIT ${say(behaviour.nowaitRead)}, a buffered write ${say(...behaviour.nowaitWrite)}`, ({
    skip,
  }) => {
    const { rig, read, write } = twoPages(directoryOf(skip));
    expect(rig.attempt({ ...read, rw_flags: RWF_NOWAIT })).toEqual(behaviour.nowaitRead);
    expect(behaviour.nowaitWrite).toContainEqual(rig.attempt({ ...write, rw_flags: RWF_NOWAIT }));
  });

  test(`a transfer with RWF_DONTCACHE ${say(behaviour.dontcache)}`, ({ skip }) => {
    const { rig, read, write } = twoPages(directoryOf(skip));
    skip(kernelBefore(6, 14), 'the kernel has no RWF_DONTCACHE (Linux 6.14)');
    expect(rig.attempt({ ...read, rw_flags: RWF_DONTCACHE })).toEqual(behaviour.dontcache);
    expect(rig.attempt({ ...write, rw_flags: RWF_DONTCACHE })).toEqual(behaviour.dontcache);
  });

  test(`a read with RWF_ATOMIC ${say(refused)}, a direct write ${say(...behaviour.atomicDirectWrite)}`, ({ skip }) => {
    const { rig, read, write } = twoPages(directWhere(skip), true);
    skip(kernelBefore(6, 16), 'the kernel has no RWF_ATOMIC for every file of xfs (Linux 6.16)');
    expect(rig.attempt({ ...read, rw_flags: RWF_ATOMIC })).toEqual(refused);
    expect(behaviour.atomicDirectWrite).toContainEqual(rig.attempt({ ...write, rw_flags: RWF_ATOMIC }));
  });

  const extension = { true: 'pending', false: 'done', undefined: 'pending or done' }[
    `${behaviour.extendsAsynchronously}`
  ];
  test(`direct writes that extend a file are ${extension} when io_submit returns`, async ({ skip }) => {
    const directory = directWhere(skip);
    const pending = pendingExtensions(directory);
    if (behaviour.extendsAsynchronously === false) expect(pending).toBe(0);
    if (behaviour.extendsAsynchronously !== true || pending > 0) return;
    // A busy machine may give the processor to the loop device's worker, which is done with one after the other before the call returns.
    await expect.poll(() => pendingExtensions(directory), { timeout: 30_000, interval: 1000 }).toBeGreaterThan(0);
  });
});

describe.for(['xfs', 'btrfs'] as const)('on %s', (kind) => {
  const directoryOf = mounted(kind);

  test('direct writes that overlap on a reflinked file all complete, and the original keeps its own', ({ skip }) => {
    const content = pattern(16 * PAGE_BYTES);
    const { path } = temporaryFile({ content, directory: directoryOf(skip) });
    const clone = `${dirname(path)}/clone`;
    copyFileSync(path, clone, COPYFILE_FICLONE_FORCE);
    const fd = openFile(clone, O_RDWR | O_DIRECT);
    const rig = new Rig();
    const buf = rig.address(rig.buffer(8 * PAGE_BYTES, 0x61));
    const writes = [0, 2, 4, 6].map((page) => ({
      opcode: IOCB_CMD_PWRITE,
      fd,
      buf,
      nbytes: 8 * PAGE_BYTES,
      offset: page * PAGE_BYTES,
    }));
    expect(rig.attemptAll(writes)).toEqual(Array(4).fill(8 * PAGE_BYTES));
    expect(readFileSync(path).equals(content)).toBe(true);
    const changed = Buffer.concat([Buffer.alloc(14 * PAGE_BYTES, 0x61), content.subarray(14 * PAGE_BYTES)]);
    expect(readFileSync(clone).equals(changed)).toBe(true);
  });
});

describe('on overlay', () => {
  const directoryOf = mounted('overlay');

  test('every transfer with RWF_NOWAIT is refused', ({ skip }) => {
    const directory = directoryOf(skip);
    for (const direct of [false, true]) {
      const { rig, read, write } = twoPages(directory, direct);
      expect(rig.attempt({ ...read, rw_flags: RWF_NOWAIT })).toEqual(refused);
      expect(rig.attempt({ ...write, rw_flags: RWF_NOWAIT })).toEqual(refused);
      expect(rig.attempt(read)).toEqual(full);
    }
  });
});
