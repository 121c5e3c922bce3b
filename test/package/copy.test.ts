import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { ProgressBar, sizeText, timeText } from '../../src/cli/copy/progress.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { mount, mountSkip, temporaryFolder } from '../support/mounts.ts';
import { scratchFolder } from '../support/scratch.ts';
import { undoing } from '../support/undo.ts';
import { root } from './installed.ts';

const cli = `${root}dist/cli/main.js`;
const scratch = scratchFolder();
const content = randomFillSync(Buffer.alloc(1_000_001));
let folder: string;
let source: string;
let number = 0;

beforeEach(() => {
  folder = `${scratch}/${++number}`;
  source = `${folder}/source`;
  mkdirSync(folder);
  writeFileSync(source, content);
});

function copy(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, 'copy', ...args], {
    encoding: 'utf8',
    cwd: folder,
  });
  return { status, stdout, stderr };
}

const silent = { status: 0, stdout: '', stderr: '' };
const says = (status: number, text: string) => ({ status, stdout: '', stderr: expect.stringContaining(text) });

test('a copy is the same to the byte, under a name or in a folder, and says nothing where no terminal is', () => {
  mkdirSync(`${folder}/in`);
  expect(copy('source', 'target')).toEqual(silent);
  expect(copy('source', 'in', '--verify', '--no-reflink')).toEqual(silent);
  for (const path of ['target', 'in/source']) expect(readFileSync(`${folder}/${path}`).equals(content)).toBe(true);
});

test('what exists is replaced only with --force', () => {
  writeFileSync(`${folder}/target`, 'mine');
  expect(copy('source', 'target')).toEqual(says(2, "'target' exists; --force replaces it"));
  expect(readFileSync(`${folder}/target`, 'utf8')).toBe('mine');
  expect(copy('source', 'target', '--force')).toEqual(silent);
  expect(readFileSync(`${folder}/target`).equals(content)).toBe(true);
});

test('wrong use is explained in one line, and is exit code 2', () => {
  mkdirSync(`${folder}/in`);
  expect(copy()).toEqual(says(2, 'give one file to copy and where to'));
  expect(copy('source', 'a', 'b')).toEqual(says(2, 'give one file'));
  expect(copy('missing', 'target')).toEqual(says(2, "ENOENT: no such file or directory, stat 'missing'"));
  expect(copy('source', 'no/such/folder')).toEqual(says(2, "stat 'no/such'"));
  expect(copy('in', 'target')).toEqual(says(2, "'in' is a folder"));
  expect(copy('source', './source')).toEqual(says(2, 'are the same file'));
  expect(copy('/dev/zero', 'target')).toEqual(says(2, 'must be a regular file or a block device'));
  expect(copy('--fast', 'source', 'target')).toEqual(says(2, "Unknown option '--fast'"));
  const { stderr } = copy('missing', 'target');
  expect(stderr.split('\n')).toEqual([expect.any(String), "Try 'kaio copy --help'.", '']);
  expect(readdirSync(folder).sort()).toEqual(['in', 'source']);
});

test('a full disk is exit code 1 and leaves nothing', ({ skip }) => {
  skip(mountSkip() !== false, String(mountSkip()));
  return undoing(async (later) => {
    const dir = temporaryFolder(later);
    mount(later, 'tmpfs', 'kaio', dir, 'size=256k');
    expect(copy('source', dir)).toEqual(says(1, 'kaio copy: ENOSPC'));
    expect(readdirSync(dir)).toEqual([]);
  });
});

test('holes stay holes', () => {
  truncateSync(source, 1 << 28);
  expect(copy('source', 'target', '--verify')).toEqual(silent);
  expect(statSync(`${folder}/target`)).toMatchObject({ size: 1 << 28 });
  expect(statSync(`${folder}/target`).blocks).toBeLessThanOrEqual(statSync(source).blocks);
});

test('help has the form of the other commands', () => {
  const { status, stdout } = copy('--help');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^Usage: kaio copy SRC DST \[options\]\n\n/);
  expect(stdout).toMatch(/\nExit codes: 0 /);
});

test('where data can be shared it is', ({ skip }) => {
  skip(fileSystemSkip('btrfs') !== false, String(fileSystemSkip('btrfs')));
  return withFileSystem('btrfs', async (dir) => {
    expect(copy('source', dir)).toEqual(silent);
    expect(copy(`${dir}/source`, `${dir}/shared`)).toEqual(silent);
    expect(readFileSync(`${dir}/shared`).equals(content)).toBe(true);
    rmSync(`${dir}/shared`);
  });
});

describe('the progress bar', () => {
  function shown(columns: number, color = false): { bar: ProgressBar; written: string[] } {
    const written: string[] = [];
    const err = (text: string) => void written.push(text);
    return { bar: new ProgressBar({ out: err, err, stdin: process.stdin, color, columns }, 'disk.img'), written };
  }
  const total = 2 ** 30;

  test('it shows how much, how fast and how long yet, in one line that fits the terminal', () => {
    const { bar, written } = shown(100);
    bar.show({ phase: 'copy', done: 0, total }, 0);
    bar.show({ phase: 'copy', done: 2 ** 28, total }, 1000);
    const line = written.at(-1)!.replace('\r\x1b[K', '');
    expect(line).toMatch(/^disk\.img █+░+ {2}25 % {2}256\.0 MiB of 1\.0 GiB {2}256\.0 MiB\/s {2}0:03 left$/);
    expect(line.length).toBeLessThan(100);
  });

  test('it is written at most ten times a second, and at the end', () => {
    const { bar, written } = shown(80);
    for (let at = 0; at <= 1000; at++) bar.show({ phase: 'copy', done: at * 1000, total: 1_000_000 }, at);
    expect(written.length).toBeLessThanOrEqual(12);
    expect(written.at(-1)).toContain('100 %');
  });

  test('a narrow terminal gets no bar, colours come only where they are wanted, and no terminal gets nothing', () => {
    const narrow = shown(40);
    narrow.bar.show({ phase: 'verify', done: 1, total: 2 }, 0);
    expect(narrow.written.join('')).not.toContain('█');
    expect(narrow.written.join('').replace('\r\x1b[K', '').length).toBeLessThan(40);
    const coloured = shown(100, true);
    coloured.bar.show({ phase: 'verify', done: 1, total: 2 }, 0);
    expect(coloured.written.join('')).toContain('verifying disk.img \x1b[32m█');
    const none = shown(0);
    none.bar.show({ phase: 'copy', done: 1, total: 2 });
    none.bar.end('done');
    expect(none.written).toEqual([]);
  });

  test('sizes and times are written as people read them', () => {
    expect([0, 1023, 1536, 2 ** 31].map(sizeText)).toEqual(['0 B', '1023 B', '1.5 KiB', '2.0 GiB']);
    expect([0.2, 61, 3723].map(timeText)).toEqual(['0:01', '1:01', '1:02:03']);
  });
});
