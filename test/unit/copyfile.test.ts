import { randomFillSync } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  constants,
  cpSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { AioContext, type CopyOptions, type CopyProgress, copyFile } from '../../src/index.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { attachLoop, loopSkip, mount, mountSkip, temporaryFolder } from '../support/mounts.ts';
import { asNobody } from '../support/nobody.ts';
import { outcomeOf } from '../support/outcome.ts';
import { eventually, openDescriptors } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';
import { undoing } from '../support/undo.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants;
const MEBIBYTE = 1 << 20;
const scratch = scratchFolder();
const content = randomFillSync(Buffer.alloc(3 * MEBIBYTE + 12_345));

let context: AioContext;
let folder: string;
let source: string;
let target: string;
let number = 0;

beforeAll(() => {
  context = new AioContext({ memory: 32 * MEBIBYTE });
});
afterAll(() => context.close());
beforeEach(() => {
  folder = `${scratch}/${++number}`;
  mkdirSync(folder);
  source = `${folder}/source`;
  target = `${folder}/target`;
  writeFileSync(source, content);
});

const copied = (options: CopyOptions = {}) => copyFile(source, target, { context, ...options });
const isCopied = () => readFileSync(target).equals(content);

test.each([0, 1, 511, 4096, 524_288, 524_289, content.length])(
  'a copy of %i bytes is the same to the byte',
  async (bytes) => {
    truncateSync(source, bytes);
    expect(await copied()).toEqual({ size: bytes, copied: bytes, reflinked: false });
    expect(readFileSync(target).equals(content.subarray(0, bytes))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['source', 'target']);
  },
);

test('holes stay holes, and space that is reserved and was never written becomes one', async () => {
  truncateSync(source, 0);
  truncateSync(source, 64 * MEBIBYTE);
  const fd = openSync(source, 'r+');
  const places = [MEBIBYTE + 1, 20 * MEBIBYTE, 40 * MEBIBYTE - 3, 64 * MEBIBYTE - 1];
  for (const place of places) writeSync(fd, 'x', place);
  const result = await copied({ verify: true });
  expect(result.size).toBe(64 * MEBIBYTE);
  expect(result.copied).toBeLessThan(MEBIBYTE);
  expect(statSync(target).blocks).toBeLessThanOrEqual(statSync(source).blocks);
  expect(readFileSync(target).equals(readFileSync(source))).toBe(true);
});

test('the copy has the permission bits of the source, and never more while it is made', async () => {
  for (const mode of [0o600, 0o444, 0o755]) {
    chmodSync(source, mode);
    await copied();
    expect(statSync(target).mode & 0o7777).toBe(mode);
  }
  chmodSync(source, 0o4755);
  const modes = new Set<number>();
  await copied({
    onProgress: () => {
      const unfinished = readdirSync(folder).find((name) => name.startsWith('.kaio-copy-'));
      modes.add(statSync(`${folder}/${unfinished}`).mode & 0o7777);
    },
  });
  expect([...modes]).toEqual([0o600]);
  expect(statSync(target).mode & 0o7777).toBe(0o755);
});

test('under the name of the destination there is what was there before until all of the copy is', async () => {
  writeFileSync(target, 'before');
  const seen = new Set<string>();
  await copied({ verify: true, onProgress: () => seen.add(readFileSync(target, 'utf8')) });
  expect([...seen]).toEqual(['before']);
  expect(isCopied()).toBe(true);
});

test('progress goes from piece to piece to all of it, first of the copy, then of the comparison', async () => {
  const reports: CopyProgress[] = [];
  await copied({ verify: true, onProgress: (progress) => reports.push(progress) });
  for (const phase of ['copy', 'verify']) {
    const done = reports.filter((report) => report.phase === phase).map((report) => report.done);
    expect(done.length).toBe(Math.ceil(content.length / 524_288));
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(content.length);
  }
});

