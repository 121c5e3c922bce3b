import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const child = fileURLToPath(new URL('native.js', import.meta.url));
const FEW = 200;
const MANY = 1200;

export function hasValgrind(): boolean {
  return spawnSync('valgrind', ['--version']).status === 0;
}

/** Instructions of the native module for a round of one submit and one reap: the same each time, whatever the machine does meanwhile. */
export function instructionsPerRound(scratch: string, slow: boolean): number {
  return (instructions(scratch, MANY, slow) - instructions(scratch, FEW, slow)) / (MANY - FEW);
}

function instructions(scratch: string, rounds: number, slow: boolean): number {
  const file = `${scratch}/callgrind.out`;
  const valgrind = ['--quiet', '--tool=callgrind', '--smc-check=all-non-file', `--callgrind-out-file=${file}`];
  try {
    execFileSync('valgrind', [...valgrind, process.execPath, child, String(rounds), slow ? 'slow' : ''], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return costOf(readFileSync(file, 'latin1'), /kaio\.node$/);
  } finally {
    rmSync(file, { force: true });
  }
}

/** Sums the own cost of every function of an object file in callgrind's output; valgrind's manual draws the format. */
function costOf(profile: string, object: RegExp): number {
  const names = new Map<string, string>();
  let counted = false;
  let skip = false;
  let sum = 0;
  for (const line of profile.split('\n')) {
    const [, id, name] = /^ob=(\(\d+\)) ?(.*)$/.exec(line) ?? [];
    if (id !== undefined) {
      if (name) names.set(id, name);
      counted = object.test(names.get(id) ?? '');
    } else if (/^cob=/.test(line)) {
      const [, called, path] = /^cob=(\(\d+\)) ?(.*)$/.exec(line)!;
      if (path) names.set(called!, path);
    } else if (line.startsWith('calls=')) {
      // The next line is what the called function cost, which it counts itself.
      skip = true;
    } else if (/^[+\-*\d]/.test(line)) {
      if (counted && !skip) sum += Number(line.split(' ').at(-1));
      skip = false;
    }
  }
  return sum;
}
