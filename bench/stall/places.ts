import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Place } from './rows.ts';

const FUSE_SOURCE = fileURLToPath(new URL('../../../test/support/c/fuse_faults.c', import.meta.url));
const IMAGE_BYTES = 2 ** 30;

type Later = (step: () => unknown) => void;

function run(file: string, ...args: string[]): string {
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** A folder on a file system of this kind, and how to take it away again. Throws where there can be none. */
export async function makePlace(place: Place, scratch: string): Promise<{ folder: string; remove(): void }> {
  const base = `${scratch}/stall-${place}`;
  rmSync(base, { recursive: true, force: true });
  const folder = place === 'ext4' ? base : `${base}/mounted`;
  mkdirSync(folder, { recursive: true });
  const undo: (() => unknown)[] = [() => rmSync(base, { recursive: true, force: true })];
  const remove = (): void => {
    for (const step of undo.splice(0).reverse()) step();
  };
  try {
    if (place === 'fuse') await mountFuse(base, folder, (step) => undo.push(step));
    else if (place !== 'ext4') mount(place, base, folder, (step) => undo.push(step));
  } catch (error) {
    remove();
    throw error;
  }
  return { folder, remove };
}

function mount(place: Exclude<Place, 'ext4' | 'fuse'>, base: string, folder: string, later: Later): void {
  if (place === 'tmpfs') {
    run('mount', '-t', 'tmpfs', '-o', `size=${IMAGE_BYTES}`, 'kaio-bench', folder);
  } else if (place === 'overlay') {
    for (const name of ['lower', 'upper', 'work']) mkdirSync(`${base}/${name}`);
    const options = `lowerdir=${base}/lower,upperdir=${base}/upper,workdir=${base}/work`;
    run('mount', '-t', 'overlay', '-o', options, 'kaio-bench', folder);
  } else {
    writeFileSync(`${base}/image`, '');
    truncateSync(`${base}/image`, IMAGE_BYTES);
    // Without direct I/O of the loop device the page cache below it would answer.
    const device = run('losetup', '--find', '--show', '--direct-io=on', `${base}/image`);
    later(() => run('losetup', '--detach', device));
    run(`mkfs.${place}`, '-q', device);
    run('mount', device, folder);
  }
  later(() => run('umount', folder));
}

/** A file system in user space that takes 20 ms for each write. */
async function mountFuse(base: string, folder: string, later: Later): Promise<void> {
  const flags = run('pkg-config', '--cflags', '--libs', 'fuse3').split(/\s+/);
  run('cc', '-O2', '-o', `${base}/daemon`, FUSE_SOURCE, ...flags, '-lpthread');
  mkdirSync(`${base}/backing`);
  writeFileSync(`${base}/rules`, '* write 20 0 0 0\n');
  const daemon = spawn(`${base}/daemon`, [`${base}/backing`, `${base}/rules`, folder], { stdio: 'ignore' });
  later(() => run('umount', '--lazy', folder));
  later(() => daemon.kill('SIGKILL'));
  for (let attempt = 0; statSync(folder).dev === statSync(base).dev; attempt++) {
    if (attempt === 500) throw new Error('the FUSE file system was not mounted within 5 s');
    await sleep(10);
  }
}
