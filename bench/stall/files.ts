import { execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { fileBytes, type Row } from './rows.ts';

const FALLOCATE = 'length=$1; shift; for file; do fallocate --length "$length" "$file"; done';

/** Brings the files of a row into the state that it begins with; what is only written over stays. Returns their paths. */
export function prepare(row: Row, folder: string): string[] {
  const bytes = fileBytes(row);
  const paths = Array.from({ length: row.files }, (_, i) => `${folder}/${i}`);
  if (row.before === 'written') {
    for (const path of paths) if (statSync(path, { throwIfNoEntry: false })?.size !== bytes) writeWhole(path, bytes);
    // dd with nothing to copy still gives the file's pages back, so that buffered reads are cold.
    const cold = ['oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'];
    if (!row.direct) for (const path of paths) execFileSync('dd', [`of=${path}`, ...cold]);
    return paths;
  }
  for (const path of paths) rmSync(path, { force: true });
  // What is left of the files that were here, their blocks to discard among it, should not be done during the run.
  syncFolder(folder);
  if (row.before === 'reserved') {
    execFileSync('sh', ['-c', FALLOCATE, 'sh', String(bytes), ...paths]);
    syncFolder(folder);
  }
  return paths;
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

function writeWhole(path: string, bytes: number): void {
  rmSync(path, { force: true });
  const fd = openSync(path, 'w');
  const chunk = Buffer.alloc(Math.min(bytes, 2 ** 20), 1);
  for (let at = 0; at < bytes; at += chunk.length) writeSync(fd, chunk, 0, chunk.length, at);
  fsyncSync(fd);
  closeSync(fd);
}
