import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface Options {
  /** Where the temporary folder with the files is made. */
  dir: string;
  files: number;
  /** Bytes of each file. */
  size: number;
  json: boolean;
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {}

export const usage = `Usage: npm start -- [options]

Writes many files at once for direct I/O, with kaio and with Node's fs, while an HTTP server in the
same process keeps answering. Then reads everything back, compares and cleans up.

  --dir FOLDER   where to make the files; its file system must do direct I/O (default: ${tmpdir()})
  --files N      how many files (default: 100)
  --size BYTES   bytes of each file, a multiple of 4096; 64KiB and 1MiB work too (default: 1MiB)
  --json         print the results as JSON
  --help         print this
`;

const UNIT_BYTES = { '': 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** Direct I/O moves whole blocks, and no block device has larger ones. */
const BLOCK_BYTES = 4096;
/** The data pool is one WebAssembly memory, and a third of it stays free for what runs on the machine besides. */
const MAX_TOTAL_BYTES = 2 * 1024 ** 3;

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`${name} takes a whole number from 1, not '${text}'`);
  }
  return value;
}

function byteCount(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+) ?(KiB|MiB|GiB|)$/.exec(text) ?? [];
  const bytes = wholeNumber('--size', digits === '' ? text : digits) * UNIT_BYTES[unit as keyof typeof UNIT_BYTES];
  if (bytes % BLOCK_BYTES !== 0) {
    throw new UsageError(
      `--size takes a multiple of ${BLOCK_BYTES} bytes, which ${text} is not: direct I/O moves whole blocks`,
    );
  }
  return bytes;
}

/** Reads the command line; 'help' where that was asked for. Throws a {@link UsageError}. */
export function readOptions(args: string[]): Options | 'help' {
  let values: { dir: string; files: string; size: string; json: boolean; help: boolean };
  try {
    ({ values } = parseArgs({
      args,
      options: {
        dir: { type: 'string', default: tmpdir() },
        files: { type: 'string', default: '100' },
        size: { type: 'string', default: '1MiB' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return 'help';
  const files = wholeNumber('--files', values.files);
  const size = byteCount(values.size);
  if (files * size > MAX_TOTAL_BYTES) {
    throw new UsageError(
      `${files} files of ${size} bytes are more than the ${MAX_TOTAL_BYTES} bytes that this program keeps in memory`,
    );
  }
  return { dir: values.dir, files, size, json: values.json };
}
