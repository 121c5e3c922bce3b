import type { BigIntStats } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';

/** What tells one state of a file from another. */
export interface Validators {
  readonly etag: string;
  /** The time of the last change in whole seconds, as HTTP has it, in milliseconds. */
  readonly modified: number;
}

export function validatorsOf({ ino, size, mtimeNs }: BigIntStats): Validators {
  return {
    etag: `"${ino.toString(36)}-${size.toString(36)}-${mtimeNs.toString(36)}"`,
    modified: Math.floor(Number(mtimeNs / 1_000_000_000n)) * 1000,
  };
}

/** Whether the client has this state already (RFC 9110, 13.1.2 and 13.1.3): then 304 is the answer. */
export function isKnown(headers: IncomingHttpHeaders, { etag, modified }: Validators): boolean {
  const tags = headers['if-none-match'];
  if (tags !== undefined) {
    return tags.trim() === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
  }
  return modified <= Date.parse(headers['if-modified-since'] ?? '');
}

/** Whether a part of this state fits what the client has of it (RFC 9110, 13.1.5). */
export function fitsRange(headers: IncomingHttpHeaders, { etag, modified }: Validators): boolean {
  const state = headers['if-range']?.toString();
  return state === undefined || state === etag || Date.parse(state) === modified;
}
