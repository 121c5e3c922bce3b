// `kaio copy` that is interrupted at random moments leaves nothing behind: the destination is what it was, or all of the copy. A few moments
// of a small file by default; with KAIO_LONG=1 fifty of a file of 2 GiB.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Random } from '../support/random.ts';
import { scratchFolder } from '../support/scratch.ts';

const long = process.env['KAIO_LONG'] === '1';
const BYTES = long ? 2 ** 31 : 2 ** 27;
const MOMENTS = long ? 50 : 12;
const MEBIBYTE = 2 ** 20;

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = scratchFolder();
const source = `${folder}/source`;
const target = `${folder}/target`;

/** Random data, with a hole in every 64 MiB and an end that is no whole block. */
function makeSource(): void {
  const fd = openSync(source, 'w');
  const data = randomFillSync(Buffer.alloc(MEBIBYTE));
  for (let at = 0; at < BYTES; at += MEBIBYTE) {
    if ((at / MEBIBYTE) % 64 < 8) continue;
    data.writeDoubleLE(at);
    writeSync(fd, data, 0, MEBIBYTE, at);
  }
  closeSync(fd);
  truncateSync(source, BYTES - 1234);
}

const same = (): boolean => {
  try {
    execFileSync('cmp', ['-s', source, target]);
    return true;
  } catch {
    return false;
  }
};

function start(...options: string[]): ChildProcess {
  return spawn(process.execPath, [cli, 'copy', source, target, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
}

async function ended(child: ChildProcess): Promise<number | NodeJS.Signals> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? signal!;
}

test(`a copy of ${BYTES / MEBIBYTE} MiB is the same, keeps its holes, and ${MOMENTS} that are interrupted leave nothing`, async () => {
  makeSource();
  const began = performance.now();
  expect(await ended(start('--verify'))).toBe(0);
  const wholeMs = performance.now() - began;
  expect(same()).toBe(true);
  expect(statSync(target).blocks).toBeLessThanOrEqual(statSync(source).blocks);

  const random = new Random(Date.now());
  const outcomes = new Map<string, number>();
  for (let moment = 0; moment < MOMENTS; moment++) {
    const replaces = random.chance(0.5);
    rmSync(target, { force: true });
    if (replaces) writeFileSync(target, 'before');
    const child = start('--verify', '--force');
    const signal = random.pick(['SIGINT', 'SIGTERM', 'SIGHUP'] as const);
    const timer = setTimeout(() => child.kill(signal), random.below(wholeMs));
    const end = await ended(child);
    clearTimeout(timer);
    const message = `seed ${random.seed}, moment ${moment}: ${signal}, ended with ${end}`;
    expect([0, 129, 130, 143, signal], message).toContain(end);
    const left = readdirSync(folder).sort();
    if (end === 0) expect(same(), message).toBe(true);
    else if (replaces) expect(readFileSync(target).toString('latin1', 0, 10), message).toBe('before');
    expect(left, message).toEqual(end === 0 || replaces ? ['source', 'target'] : ['source']);
    outcomes.set(String(end), (outcomes.get(String(end)) ?? 0) + 1);
  }
  console.log(`ends: ${JSON.stringify(Object.fromEntries(outcomes))}`);
  expect(outcomes.size, 'all ended alike: nothing was interrupted').toBeGreaterThan(1);
});
