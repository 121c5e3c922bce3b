import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** How many requests all the machine's contexts were made for: what `fs.aio-max-nr` limits. Other processes count as well. */
export function aioNr(): number {
  return Number(readFileSync('/proc/sys/fs/aio-nr', 'utf8'));
}

export function aioMaxNr(): number {
  return Number(readFileSync('/proc/sys/fs/aio-max-nr', 'utf8'));
}

/** How many descriptors a process has open; of this process not the one that looks. */
export function openDescriptors(pid: number | 'self' = 'self'): number {
  return readdirSync(`/proc/${pid}/fd`).length - (pid === 'self' ? 1 : 0);
}

/** How many contexts a process has: each is a mapping of the kernel's own. */
export function contextCount(pid: number | 'self' = 'self'): number {
  return readFileSync(`/proc/${pid}/maps`, 'utf8').match(/\/\[aio\]/g)?.length ?? 0;
}

/** Whether other processes than this one have contexts: with these they have a part of `fs.aio-nr`, which then says little. */
export function othersHaveContexts(): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    try {
      return contextCount(Number(name)) > 0;
    } catch {
      // It has ended, or is not ours to look at.
      return false;
    }
  });
}

/** Waits until a condition holds; false where it does not within the limit. */
export async function eventually(condition: () => boolean, limitMs = 5000): Promise<boolean> {
  const end = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > end) return false;
    await sleep(5);
  }
  return true;
}

/** Whether the kernel is older than this version. */
export function kernelBefore(major: number, minor: number): boolean {
  const [actualMajor = 0, actualMinor = 0] = release().split('.').map(Number);
  return actualMajor < major || (actualMajor === major && actualMinor < minor);
}
