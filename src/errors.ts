import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** An error of kaio's own, of Node's argument checks, or of the kernel: all carry a `code`. */
export interface CodedError extends Error {
  code: string;
}

/** What a failing system call rejects with: the shape of Node's own system errors. */
export interface SystemError extends CodedError {
  /** The negated error number of <errno.h>. */
  errno: number;
  /** The operation, such as `read` or `io_setup`. */
  syscall: string;
  /** The file's path, as it was given; missing where there is none or the descriptor was attached. */
  path?: string;
  /** Where in the file the request began, in bytes. */
  offset?: number;
  /** How many bytes it asked for. */
  length?: number;
}

/** The codes of kaio's own errors; `docs/errors.md` has each with its causes and remedies. */
export type AioErrorCode =
  | 'ERR_AIO_UNSUPPORTED'
  | 'ERR_AIO_CONTEXT_CLOSED'
  | 'ERR_AIO_NO_MEMORY'
  | 'ERR_AIO_MISALIGNED'
  | 'ERR_AIO_DIRECT_UNSUPPORTED'
  | 'ERR_AIO_BUFFER_DISPOSED'
  | 'ERR_AIO_BUFFER_BUSY'
  | 'ERR_AIO_CORRUPTED'
  | 'ERR_AIO_WOULD_BLOCK'
  | 'ERR_AIO_COPY_DIFFERS';

/** Makes an error of kaio's own. The message says what was wrong, what is allowed, and what to do. */
export function aioError(code: AioErrorCode, message: string, cause?: unknown): CodedError {
  const error = new Error(message, cause === undefined ? undefined : { cause });
  return Object.assign(error, { code, name: 'AioError' });
}

/** Makes the TypeError that Node's own functions throw for an argument of the wrong type. */
export function invalidArgType(name: string, expected: string, actual: unknown): CodedError {
  const got = actual === null || actual === undefined ? String(actual) : `${typeof actual} (${preview(actual)})`;
  return Object.assign(new TypeError(`The "${name}" argument must be ${expected}. Received ${got}`), {
    code: 'ERR_INVALID_ARG_TYPE',
  });
}

/** Makes the TypeError that Node's own functions throw for a value that cannot be used. */
export function invalidArgValue(name: string, reason: string, actual: unknown): CodedError {
  return Object.assign(new TypeError(`The argument '${name}' ${reason}. Received ${preview(actual)}`), {
    code: 'ERR_INVALID_ARG_VALUE',
  });
}

/** Makes the RangeError that Node's own functions throw for a number outside its range. */
export function outOfRange(name: string, range: string, actual: unknown): CodedError {
  return Object.assign(
    new RangeError(`The value of "${name}" is out of range. It must be ${range}. Received ${preview(actual)}`),
    { code: 'ERR_OUT_OF_RANGE' },
  );
}

/** Makes the RangeError of Node's `readFile` for a file that no Buffer of it holds. */
export function fileTooLarge(bytes: number): CodedError {
  return Object.assign(new RangeError(`File size (${bytes}) is greater than 2 GiB: read it in parts`), {
    code: 'ERR_FS_FILE_TOO_LARGE',
  });
}

/** Makes the Error of Node's streams for what comes too late. */
export function streamDestroyed(name: string): CodedError {
  return Object.assign(new Error(`Cannot call ${name} after a stream was destroyed`), { code: 'ERR_STREAM_DESTROYED' });
}

function preview(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 60)}...` : value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object' && value !== null) return `an instance of ${value.constructor?.name ?? 'Object'}`;
  return String(value);
}

export interface SystemErrorDetails {
  path?: string | undefined;
  offset?: number | undefined;
  length?: number | undefined;
  /** A sentence that says what to do. */
  remedy?: string | undefined;
}

let known: ReturnType<typeof getSystemErrorMap> | undefined;

/** Makes a system error as Node's: `EIO: i/o error, read '/data/a' (4096 bytes at 8192)`. `errno` is negated, as the kernel gives it. */
export function systemError(errno: number, syscall: string, details: SystemErrorDetails = {}): SystemError {
  const { path, offset, length, remedy } = details;
  // Node makes the whole map anew for everyone who asks.
  known ??= getSystemErrorMap();
  const [code, text] = known.get(errno) ?? [unmapped(errno), 'unknown error'];
  const where = length === undefined ? '' : ` (${length} bytes at ${offset})`;
  const message = `${code}: ${text}, ${syscall}${path === undefined ? '' : ` '${path}'`}${where}`;
  const error = new Error(remedy === undefined ? message : `${message}. ${remedy}`);
  const extra = Object.fromEntries(Object.entries({ path, offset, length }).filter(([, value]) => value !== undefined));
  return Object.assign(error, { errno, code, syscall, ...extra });
}

/** The name of an errno that libuv does not map, such as EINPROGRESS of io_cancel. */
function unmapped(errno: number): string {
  const named = Object.entries(constants.errno).find(([, value]) => value === -errno);
  return named?.[0] ?? `E${-errno}`;
}

/** Waits for all of them; where some fail, it then throws what the first of those failed with. */
export async function everyOne(promises: Iterable<Promise<unknown>>): Promise<void> {
  const results = await Promise.allSettled(promises);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/**
 * Settles as `promise` does, but lets a system error's stack name the line that awaits: an error that comes from a callback of libuv has
 * none of its own.
 */
export async function naming<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) Error.captureStackTrace(error, naming);
    throw error;
  }
}
