import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { AioContext } from 'kaio';

/** One way to write files. */
export interface Engine {
  name: string;
  open(path: string): Promise<Target>;
}

/** What the main job needs of a file; `FileHandle` and `AioFile` both have it. */
export interface Target {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  write(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** The three that are compared. Each writes the same memory to files that are there and have their space. */
export function engines(context: AioContext): Engine[] {
  return [
    { name: 'kaio, direct', open: (path) => context.open(path, 'r+') },
    { name: 'fs, direct', open: (path) => open(path, constants.O_RDWR | constants.O_DIRECT) },
    { name: 'fs, buffered', open: (path) => open(path, 'r+') },
  ];
}
