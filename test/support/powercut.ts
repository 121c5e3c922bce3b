import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { compile, hasCommand, libraryFlags } from './compile.ts';
import { fuseSkip } from './fuse.ts';
import { type Later, loopSkip, MEBIBYTE, run, unmount } from './mounts.ts';

/** What a disk lost with its power; c/powercut_disk.c prints it. Units are its sectors. */
export interface Loss {
  /** When (CLOCK_MONOTONIC, as process.hrtime). */
  atNs: number;
  /** Requests since the cut was armed. */
  writes: number;
  flushes: number;
  /** Not answered when the power went. */
  inFlight: number;
  /** Units that no flush had made stable. Of these `lost` have their old bytes, and `reordered` those of a write that was written over. */
  unflushed: number;
  lost: number;
  reordered: number;
  survivalPercent: number;
  wholeWrites: boolean;
}

export interface DiskOptions {
  /** The image it begins with; it is not changed. */
  image: string;
  sectorBytes: number;
  seed: number;
  /** It answers flushes and keeps nothing; or what no flush made stable is lost, all of it. */
  manner?: 'ignore-flush' | 'drop-all' | undefined;
}

/** Memory, where there is some: a disk whose image is there costs next to nothing. */
export const memoryFolder: string = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** No step of a run may hang it: what takes longer has failed. */
const PATIENCE_MS = 60_000;

/** Why no disk can lose its power on this machine, or false where it can. */
export function powerCutSkip(): string | false {
  return (
    fuseSkip() ||
    loopSkip() ||
    (hasCommand('mkfs.ext4') ? false : 'mkfs.ext4 is not installed') ||
    (hasCommand('mkfs.xfs') ? false : 'mkfs.xfs is not installed')
  );
}

/** Rejects where something takes too long. */
export async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(PATIENCE_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} did not happen within ${PATIENCE_MS / 1000} s`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/** Runs a command that may hang in the kernel: then this process goes on without it. */
async function command(name: string, ...args: string[]): Promise<string> {
  const child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const [code] = (await soon([name, ...args].join(' '), once(child, 'close'))) as [number | null];
  if (code !== 0) throw new Error(`${name} ${args.join(' ')}: ${output.trim()}`);
  return output.trim();
}

/** A block device with a volatile cache, over a loop device. It ends with the undo steps of `later`. */
export class PowerCutDisk {
  /** Resolves when the power is lost. */
  readonly lost: Promise<Loss>;
  readonly #server: ChildProcess;
  /** Commands that have no answer yet. */
  readonly #commands: (() => void)[] = [];
  readonly #folder: string;
  readonly #sectorBytes: number;
  #device: string | undefined;
  #mounted = false;

  private constructor(folder: string, options: DiskOptions, later: Later) {
    const { image, sectorBytes, seed, manner } = options;
    const library = libraryFlags('fuse3');
    if ('missing' in library) throw new Error(library.missing);
    this.#folder = folder;
    this.#sectorBytes = sectorBytes;
    for (const name of ['fuse', 'mounted']) mkdirSync(`${folder}/${name}`, { recursive: true });
    const args = [
      image,
      `${folder}/fuse`,
      String(sectorBytes),
      String(seed),
      ...(manner === undefined ? [] : [manner]),
    ];
    this.#server = spawn(compile('powercut_disk', library.flags), args, { stdio: ['pipe', 'pipe', 'inherit'] });
    // It may end while it is told something; then the answer is missing, too.
    this.#server.stdin!.on('error', () => {});
    this.lost = new Promise((resolve) => {
      createInterface({ input: this.#server.stdout! }).on('line', (line) => {
        if (line === 'ok') this.#commands.shift()?.();
        else resolve(JSON.parse(line));
      });
    });
    later(() => rmSync(folder, { recursive: true, force: true }));
    later(() => run('umount', '--lazy', `${folder}/fuse`));
    later(() => this.#device !== undefined && run('losetup', '--detach', this.#device));
    later(() => this.#mounted && unmount(`${folder}/mounted`));
    // The end of the server ends all requests, so that nothing else can hang.
    later(() => this.#server.kill('SIGKILL'));
  }

  static async start(folder: string, options: DiskOptions, later: Later): Promise<PowerCutDisk> {
    const disk = new PowerCutDisk(folder, options, later);
    await soon('the disk', disk.#ready());
    return disk;
  }

  async #ready(): Promise<void> {
    while (this.#running && !existsSync(`${this.#folder}/fuse/disk`)) await sleep(5);
  }

  get #running(): boolean {
    return this.#server.exitCode === null && this.#server.signalCode === null;
  }

  /** Makes it a block device, mounted where a type is given. Returns the device, or the folder. */
  async attach(type?: 'ext4' | 'xfs'): Promise<string> {
    const options = ['--find', '--show', '--direct-io=on', `--sector-size=${this.#sectorBytes}`];
    const device = await command('losetup', ...options, `${this.#folder}/fuse/disk`);
    this.#device = device;
    if (type === undefined) return device;
    const folder = `${this.#folder}/mounted`;
    await command('mount', '-t', type, ...(type === 'xfs' ? ['-o', 'nouuid'] : []), device, folder);
    this.#mounted = true;
    return folder;
  }

  /** Undoes `attach`, also where the power is gone. */
  async detach(): Promise<void> {
    if (this.#mounted) await command('umount', `${this.#folder}/mounted`);
    this.#mounted = false;
    if (this.#device !== undefined) await command('losetup', '--detach', this.#device);
    this.#device = undefined;
  }

  /** Tells the server what is to happen; resolves when it does so. c/powercut_disk.c has the commands. */
  async tell(...words: (string | number)[]): Promise<void> {
    if (!this.#running) throw new Error('the disk is gone');
    const answered = new Promise<void>((resolve) => this.#commands.push(resolve));
    this.#server.stdin!.write(`${words.join(' ')}\n`);
    await soon(words.join(' '), answered);
  }

  /** The power goes at this write or flush from now on. */
  arm(requests: number): Promise<void> {
    return this.tell('arm', requests);
  }

  /** The power goes now. */
  cut(): Promise<void> {
    return this.tell('cut');
  }

  /** The power is back: what survived can be read. */
  powerOn(): Promise<void> {
    return this.tell('on');
  }

  /** The disk is gone, and does not come back. */
  async vanish(): Promise<void> {
    const ended = once(this.#server, 'exit');
    this.#server.kill('SIGKILL');
    await soon('the end of the disk', ended);
  }
}

/** What the free space of a fresh file system is full of: where it shows up in a file, the file has bytes of somebody else. */
const FOREIGN = 0xa5;

/** Makes the image of an empty file system, or, for `raw`, one of zeros. */
export async function makeImage(path: string, storage: 'ext4' | 'xfs' | 'raw', sectorBytes: number): Promise<void> {
  const bytes = { ext4: 48, xfs: 300, raw: 32 }[storage] * MEBIBYTE;
  const file = await open(path, 'wx');
  const piece = Buffer.alloc(MEBIBYTE, storage === 'raw' ? 0 : FOREIGN);
  for (let at = 0; at < bytes; at += piece.length) await file.write(piece, 0, piece.length, at);
  await file.close();
  if (storage === 'ext4') {
    const options = 'nodiscard,lazy_itable_init=0,lazy_journal_init=0';
    await command('mkfs.ext4', '-q', '-F', '-b', '4096', '-E', options, path);
  } else if (storage === 'xfs') {
    await command('mkfs.xfs', '-q', '-f', '-K', '-s', `size=${sectorBytes}`, path);
  }
  if (statSync(path).size !== bytes) throw new Error(`${path} has not the size it was made with`);
}
