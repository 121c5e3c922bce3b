import { closeSync, constants, openSync, read, write } from 'node:fs';
import { AioContext, type AioFile, type AioStats } from 'kaio';
import { Arena } from 'kaio/raw';
import { naive } from './naive.ts';
import type { Row } from './rows.ts';

/** One request: bytes of the memory from `at` on, and of a file from `position` on. */
export interface Step {
  readonly file: number;
  readonly at: number;
  readonly position: number;
}

/** Somebody who can make all requests of a row in one turn. */
export interface StallEngine {
  readonly memory: Uint8Array;
  /** Makes the requests; resolves when all have succeeded in full. */
  run(steps: readonly Step[]): Promise<void>;
  stats?(): AioStats;
  close(): Promise<void>;
}

export type Make = (row: Row, paths: readonly string[], memoryBytes: number) => Promise<StallEngine>;

const WRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT;

export function openAll({ op, direct }: Row, paths: readonly string[]): number[] {
  const flags = op === 'read' ? constants.O_RDONLY : WRITE_FLAGS;
  return paths.map((path) => openSync(path, flags | (direct ? constants.O_DIRECT : 0), 0o644));
}

export function checkLength(row: Row, moved: number): void {
  if (moved !== row.bytes) throw new Error(`${row.name}: a ${row.op} gave ${moved} instead of ${row.bytes}`);
}

const kaio: Make = async (row, paths, memoryBytes) => {
  const context = new AioContext({ memory: memoryBytes + 32 * 1024 * 1024 });
  const flags = row.op === 'read' ? constants.O_RDONLY : WRITE_FLAGS;
  const files: AioFile[] = [];
  for (const path of paths) files.push(await context.open(path, flags, { direct: row.direct }));
  const memory = context.allocate(memoryBytes);
  const { bytes } = row;
  const one = async ({ file, at, position }: Step): Promise<void> => {
    const handle = files[file]!;
    if (row.op === 'read') checkLength(row, (await handle.read(memory, at, bytes, position)).bytesRead);
    else checkLength(row, (await handle.write(memory, at, bytes, position)).bytesWritten);
  };
  return {
    memory,
    async run(steps) {
      await Promise.all(steps.map(one));
    },
    stats: () => context.stats(),
    close: () => context.close(),
  };
};

const fs: Make = async (row, paths, memoryBytes) => {
  const fds = openAll(row, paths);
  const memory = new Arena(memoryBytes).allocate(memoryBytes);
  const { bytes } = row;
  const one = ({ file, at, position }: Step): Promise<void> =>
    new Promise((resolve, reject) => {
      const done = (error: Error | null, moved: number): void => {
        if (error !== null) {
          reject(error);
          return;
        }
        checkLength(row, moved);
        resolve();
      };
      if (row.op === 'read') read(fds[file]!, memory, at, bytes, position, done);
      else write(fds[file]!, memory, at, bytes, position, done);
    });
  return {
    memory,
    async run(steps) {
      await Promise.all(steps.map(one));
    },
    async close() {
      for (const fd of fds) closeSync(fd);
    },
  };
};

export const ENGINES: Readonly<Record<string, Make>> = { naive, fs, kaio };
