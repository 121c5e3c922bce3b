import { constants } from 'node:os';
import { missingMemory } from '../raw/arena.ts';
import { binding, findBinding, type Unsupported } from '../raw/binding.ts';

const { EINVAL, ENOSYS } = constants.errno;

/**
 * Whether asynchronous I/O works here, and if not, why: another platform, a processor of 32 bits, no native module for this one, no
 * WebAssembly, a kernel without it, or a security policy that denies it. It asks the kernel, leaves nothing behind and never throws.
 *
 * @returns `reason` is one of `'platform'`, `'architecture'`, `'native-module'`, `'webassembly'`, `'kernel'` and `'denied'`; `message` says
 * what to do about it.
 */
export function support(): { supported: true } | Unsupported {
  const found = findBinding();
  if ('supported' in found) return found;
  const missing = missingMemory();
  if (missing !== undefined) return missing;
  // A context for 0 requests is refused with EINVAL by every kernel that has the call: nothing is made.
  const answer = binding().io_setup(0);
  if (answer === -EINVAL) return { supported: true };
  if (answer === -ENOSYS) {
    const message = 'This kernel has no asynchronous I/O (CONFIG_AIO), or a seccomp profile hides io_setup: ENOSYS';
    return { supported: false, reason: 'kernel', message };
  }
  const message =
    `A security policy (seccomp, usually of a container) denies io_setup: error ${-Number(answer)}. Allow io_setup, io_submit, ` +
    'io_getevents, io_cancel and io_destroy';
  return { supported: false, reason: 'denied', message };
}
