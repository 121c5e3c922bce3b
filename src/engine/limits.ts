import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { type SystemError, systemError } from '../errors.ts';
import type { KernelFailure } from '../raw/binding.ts';

const { EAGAIN, EMFILE, ENOMEM, ENOSPC, ENOSYS, EPERM } = constants.errno;

/** What a context could not be made for, with what to do about it. */
export function setupError({ syscall, errno }: KernelFailure, depth: number): SystemError {
  return systemError(errno, syscall, { remedy: remedy(-errno, depth) });
}

function remedy(error: number, depth: number): string | undefined {
  switch (error) {
    case EAGAIN:
      return quotaRemedy(depth);
    case ENOSYS:
      return (
        'This kernel has no asynchronous I/O (CONFIG_AIO), or a seccomp profile hides it: allow io_setup, io_submit, ' +
        'io_getevents, io_cancel and io_destroy'
      );
    case EPERM:
      return (
        'A seccomp profile or another security policy denies it: allow io_setup, io_submit, io_getevents, io_cancel and ' +
        'io_destroy for this process'
      );
    case ENOMEM:
      return `There is no memory for the completion ring of ${depth} requests: lower "depth", or raise the memory limit`;
    case EMFILE:
      return 'The process has no descriptor left for the eventfd: raise "ulimit -n" or close files';
    case ENOSPC:
      return 'The user watches as many descriptors as fs.epoll.max_user_watches allows: raise it';
    default:
      return undefined;
  }
}

/** io_setup(2): EAGAIN when the requests of all contexts of the machine would exceed fs.aio-max-nr. */
function quotaRemedy(depth: number): string {
  const used = readNumber('/proc/sys/fs/aio-nr');
  const most = readNumber('/proc/sys/fs/aio-max-nr');
  const wanted = Math.max(1048576, (Number(most) || 0) * 2);
  return (
    `The context asked for ${depth} requests; of the ${most} that fs.aio-max-nr allows on this machine fs.aio-nr counts ${used} ` +
    `in use. Close contexts, lower "depth", or raise the limit: sysctl -w fs.aio-max-nr=${wanted}`
  );
}

function readNumber(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Not every container shows /proc/sys.
    return 'an unknown number';
  }
}
