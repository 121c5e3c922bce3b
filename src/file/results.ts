import type { RequestOptions } from '../engine/engine.ts';
import type { Shape } from '../engine/request.ts';

// What reads and writes take by name, and what they give.

/** What a read gives. */
export interface ReadResult<T extends NodeJS.ArrayBufferView> {
  /** Bytes that were read: 0 at the end of the file. */
  bytesRead: number;
  /** The buffer that was given. */
  buffer: T;
}

/** What a write gives. */
export interface WriteResult<T> {
  /** Bytes that were written: fewer than asked for where the kernel took no more, as with write(2). */
  bytesWritten: number;
  /** What was given. */
  buffer: T;
}

/** What a read into several buffers gives. */
export interface ReadVResult<T extends readonly NodeJS.ArrayBufferView[]> {
  /** Bytes that were read into all of them together: 0 at the end of the file. */
  bytesRead: number;
  /** The buffers that were given. */
  buffers: T;
}

/** What a write from several buffers gives. */
export interface WriteVResult<T extends readonly NodeJS.ArrayBufferView[]> {
  /** Bytes that were written from all of them together. */
  bytesWritten: number;
  /** The buffers that were given. */
  buffers: T;
}

/** The arguments of a read by name, and what the request asks for. */
export interface ReadOptions<T extends NodeJS.ArrayBufferView = NodeJS.ArrayBufferView> extends RequestOptions {
  /** Where the data goes; by default a new buffer of 16384 bytes. */
  buffer?: T;
  /** First byte of the buffer to use; default 0. */
  offset?: number;
  /** Bytes; default all from `offset` on. */
  length?: number;
  /** First byte of the file; by default the file's own position, which then moves on. */
  position?: number | bigint | null;
}

/** The arguments of a write by name, and what the request asks for. */
export interface WriteOptions extends RequestOptions {
  /** First byte of the buffer to write; default 0. */
  offset?: number;
  /** Bytes; default all from `offset` on. */
  length?: number;
  /** First byte of the file; by default the file's own position, which then moves on. */
  position?: number | null;
}

/** First byte of the file; null, undefined or -1 for the file's own position. */
export type Position = number | bigint | null | undefined;
/** Hears of a read's error, or of how many bytes it brought and where. */
export type ReadCallback<T> = (error: Error | null, bytesRead: number, buffer: T) => void;
/** Hears of a write's error, or of how many bytes it took and from where. */
export type WriteCallback<T> = (error: Error | null, bytesWritten: number, buffer: T) => void;

export const countShape: Shape = (bytes) => bytes;
export const readShape: Shape = (bytesRead, buffer) => ({ bytesRead, buffer });
export const writeShape: Shape = (bytesWritten, buffer) => ({ bytesWritten, buffer });
export const readVShape: Shape = (bytesRead, buffers) => ({ bytesRead, buffers });
export const writeVShape: Shape = (bytesWritten, buffers) => ({ bytesWritten, buffers });
export const voidShape: Shape = () => undefined;
