import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { compile, libraryFlags } from './compile.ts';
import { mountSkip, temporaryFolder, unmount } from './mounts.ts';
import { undoing } from './undo.ts';

/** What the file system does to requests for files whose name matches. The first rule that matches a request counts. */
export interface FuseRule {
  /** Pattern of the file's name, as fnmatch(3) has it; every file by default. */
  file?: string;
  operation: 'open' | 'read' | 'write' | 'fsync';
  /** Milliseconds to wait before the request is done or fails. */
  delayMs?: number;
  /** Error number to fail with. */
  errno?: number;
  /** Transfer at most so many bytes of a read or write. */
  maxBytes?: number;
  /** Of an open: the file bypasses the page cache whatever flags it is opened with. */
  directIo?: boolean;
}

export interface Fuse {
  /** Where it is mounted. */
  dir: string;
  /** The folder that holds its files: what is read and written here meets no rule. */
  backing: string;
  /** Process that answers its requests. */
  pid: number;
  /** Puts rules into force, instead of those before, for the requests that arrive from now on. */
  setRules(rules: readonly FuseRule[]): void;
}

/** Why no FUSE file system can be mounted on this machine, or false where one can. */
export function fuseSkip(): string | false {
  const library = libraryFlags('fuse3');
  if ('missing' in library) return library.missing;
  return mountSkip() || (existsSync('/dev/fuse') ? false : 'there is no /dev/fuse');
}

/** Mounts a file system that does what its rules say, calls `use`, and unmounts it, also where requests are stuck in it. */
export function withFuse<T>(use: (fuse: Fuse) => Promise<T>): Promise<T> {
  return undoing(async (later) => {
    const folder = temporaryFolder(later);
    const [dir, backing, rules] = [`${folder}/mounted`, `${folder}/backing`, `${folder}/rules`];
    mkdirSync(dir);
    mkdirSync(backing);
    const setRules = (list: readonly FuseRule[]) => {
      writeFileSync(`${rules}.new`, list.map(line).join(''));
      // The file system sees a whole rule file or the one before.
      renameSync(`${rules}.new`, rules);
    };
    setRules([]);
    const library = libraryFlags('fuse3');
    if ('missing' in library) throw new Error(library.missing);
    const daemon = spawn(compile('fuse_faults', library.flags), [backing, rules, dir], { stdio: 'inherit' });
    // Its death first: requests that are stuck then fail, and the unmounting waits for none.
    later(() => unmount(dir));
    later(() => daemon.kill('SIGKILL'));
    await mounted(dir, folder);
    return await use({ dir, backing, pid: daemon.pid!, setRules });
  });
}

async function mounted(dir: string, parent: string): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (statSync(dir).dev !== statSync(parent).dev) return;
    await sleep(10);
  }
  throw new Error('The FUSE file system was not mounted within 5 s');
}

function line({ file = '*', operation, delayMs = 0, errno = 0, maxBytes = 0, directIo = false }: FuseRule): string {
  return `${file} ${operation} ${delayMs} ${errno} ${maxBytes} ${Number(directIo)}\n`;
}
