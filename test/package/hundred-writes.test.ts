import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mount, mountSkip, temporaryFolder } from '../support/mounts.ts';
import { eventually } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';
import { undoing } from '../support/undo.ts';
import { leftIn, type Output, root, run } from './installed.ts';

const program = join(root, 'examples/out/hundred-writes.js');
const small = ['--files', '8', '--size', '64KiB'];

const folder = scratchFolder();

function hundredWrites(args: string[], env?: NodeJS.ProcessEnv): Output {
  return run(process.execPath, [program, ...args], root, env);
}

test('--json tells for each engine what the table does', () => {
  const { status, stdout, stderr } = hundredWrites([...small, '--dir', folder, '--json']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const report = JSON.parse(stdout) as {
    results: unknown[];
    kaio: { submittedInline: number; submittedOffThread: number };
  };
  expect(report).toMatchObject({ files: 8, size: 65536, ok: true });
  const result = {
    controlBackMs: expect.any(Number),
    durableMs: expect.any(Number),
    http: {
      answers: expect.any(Number),
      answersPerSecond: expect.any(Number),
      p50Ms: expect.any(Number),
      p99Ms: expect.any(Number),
      maxMs: expect.any(Number),
    },
    longestPauseMs: expect.any(Number),
    sleepsSubmitting: expect.any(Number),
    cpuMs: expect.any(Number),
    checksums: { right: 8, wrong: 0 },
  };
  const engines = ['kaio, direct', 'fs, direct', 'fs, buffered'];
  expect(report.results).toEqual(engines.map((engine) => ({ engine, ...result })));
  // The writes, and the syncs after them, went through the kernel's asynchronous I/O.
  expect(report.kaio.submittedInline + report.kaio.submittedOffThread).toBeGreaterThanOrEqual(16);
  expect(leftIn(folder)).toEqual([]);
});

test('a single wrong byte on the disk makes it exit with 1', () => {
  // The first file reads back with one bit turned over, as from a disk that does not keep its promise.
  const faulty = join(folder, 'faulty.mjs');
  writeFileSync(
    faulty,
    `import { promises } from 'node:fs';
     import { syncBuiltinESMExports } from 'node:module';
     const { readFile } = promises;
     promises.readFile = async (path, ...rest) => {
       const bytes = await readFile(path, ...rest);
       if (String(path).endsWith('file-5')) bytes[4097] ^= 1;
       return bytes;
     };
     syncBuiltinESMExports();`,
  );
  const { status, stdout, stderr } = hundredWrites([...small, '--dir', folder], { NODE_OPTIONS: `--import=${faulty}` });
  expect(status).toBe(1);
  expect(stdout).toMatch(/checksums right +7 of 8 +7 of 8 +7 of 8/);
  expect(stderr).toBe('hundred-writes: a file did not hold what was written to it\n');
  expect(leftIn(folder)).toEqual([]);
});

test('--help lists every option', () => {
  const { status, stdout } = hundredWrites(['--help']);
  expect(status).toBe(0);
  for (const option of ['--dir', '--files', '--size', '--json', '--help']) expect(stdout).toContain(`\n  ${option}`);
});

describe('a wrong command line gets one clear line, the usage, and exit code 2', () => {
  test.each([
    [['--nonsense'], "Unknown option '--nonsense'"],
    [['--files', '0'], "--files takes a whole number from 1, not '0'"],
    [['--files', '1.5'], "--files takes a whole number from 1, not '1.5'"],
    [['--size', '1MB'], "--size takes a whole number from 1, not '1MB'"],
    [['--size', '1000'], '--size takes a multiple of 4096 bytes'],
    [['--size', '1GiB'], '100 files of 1073741824 bytes are more than'],
  ])('%j', (args, message) => {
    const { status, stdout, stderr } = hundredWrites([...args, '--dir', folder]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr.split('\n')[0]).toContain(`hundred-writes: ${message}`);
    expect(stderr).toContain('Usage: ');
    expect(leftIn(folder)).toEqual([]);
  });
});

describe('where it cannot work it says why in one line, exits with 1 and leaves nothing behind', () => {
  function refusal(args: string[]): string {
    const { status, stdout, stderr } = hundredWrites(args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr.split('\n')).toHaveLength(2);
    return stderr;
  }

  test('a folder that is not there', () => {
    expect(refusal(['--dir', join(folder, 'nowhere')])).toContain('nowhere is not a folder (ENOENT)');
  });

  /** What is said of a file system of this kind, on which nothing may be left. */
  async function refusalOn(type: string, options: string): Promise<string> {
    return undoing(async (later) => {
      const disk = temporaryFolder(later);
      mount(later, type, 'kaio-test', disk, options);
      const said = refusal(['--dir', disk]);
      expect(readdirSync(disk)).toEqual([]);
      return said;
    });
  }

  test('a file system without direct I/O', async ({ skip }) => {
    const reason = mountSkip();
    if (reason) skip(reason);
    expect(await refusalOn('ramfs', 'rw')).toMatch(/The file system of \S+ cannot do direct I\/O/);
  });

  test('a disk that is full', async ({ skip }) => {
    const reason = mountSkip();
    if (reason) skip(reason);
    expect(await refusalOn('tmpfs', 'size=8m')).toContain('has no room for 100 files of 1048576 bytes (ENOSPC)');
  });

  test('a folder that is read-only', async ({ skip }) => {
    const reason = mountSkip();
    if (reason) skip(reason);
    expect(await refusalOn('tmpfs', 'size=8m,ro')).toMatch(/Cannot make files in \S+ \(EROFS\)/);
  });

  test('too few descriptors', () => {
    const limited = run('sh', [
      '-c',
      `ulimit -n 64; exec "${process.execPath}" "${program}" --dir "${folder}" --size 4096`,
    ]);
    expect(limited).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('Raise "ulimit -n"') });
    expect(leftIn(folder)).toEqual([]);
  });
});

/** The processes that a process has started. */
function childrenOf(pid: number): number[] {
  const tasks = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return tasks.split(' ').filter(Boolean).map(Number);
}

/** Whether a process runs; one that has ended and that nobody has asked about yet does not. */
function runs(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s in the middle ends it, its client and its files',
  async (signal) => {
    const child = spawn(process.execPath, [program, '--dir', folder], { stdio: 'ignore' });
    const exit = once(child, 'exit');
    const written = () => leftIn(folder).some((name) => readdirSync(join(folder, name)).length > 50);
    expect(await eventually(written, 30_000)).toBe(true);
    const [client] = childrenOf(child.pid!);
    child.kill(signal);
    const [code] = await exit;
    expect(code).toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
    expect(leftIn(folder)).toEqual([]);
    expect(client).toBeDefined();
    expect(await eventually(() => !runs(client!))).toBe(true);
  },
);
