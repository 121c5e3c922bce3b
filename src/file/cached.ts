import { constants, open as openCallback } from 'node:fs';
import { constants as os } from 'node:os';
import { promisify } from 'node:util';
import { Target } from '../engine/target.ts';
import { aioError, systemError } from '../errors.ts';
import { binding } from '../raw/binding.ts';

const open = promisify(openCallback);
const { O_APPEND, O_DSYNC, O_NOATIME, O_RDONLY, O_RDWR, O_SYNC, O_WRONLY } = constants;
const { EBADF } = os.errno;

/**
 * A second descriptor of a file that is open for direct I/O, which writes through the page cache: so a write can begin and end anywhere,
 * and the kernel keeps it from losing bytes that others write beside it. /proc opens what the descriptor refers to, whatever its path
 * means by now (proc(5), /proc/pid/fd).
 */
export async function openCached(direct: Target): Promise<Target> {
  const { path, append, size, storage, submit } = direct;
  const flags = binding().statusFlags(direct.fd);
  if (flags < 0) throw systemError(flags, 'fcntl', { path });
  // What this descriptor may not do, a second one must not do for it.
  if ((flags & (O_WRONLY | O_RDWR)) === O_RDONLY) throw systemError(-EBADF, 'write', { path });
  const kept = flags & (O_APPEND | O_DSYNC | O_NOATIME | O_SYNC);
  let fd: number;
  try {
    fd = await open(`/proc/self/fd/${direct.fd}`, O_WRONLY | kept);
  } catch (error) {
    throw misaligned(direct, error);
  }
  return new Target({ fd, path, direct: false, append, size, storage, submit, memoryAlign: 1, lengthAlign: 1 });
}

function misaligned({ path, lengthAlign }: Target, error: unknown): Error {
  return aioError(
    'ERR_AIO_MISALIGNED',
    `Direct writes to ${path === undefined ? 'this file' : `'${path}'`} begin and end at multiples of ${lengthAlign} bytes. Others go through ` +
      `the page cache, by a second descriptor, which could not be opened: ${(error as Error).message}. Round positions and lengths ` +
      '(file.alignment says to what), or open with { direct: false }',
    error,
  );
}
