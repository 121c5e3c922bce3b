import { execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { fileBytes, type Row } from './rows.ts';

/** The files of a row in the state that it begins with; what is only read is written once and used again. */
export class Files {
  readonly #folder: string;
  readonly #written = new Map<string, number>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Returns their paths; another name is another set of them. */
  prepare(row: Row, name = ''): string[] {
    const paths = Array.from({ length: row.files }, (_, i) => `${this.#folder}/${name}${i}`);
    for (const path of paths) this.#prepare(path, row);
    return paths;
  }

  #prepare(path: string, row: Row): void {
    const bytes = fileBytes(row);
    if (row.before === 'written') {
      if (this.#written.get(path) !== bytes) writeWhole(path, bytes);
      this.#written.set(path, bytes);
      // dd with nothing to copy still gives the file's pages back, so that buffered reads are cold.
      execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']);
      return;
    }
    rmSync(path, { force: true });
    this.#written.delete(path);
    if (row.before === 'reserved') execFileSync('fallocate', ['--length', String(bytes), path]);
  }
}

function writeWhole(path: string, bytes: number): void {
  rmSync(path, { force: true });
  const fd = openSync(path, 'w');
  const chunk = Buffer.alloc(Math.min(bytes, 2 ** 20), 1);
  for (let at = 0; at < bytes; at += chunk.length) writeSync(fd, chunk, 0, chunk.length, at);
  fsyncSync(fd);
  closeSync(fd);
}
