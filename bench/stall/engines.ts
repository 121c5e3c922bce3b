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

/** Somebody who can make all requests of a row in one turn, as often as it is asked to: its memory and its context stay. */
export interface StallEngine {
  readonly memory: Uint8Array;
  open(paths: readonly string[]): Promise<void>;
  /** Makes the requests; resolves when all have succeeded in full. */
  run(steps: readonly Step[]): Promise<void>;
  /** Closes the files. */
  shut(): Promise<void>;
  stats?(): AioStats;
  close(): Promise<void>;
}

export type Make = (row: Row, memoryBytes: number) => StallEngine;

const WRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT;

export function openAll({ op, direct }: Row, paths: readonly string[]): number[] {
  const flags = op === 'read' ? constants.O_RDONLY : WRITE_FLAGS;
  return paths.map((path) => openSync(path, flags | (direct ? constants.O_DIRECT : 0), 0o644));
}

export function checkLength(row: Row, moved: number): void {
  if (moved !== row.bytes) throw new Error(`${row.name}: a ${row.op} gave ${moved} instead of ${row.bytes}`);
}

type Done = (error: Error | null, moved?: number) => void;

/** Makes the requests one after another and counts the answers, as a naive binding does: a promise for each would be measured as well. */
function all(row: Row, steps: readonly Step[], request: (step: Step, done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let open = steps.length;
    const done: Done = (error, moved) => {
      if (error !== null) {
        reject(error);
        return;
      }
      checkLength(row, moved!);
      if (--open === 0) resolve();
    };
    for (const step of steps) request(step, done);
  });
}

const kaio: Make = (row, memoryBytes) => {
  const context = new AioContext({ memory: memoryBytes + 32 * 1024 * 1024 });
  const flags = row.op === 'read' ? constants.O_RDONLY : WRITE_FLAGS;
  let files: AioFile[] = [];
  const memory = context.allocate(memoryBytes);
  const { op, bytes } = row;
  return {
    memory,
    async open(paths) {
      files = await Promise.all(paths.map((path) => context.open(path, flags, { direct: row.direct })));
    },
    run: (steps) =>
      all(row, steps, ({ file, at, position }, done) => {
        if (op === 'read') files[file]!.read(memory, at, bytes, position, done);
        else files[file]!.write(memory, at, bytes, position, done);
      }),
    async shut() {
      await Promise.all(files.map((file) => file.close()));
    },
    stats: () => context.stats(),
    close: () => context.close(),
  };
};

const fs: Make = (row, memoryBytes) => {
  let fds: number[] = [];
  const memory = new Arena(memoryBytes).allocate(memoryBytes);
  const { op, bytes } = row;
  return {
    memory,
    async open(paths) {
      fds = openAll(row, paths);
    },
    run: (steps) =>
      all(row, steps, ({ file, at, position }, done) => {
        if (op === 'read') read(fds[file]!, memory, at, bytes, position, done);
        else write(fds[file]!, memory, at, bytes, position, done);
      }),
    async shut() {
      for (const fd of fds) closeSync(fd);
    },
    async close() {},
  };
};

export const ENGINES: Readonly<Record<string, Make>> = { naive, fs, kaio };
