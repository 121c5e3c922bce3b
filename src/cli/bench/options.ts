import { parseArgs } from 'node:util';
import { UsageError } from '../command.ts';

export const MODES = ['randread', 'randwrite', 'read', 'write', 'randrw'] as const;
export type Mode = (typeof MODES)[number];

export const ENGINES = ['kaio', 'kaio-callback', 'fs', 'fs-callback'] as const;
export type EngineName = (typeof ENGINES)[number];

export interface BenchOptions {
  readonly path: string;
  readonly mode: Mode;
  /** Bytes of a request, and of the part of the target that is used. */
  readonly blockBytes: number;
  readonly sizeBytes: number;
  /** Requests in flight of each worker. */
  readonly depth: number;
  readonly workers: number;
  /** For each engine. */
  readonly runtimeMs: number;
  readonly engines: readonly EngineName[];
  readonly json: boolean;
  readonly html: string | undefined;
  readonly overwrite: boolean;
}

/** What was typed; throws `UsageError` where that makes no sense. */
export function parseOptions(args: string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      rw: { type: 'string', default: 'randread' },
      bs: { type: 'string', default: '4k' },
      depth: { type: 'string', default: '32' },
      size: { type: 'string', default: '1g' },
      runtime: { type: 'string', default: '5' },
      workers: { type: 'string', default: '1' },
      engine: { type: 'string', default: 'kaio,fs' },
      json: { type: 'boolean', default: false },
      html: { type: 'string' },
      overwrite: { type: 'boolean', default: false },
    },
  });
  const [path] = positionals;
  if (path === undefined || positionals.length > 1) throw new UsageError('give one file, folder or device');
  const blockBytes = sizeOf('--bs', values.bs);
  const sizeBytes = sizeOf('--size', values.size);
  if (blockBytes % 512 !== 0) throw new UsageError('--bs must be a multiple of 512: direct I/O moves whole blocks');
  if (sizeBytes < blockBytes) throw new UsageError('--size must have room for one block (--bs)');
  return {
    path,
    mode: oneOf('--rw', values.rw, MODES),
    blockBytes,
    sizeBytes,
    depth: count('--depth', values.depth, 65535),
    workers: count('--workers', values.workers, 256),
    runtimeMs: Math.round(1000 * numberOf('--runtime', values.runtime)),
    engines: values.engine.split(',').map((name) => oneOf('--engine', name, ENGINES)),
    json: values.json,
    html: values.html,
    overwrite: values.overwrite,
  };
}

function oneOf<T extends string>(option: string, value: string, all: readonly T[]): T {
  const found = all.find((name) => name === value);
  if (found === undefined) throw new UsageError(`${option} must be one of ${all.join(', ')}; got '${value}'`);
  return found;
}

function numberOf(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new UsageError(`${option} must be a number above 0; got '${text}'`);
  }
  return value;
}

function count(option: string, text: string, most: number): number {
  const value = numberOf(option, text);
  if (!Number.isInteger(value) || value > most)
    throw new UsageError(`${option} must be a whole number from 1 to ${most}`);
  return value;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** A size as fio writes it: 4k, 1m, 2g. */
function sizeOf(option: string, text: string): number {
  const [, digits, unit = ''] = /^(\d+)([kmgt]?)i?b?$/i.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes) || bytes < 1)
    throw new UsageError(`${option} must be a size such as 4k, 1m or 2g; got '${text}'`);
  return bytes;
}
