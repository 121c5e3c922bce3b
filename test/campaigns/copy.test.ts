// `kaio copy` that is interrupted at random moments leaves nothing behind: the destination is what it was, or all of the copy. A few moments
// of a small file by default; with KAIO_LONG=1 fifty of a file of 2 GiB. KAIO_SEED chooses the same moments again.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { Random } from '../support/random.ts';
import { campaignCommand, keepResults, repetitionOf } from '../support/results.ts';
import { scratchFolder } from '../support/scratch.ts';

const long = process.env['KAIO_LONG'] === '1';
const BYTES = long ? 2 ** 31 : 2 ** 27;
const MOMENTS = long ? 50 : 12;
const MEBIBYTE = 2 ** 20;
const SEED = Number(process.env.KAIO_SEED ?? 1);

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
  expect(await ended(start('--verify'))).toBe(0);
  expect(same()).toBe(true);
  expect(statSync(target).blocks).toBeLessThanOrEqual(statSync(source).blocks);

  const random = new Random(SEED);
  const runs: object[] = [];
  // How long a whole copy takes, from what such copies took; at first a guess.
  let wholeMs = BYTES / MEBIBYTE;
  for (let interrupted = 0; interrupted < MOMENTS; ) {
    const replaces = random.chance(0.5);
    rmSync(target, { force: true });
    if (replaces) writeFileSync(target, 'before');
    const began = performance.now();
    const child = start('--verify', '--force');
    const signal = random.pick(['SIGINT', 'SIGTERM', 'SIGHUP'] as const);
    const moment = random.below(wholeMs);
    const timer = setTimeout(() => child.kill(signal), moment);
    const end = await ended(child);
    clearTimeout(timer);
    const message = `seed ${random.seed}: ${signal} after ${moment} ms, ended with ${end}`;
    // Before the program has begun, the signal itself ends it.
    expect([0, 129, 130, 143, signal], message).toContain(end);
    if (end === 0) {
      wholeMs = performance.now() - began;
      expect(same(), message).toBe(true);
    } else {
      interrupted++;
      wholeMs = Math.max(wholeMs, moment * 1.1);
      if (replaces) expect(statSync(target).size, message).toBe(6);
    }
    expect(readdirSync(folder).sort(), message).toEqual(end === 0 || replaces ? ['source', 'target'] : ['source']);
    runs.push({ signal, afterMs: moment, replaces, ended: end });
  }
  keepResults('copy', repetitionOf(campaignCommand('copy')), { seed: SEED, bytes: BYTES, interrupted: MOMENTS }, runs);
});
