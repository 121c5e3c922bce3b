import { constants } from 'node:os';
import { aioError, type CodedError, systemError } from '../errors.ts';
import * as abi from '../layout/constants.ts';
import { isRead, isWrite } from './policy.ts';
import type { Request } from './request.ts';

const NAMES: Record<number, string> = {
  [abi.IOCB_CMD_PREAD]: 'read',
  [abi.IOCB_CMD_PREADV]: 'read',
  [abi.IOCB_CMD_PWRITE]: 'write',
  [abi.IOCB_CMD_PWRITEV]: 'write',
  [abi.IOCB_CMD_FSYNC]: 'fsync',
  [abi.IOCB_CMD_FDSYNC]: 'fdatasync',
  [abi.IOCB_CMD_POLL]: 'poll',
};

const { EBADF, EFAULT, ENOSPC, EOPNOTSUPP } = constants.errno;

/** What to do about an answer of the kernel's whose name does not say it. */
function remedyOf(request: Request, errno: number): string | undefined {
  switch (-errno) {
    case EBADF:
      if (isWrite(request.op)) return "The file is not open for writing: open it with 'r+' or 'w+'";
      return isRead(request.op) ? "The file is not open for reading: open it with 'r', 'r+' or 'w+'" : undefined;
    case EFAULT:
      return (
        'The memory of the buffer went away while the request was under way: keep its ArrayBuffer from being transferred or detached ' +
        'until the promise is settled'
      );
    case ENOSPC:
      return 'Free space there; file.preallocate() finds out beforehand whether there is enough';
    case EOPNOTSUPP:
      return request.nowait ? 'This kind of file does not know RWF_NOWAIT: leave "nowait" out' : undefined;
    default:
      return undefined;
  }
}

/** The system error of a request that failed with this negated errno. */
export function errorOf(request: Request, errno: number): Error {
  const transfer = isRead(request.op) || isWrite(request.op);
  return systemError(errno, NAMES[request.op] ?? 'io_submit', {
    path: request.target.path,
    offset: transfer ? request.position - request.done : undefined,
    length: transfer ? request.size : undefined,
    remedy: remedyOf(request, errno),
  });
}

/** What everything is refused with once the context closes. */
export function closedError(): CodedError {
  return aioError(
    'ERR_AIO_CONTEXT_CLOSED',
    'This AioContext is closed or closing. Use it before close(), or make a new one',
  );
}

/** What everything is rejected with where the kernel no longer says what has completed. */
export function deafError(errno: number): CodedError {
  return systemError(errno, 'io_getevents', {
    remedy:
      'This context cannot hear of its completions: it is dead, and its pending requests may or may not have happened. Allow io_getevents, ' +
      'if a security policy (seccomp, usually of a container) denies it',
  });
}