describe('what ends early leaves nothing behind, and the destination as it was', () => {
  test.each([0, 1, 3, 7, 9, 13])('aborted at report %i', async (at) => {
    writeFileSync(target, 'before');
    const descriptors = openDescriptors();
    const { buffers } = context.stats();
    const controller = new AbortController();
    let reports = 0;
    const onProgress = (): void => {
      if (++reports === at) controller.abort();
    };
    const copying = outcomeOf(() => copied({ signal: controller.signal, onProgress, verify: true }));
    if (at === 0) {
      await turn();
      controller.abort();
    }
    expect(await copying).toBe('ABORT_ERR');
    expect(readdirSync(folder).sort()).toEqual(['source', 'target']);
    expect(readFileSync(target, 'utf8')).toBe('before');
    expect(await eventually(() => openDescriptors() <= descriptors)).toBe(true);
    expect(context.stats()).toMatchObject({ buffers, inFlight: 0 });
  });

  test('onProgress throws', async () => {
    const onProgress = (): void => {
      throw new Error('enough');
    };
    await expect(copied({ onProgress })).rejects.toThrow('enough');
    expect(readdirSync(folder)).toEqual(['source']);
  });

  test('the source becomes shorter', async () => {
    const onProgress = (): void => truncateSync(source, 4096);
    expect(await outcomeOf(() => copied({ onProgress, verify: true }))).toBe('ERR_AIO_COPY_DIFFERS');
    expect(readdirSync(folder)).toEqual(['source']);
  });

  test('the file system is full', async ({ skip }) => {
    skip(mountSkip() !== false, String(mountSkip()));
    await undoing(async (later) => {
      const dir = temporaryFolder(later);
      mount(later, 'tmpfs', 'kaio', dir, 'size=2M');
      expect(await outcomeOf(() => copyFile(source, `${dir}/target`, { context }))).toBe('ENOSPC');
      expect(readdirSync(dir)).toEqual([]);
    });
  });
});

test('verify names the byte that differs', async () => {
  const at = 3 * MEBIBYTE + 5;
  // Once all of the source has been read.
  const onProgress = ({ phase, done, total }: CopyProgress): void => {
    if (phase === 'copy' && done === total)
      writeSync(openSync(source, 'r+'), Buffer.from([content[at]! ^ 1]), 0, 1, at);
  };
  const copying = copied({ verify: true, onProgress });
  await expect(copying).rejects.toMatchObject({
    code: 'ERR_AIO_COPY_DIFFERS',
    message: expect.stringContaining(`${at}`),
  });
  expect(readdirSync(folder)).toEqual(['source']);
});

test('COPYFILE_EXCL refuses a destination that exists, also one that comes into being meanwhile', async () => {
  writeFileSync(target, 'mine');
  expect(await outcomeOf(() => copied({ mode: COPYFILE_EXCL }))).toBe('EEXIST');
  const other = `${folder}/other`;
  const onProgress = (): void => writeFileSync(other, 'theirs');
  expect(await outcomeOf(() => copyFile(source, other, { context, mode: COPYFILE_EXCL, onProgress }))).toBe('EEXIST');
  expect(readFileSync(other, 'utf8')).toBe('theirs');
  expect(readdirSync(folder).sort()).toEqual(['other', 'source', 'target']);
  expect(await outcomeOf(() => copyFile(source, `${folder}/new`, { context, mode: COPYFILE_EXCL }))).toBe('ok');
});

test('a file is not copied onto itself', async () => {
  linkSync(source, target);
  expect(await copied()).toMatchObject({ copied: 0 });
  expect(isCopied()).toBe(true);
  expect(statSync(target).nlink).toBe(2);
});

test('a symbolic link as destination is followed and stays', async () => {
  mkdirSync(`${folder}/far`);
  writeFileSync(`${folder}/far/real`, 'old');
  symlinkSync('far/real', target);
  await copied();
  expect(readFileSync(`${folder}/far/real`).equals(content)).toBe(true);
  expect(readdirSync(`${folder}/far`)).toEqual(['real']);
});

test.each([true, false])(
  '".." is the folder that a link leads from, as to the kernel (there before: %s)',
  async (before) => {
    mkdirSync(`${folder}/far/deep`, { recursive: true });
    symlinkSync('far/deep', `${folder}/to`);
    writeFileSync(`${folder}/real`, 'not this one');
    if (before) writeFileSync(`${folder}/far/real`, 'old');
    const seen = new Set<number>();
    const onProgress = () => seen.add(readdirSync(`${folder}/far`).filter((name) => name.startsWith('.kaio')).length);
    await copyFile(source, `${folder}/to/../real`, { context, onProgress });
    expect([...seen]).toEqual([1]);
    expect(readFileSync(`${folder}/far/real`).equals(content)).toBe(true);
    expect(readFileSync(`${folder}/real`, 'utf8')).toBe('not this one');
    expect(readdirSync(folder).sort()).toEqual(['far', 'real', 'source', 'to']);
  },
);

