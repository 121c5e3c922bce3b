import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { type Later, run } from '../../support/mounts.ts';

/** Sectors are of 512 bytes, whatever the device's blocks are. */
export const SECTOR_BYTES = 512;

/** A device of the device mapper, whose table can be changed while it is in use. */
export class Mapped {
  readonly path: string;
  readonly #name: string;

  /** Removed at the end, whatever state it is in. */
  constructor(later: Later, name: string, table: string) {
    this.#name = name;
    this.path = `/dev/mapper/${name}`;
    // No udev answers in a guest: the library then makes the nodes itself.
    process.env.DM_DISABLE_UDEV = '1';
    run('dmsetup', 'create', name, '--table', table);
    later(() => run('dmsetup', 'remove', '--force', '--retry', name));
    // What is suspended or broken could not be closed by those who use it.
    later(() => run('dmsetup', 'resume', name));
  }

  /** Holds requests back from now on, without waiting for those under way. */
  suspend(): void {
    run('dmsetup', 'suspend', '--noflush', '--nolockfs', this.#name);
  }

  resume(): void {
    run('dmsetup', 'resume', this.#name);
  }

  /** Answers by another table from now on. */
  become(table: string): void {
    run('dmsetup', 'suspend', '--nolockfs', this.#name);
    run('dmsetup', 'load', this.#name, '--table', table);
    this.resume();
  }
}

/** The size of a block device, in sectors. */
export function sectorsOf(device: string): number {
  return Number(run('blockdev', '--getsz', device));
}

/** Why there can be no devices of a module, or false: some builds of a kernel leave it out. */
export function moduleSkip(name: string): string | false {
  return spawnSync('modinfo', [name]).status === 0 ? false : `this kernel comes without ${name}`;
}

/** Makes a module's devices. They go with the module. */
export function loadModule(later: Later, name: string, ...options: string[]): void {
  run('modprobe', name, ...options);
  later(() => run('modprobe', '--remove', name));
}

/** Waits for a node in /dev, which the kernel makes beside the call that asked for the device. */
export async function appeared(path: string): Promise<string> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (existsSync(path)) return path;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${path} did not appear`);
}

/** The name of the disk that `make` makes; /dev has it by then. */
export async function newDisk(make: () => void): Promise<string> {
  const before = new Set(readdirSync('/sys/block'));
  make();
  for (let attempt = 0; attempt < 500; attempt++) {
    // A SCSI disk has a size only after it has been asked for it.
    const name = readdirSync('/sys/block').find((entry) => !before.has(entry) && sizeOf(entry) > 0);
    if (name !== undefined) {
      await appeared(`/dev/${name}`);
      return name;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('no disk was made');
}

function sizeOf(name: string): number {
  return Number(readFileSync(`/sys/block/${name}/size`, 'utf8'));
}
