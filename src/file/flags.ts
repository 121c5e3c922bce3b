import { constants } from 'node:fs';
import { invalidArgType, invalidArgValue, outOfRange } from '../errors.ts';

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TRUNC, O_WRONLY } = constants;

/** The strings that `fs.open` takes, with their meaning in <fcntl.h>. */
const FLAGS: Record<string, number> = {
  r: O_RDONLY,
  rs: O_RDONLY | O_SYNC,
  'r+': O_RDWR,
  'rs+': O_RDWR | O_SYNC,
  w: O_TRUNC | O_CREAT | O_WRONLY,
  wx: O_TRUNC | O_CREAT | O_WRONLY | O_EXCL,
  'w+': O_TRUNC | O_CREAT | O_RDWR,
  'wx+': O_TRUNC | O_CREAT | O_RDWR | O_EXCL,
  a: O_APPEND | O_CREAT | O_WRONLY,
  ax: O_APPEND | O_CREAT | O_WRONLY | O_EXCL,
  as: O_APPEND | O_CREAT | O_WRONLY | O_SYNC,
  'a+': O_APPEND | O_CREAT | O_RDWR,
  'ax+': O_APPEND | O_CREAT | O_RDWR | O_EXCL,
  'as+': O_APPEND | O_CREAT | O_RDWR | O_SYNC,
};
/** The same letters in another order, as Node has them. */
const ALIASES: Record<string, string> = {
  sr: 'rs',
  'sr+': 'rs+',
  xw: 'wx',
  'xw+': 'wx+',
  xa: 'ax',
  'xa+': 'ax+',
  sa: 'as',
  'sa+': 'as+',
};

/** The number for open(2) of what a user gave as flags. Throws as Node does. */
export function flagsOf(flags: string | number | null | undefined): number {
  if (flags === undefined || flags === null) return O_RDONLY;
  if (typeof flags === 'number') {
    if (Number.isInteger(flags) && flags >= 0 && flags <= 0x7fffffff) return flags;
    throw outOfRange('flags', 'an integer >= 0 && <= 2147483647', flags);
  }
  const name = typeof flags === 'string' ? (ALIASES[flags] ?? flags) : '';
  const number = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
  if (number === undefined) {
    throw invalidArgValue(
      'flags',
      `must be one of ${[...Object.keys(FLAGS), ...Object.keys(ALIASES)].join(', ')}`,
      flags,
    );
  }
  return number;
}

/** The permission bits of a new file, as a number or in octal. Throws as Node does. */
export function modeOf(mode: unknown, fallback: number): number {
  if (mode === undefined || mode === null) return fallback;
  const number = typeof mode === 'string' && /^[0-7]+$/.test(mode) ? Number.parseInt(mode, 8) : mode;
  if (typeof number === 'string') {
    throw invalidArgValue('mode', 'must be a 32-bit unsigned integer or an octal string', mode);
  }
  if (typeof number !== 'number') throw invalidArgType('mode', 'of type number', mode);
  // Node takes them up to 2 ** 32 - 1, and -0, and then aborts the process (Node.js 20: fs.open and fs.fchmod, "args[1]->IsInt32()").
  if (Number.isInteger(number) && number >= 0 && number <= 0x7fffffff) return number | 0;
  throw outOfRange('mode', 'an integer >= 0 && <= 2147483647', mode);
}