describe('a symbolic link that leads to nothing yet', () => {
  test.each(['far/real', 'absolute', 'to/../real', 'chain'])(
    'stays, and the copy is where it leads: %s',
    async (to) => {
      mkdirSync(`${folder}/far/deep`, { recursive: true });
      // From here ".." leads to far, not to the folder that the link is in.
      symlinkSync('far/deep', `${folder}/to`);
      symlinkSync('far/next', `${folder}/chain`);
      symlinkSync('real', `${folder}/far/next`);
      const real = `${folder}/far/real`;
      symlinkSync(to === 'absolute' ? real : to, target);
      expect(await copied()).toMatchObject({ size: content.length });
      expect(readlinkSync(target)).toBe(to === 'absolute' ? real : to);
      expect(lstatSync(real).isFile()).toBe(true);
      expect(isCopied()).toBe(true);
      expect(readdirSync(folder).sort()).toEqual(['chain', 'far', 'source', 'target', 'to']);
      expect(readdirSync(`${folder}/far`).sort()).toEqual(['deep', 'next', 'real']);
    },
  );

  test('is a name that is taken, to COPYFILE_EXCL', async () => {
    symlinkSync('nothing', target);
    expect(await outcomeOf(() => copied({ mode: COPYFILE_EXCL }))).toBe('EEXIST');
    expect(readdirSync(folder).sort()).toEqual(['source', 'target']);
  });

  test('in a folder that is missing, or in a circle, is refused and stays', async () => {
    symlinkSync('no/such/folder', target);
    expect(await outcomeOf(() => copied())).toBe('ENOENT');
    symlinkSync('circle', `${folder}/circle`);
    expect(await outcomeOf(() => copyFile(source, `${folder}/circle`, { context }))).toBe('ELOOP');
    expect([readlinkSync(target), readlinkSync(`${folder}/circle`)]).toEqual(['no/such/folder', 'circle']);
    expect(readdirSync(folder).sort()).toEqual(['circle', 'source', 'target']);
  });
});

test.each([0, COPYFILE_EXCL])('a folder that may be written to but not be read takes a copy, mode %i', async (mode) => {
  await undoing(async (later) => {
    const dir = temporaryFolder(later);
    chmodSync(dir, 0o711);
    writeFileSync(`${dir}/source`, content);
    mkdirSync(`${dir}/blind`);
    if (process.getuid!() === 0) chownSync(`${dir}/blind`, 65534, 65534);
    chmodSync(`${dir}/blind`, 0o333);
    const copying = () => copyFile(`${dir}/source`, `${dir}/blind/target`, { context, mode });
    expect(await asNobody(() => outcomeOf(copying))).toBe('ok');
    chmodSync(`${dir}/blind`, 0o755);
    expect(readFileSync(`${dir}/blind/target`).equals(content)).toBe(true);
    expect(readdirSync(`${dir}/blind`)).toEqual(['target']);
  });
});

test('what keeps the folder from being opened keeps the destination as it was', async () => {
  writeFileSync(target, 'before');
  const opening = vi.spyOn(context, 'open');
  const open = opening.getMockImplementation() ?? AioContext.prototype.open.bind(context);
  opening.mockImplementation(async (path, ...rest) => {
    if (String(path) === folder) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    return await open(path, ...rest);
  });
  expect(await outcomeOf(() => copied())).toBe('EMFILE');
  opening.mockRestore();
  expect(readFileSync(target, 'utf8')).toBe('before');
  expect(readdirSync(folder).sort()).toEqual(['source', 'target']);
});

test('what is no file is refused as what it is', async () => {
  expect(await outcomeOf(() => copyFile(`${folder}/missing`, target, { context }))).toBe('ENOENT');
  expect(await outcomeOf(() => copyFile(source, `${folder}/no/such/folder`, { context }))).toBe('ENOENT');
  expect(await outcomeOf(() => copyFile(folder, target, { context }))).toBe('EISDIR');
  expect(await outcomeOf(() => copyFile(source, folder, { context }))).toBe('EISDIR');
  expect(await outcomeOf(() => copyFile(source, `${folder}/missing/`, { context }))).toBe('EISDIR');
  expect(await outcomeOf(() => copyFile('/dev/zero', target, { context }))).toBe('ERR_INVALID_ARG_VALUE');
  expect(await outcomeOf(() => copyFile(source, '/dev/null', { context }))).toBe('ERR_INVALID_ARG_VALUE');
  expect(await outcomeOf(() => copyFile(5 as unknown as string, target))).toBe('ERR_INVALID_ARG_TYPE');
  expect(await outcomeOf(() => copied({ mode: 8 }))).toBe('ERR_OUT_OF_RANGE');
  expect(await outcomeOf(() => copied({ reflink: false, mode: COPYFILE_FICLONE_FORCE }))).toBe('ERR_INVALID_ARG_VALUE');
  expect(readdirSync(folder)).toEqual(['source']);
});

test('a copy goes on where the pool is exhausted', async () => {
  const small = new AioContext({ depth: 8, memory: 65_536 });
  await copied({ context: small, verify: true });
  expect(isCopied()).toBe(true);
  await small.close();
});

