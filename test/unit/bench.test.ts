import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, expect, test } from 'vitest';
import { command } from '../../src/cli/bench/command.ts';
import { Latencies } from '../../src/cli/bench/latencies.ts';
import { type BenchOptions, parseOptions } from '../../src/cli/bench/options.ts';
import { prepareTarget } from '../../src/cli/bench/target.ts';

const folder = mkdtempSync(`${tmpdir()}/kaio-bench-`);
afterAll(() => rmSync(folder, { recursive: true }));

function options(...args: string[]): BenchOptions {
  return parseOptions(args);
}

test('sizes are understood as fio writes them', () => {
  expect(options('x', '--bs', '64k', '--size', '2G')).toMatchObject({ blockBytes: 65536, sizeBytes: 2 ** 31 });
});

test.each([
  [[]],
  [['a', 'b']],
  [['a', '--rw', 'erase']],
  [['a', '--bs', '100']],
  [['a', '--bs', '4x']],
  [['a', '--size', '1k']],
  [['a', '--depth', '0']],
  [['a', '--engine', 'kaio,aio']],
])('%j is refused with a usage error', (args) => {
  expect(() => options(...args)).toThrow(expect.objectContaining({ name: 'UsageError' }));
});

test.each(['randwrite', 'write', 'randrw'])('--rw %s never touches a file that exists unless it may', async (mode) => {
  const path = `${folder}/precious`;
  writeFileSync(path, Buffer.alloc(8192, 7));
  await expect(prepareTarget(options(path, '--rw', mode))).rejects.toThrow(/--overwrite/);
  const target = await prepareTarget(options(path, '--rw', mode, '--overwrite'));
  target.remove();
  expect(readFileSync(path).equals(Buffer.alloc(8192, 7))).toBe(true);
});

test('a file that was made for the run is gone afterwards', async () => {
  for (const path of [`${folder}/new`, folder]) {
    const target = await prepareTarget(options(path, '--size', '1m'));
    expect(target.bytes).toBe(2 ** 20);
    expect(existsSync(target.path)).toBe(true);
    target.remove();
    expect(existsSync(target.path)).toBe(false);
  }
});

test('the help has the form of the other commands, and the options of its examples are understood', () => {
  expect(command.help).toMatch(/^Usage: kaio bench PATH \[options\]\n\n/);
  expect(command.help).toMatch(/\n {2}-h, --help {2,}show this help\n/);
  expect(command.help).toMatch(/\nExit codes: 0 /);
  const examples = [...command.help.matchAll(/^ {2}kaio bench (.*)$/gm)].map(([, args]) => args!.split(' '));
  expect(examples.length).toBeGreaterThan(1);
  for (const args of examples) expect(options(...args).path).toMatch(/^[./]/);
});

test('a percentile is right within a sixteenth of an octave', () => {
  const latencies = new Latencies();
  for (let us = 1; us <= 10000; us++) latencies.add(us);
  for (const share of [0.5, 0.9, 0.99]) {
    expect(latencies.percentile(share) / (share * 10000)).toBeGreaterThan(0.999);
    expect(latencies.percentile(share) / (share * 10000)).toBeLessThan(1.05);
  }
  expect(latencies.octaves().reduce((sum, { count }) => sum + count, 0)).toBe(10000);
});