test('a block device is copied to its end', async ({ skip }) => {
  skip(loopSkip() !== false, String(loopSkip()));
  await undoing(async (later) => {
    truncateSync(source, 2 * MEBIBYTE);
    const device = attachLoop(later, source);
    expect(await copyFile(device, target, { context })).toMatchObject({ size: 2 * MEBIBYTE });
    expect(readFileSync(target).equals(content.subarray(0, 2 * MEBIBYTE))).toBe(true);
  });
});

describe('sharing the data', () => {
  test('where the file system can, nothing is moved, unless told not to', async ({ skip }) => {
    skip(fileSystemSkip('btrfs') !== false, String(fileSystemSkip('btrfs')));
    await withFileSystem('btrfs', async (dir) => {
      cpSync(source, `${dir}/source`);
      chmodSync(`${dir}/source`, 0o640);
      const clone = { size: content.length, copied: 0, reflinked: true };
      expect(await copyFile(`${dir}/source`, `${dir}/shared`, { context })).toEqual(clone);
      const moved = { size: content.length, copied: content.length, reflinked: false };
      expect(await copyFile(`${dir}/source`, `${dir}/moved`, { context, reflink: false })).toEqual(moved);
      for (const name of ['shared', 'moved']) {
        expect(readFileSync(`${dir}/${name}`).equals(content)).toBe(true);
        expect(statSync(`${dir}/${name}`).mode & 0o7777).toBe(0o640);
      }
      expect(readdirSync(dir).sort()).toEqual(['moved', 'shared', 'source']);
    });
  });

  test.for([0o444, 0o004])('of a source that its reader may not write to, mode %o', async (mode, { skip }) => {
    skip(fileSystemSkip('btrfs') !== false, String(fileSystemSkip('btrfs')));
    await withFileSystem('btrfs', async (dir) => {
      cpSync(source, `${dir}/source`);
      chownSync(`${dir}/source`, 1, 1);
      chmodSync(`${dir}/source`, mode);
      chmodSync(dir, 0o777);
      chmodSync(dirname(dir), 0o711);
      await asNobody(async () =>
        expect(await copyFile(`${dir}/source`, `${dir}/target`, { context })).toMatchObject({ reflinked: true }),
      );
      expect(statSync(`${dir}/target`).mode & 0o7777).toBe(mode);
      expect(readFileSync(`${dir}/target`).equals(content)).toBe(true);
      expect(readdirSync(dir).sort()).toEqual(['source', 'target']);
    });
  });

  test('where it cannot, COPYFILE_FICLONE_FORCE fails and leaves nothing', async ({ skip }) => {
    skip(fileSystemSkip('tmpfs') !== false, String(fileSystemSkip('tmpfs')));
    await withFileSystem('tmpfs', async (dir) => {
      const outcome = await outcomeOf(() =>
        copyFile(source, `${dir}/target`, { context, mode: COPYFILE_FICLONE_FORCE }),
      );
      expect(['EXDEV', 'ENOTSUP']).toContain(outcome);
      expect(readdirSync(dir)).toEqual([]);
    });
  });
});

test.for(['xfs', 'tmpfs', 'overlay'] as const)('a copy on %s is the same', async (kind, { skip }) => {
  skip(fileSystemSkip(kind) !== false, String(fileSystemSkip(kind)));
  await withFileSystem(kind, async (dir) => {
    const result = await copyFile(source, `${dir}/target`, { context, verify: true });
    expect(result.copied).toBe(content.length);
    expect(await copyFile(`${dir}/target`, target, { context, reflink: false })).toMatchObject({ reflinked: false });
    expect(isCopied()).toBe(true);
    expect(readdirSync(dir).filter((name) => name.startsWith('.kaio'))).toEqual([]);
  });
});

test('names are bytes, which need not be UTF-8', async () => {
  const name = Buffer.from(`${folder}/caf\xe9`, 'latin1');
  await copyFile(source, name, { context });
  expect(readFileSync(name).equals(content)).toBe(true);
  writeFileSync(name, 'another');
  await copyFile(name, target, { context });
  expect(readFileSync(target, 'utf8')).toBe('another');
  symlinkSync(Buffer.from('\xff', 'latin1'), `${folder}/link`);
  await copyFile(source, `${folder}/link`, { context });
  expect(readdirSync(folder, 'latin1').sort()).toEqual(['caf\xe9', 'link', 'source', 'target', '\xff']);
});

test("a Buffer with a path is its caller's again when the call has returned", async () => {
  const name = Buffer.from(target);
  const copying = copyFile(source, name, { context });
  name.fill('x');
  await copying;
  expect(isCopied()).toBe(true);
});
