/**
 * `kaio/raw`: the system calls of Linux asynchronous I/O, one to one.
 *
 * Addresses, contexts and timeouts in memory are absolute and given as bigints. Whatever the kernel was given an address of (iocbs,
 * buffers, iovecs, events) must stay alive and unmoved until the request's event has been read: here that is the caller's duty
 * alone. {@link Arena} has memory that stays where it is. A call that fails throws a {@link SystemError} with `code`, `errno`
 * (negative, as in Node) and `syscall`; an argument of the wrong type is a TypeError, and where there is no native module every call throws
 * `ERR_AIO_UNSUPPORTED`.
 *
 * @example
 * ```ts
 * import { openSync } from 'node:fs';
 * import { decodeIoEvent, encodeIocb, IOCB_CMD_PREAD } from 'kaio/layout';
 * import { Arena, io_destroy, io_getevents, io_setup, io_submit } from 'kaio/raw';
 *
 * const arena = new Arena(65536);
 * const data = arena.allocate(4096);
 * const control = arena.allocate(4096); // A pointer to the iocb, the iocb at 64, and room for an event at 128.
 * const at = arena.addressOf(control);
 * new BigUint64Array(control.buffer, control.byteOffset, 1)[0] = at + 64n;
 * const aio_buf = arena.addressOf(data);
 * const aio_fildes = openSync('data.bin', 'r');
 * control.set(encodeIocb({ aio_lio_opcode: IOCB_CMD_PREAD, aio_fildes, aio_buf, aio_nbytes: 4096 }), 64);
 * const ctx = io_setup(1);
 * io_submit(ctx, 1, at);
 * io_getevents(ctx, 1, 1, at + 128n);
 * console.log(decodeIoEvent(control.subarray(128, 160)).res); // The bytes that were read, or a negated errno.
 * io_destroy(ctx);
 * ```
 *
 * @module kaio/raw
 */
import { types } from 'node:util';
import { invalidArgType, outOfRange, type SystemError, systemError } from '../errors.ts';
import { binding, type RingHeader } from './binding.ts';

export { Arena, type ArenaOptions } from './arena.ts';
export type { RingHeader, SystemError };

/** `struct timespec`: how long to wait, relative. */
export interface Timespec {
  /** Seconds. */
  tv_sec: number;
  /** Nanoseconds, 0 to 999999999. */
  tv_nsec: number;
}

function checked(result: number, syscall: string): number {
  if (result < 0) throw systemError(result, syscall);
  return result;
}

/**
 * Creates a context for at least `nr` requests in flight, which count against `fs.aio-max-nr` (io_setup(2)).
 *
 * @param nr How many requests; the kernel refuses 0 and what does not fit its limits.
 * @param ctxp Address of an `aio_context_t` that the kernel reads (it must be 0) and writes. By default one of kaio's own.
 * @returns The context: the address of its completion ring. It is yours to destroy; what a worker leaves, its end destroys.
 * @throws {SystemError} EINVAL, EAGAIN (the limit is reached), ENOMEM, EFAULT, ENOSYS.
 */
export function io_setup(nr: number, ctxp?: bigint): bigint {
  const result = ctxp === undefined ? binding().io_setup(nr) : binding().io_setup(nr, ctxp);
  if (typeof result === 'number') throw systemError(result, 'io_setup');
  return result;
}

/**
 * Ends a context: waits for all that is in flight and unmaps the ring (io_destroy(2)). It holds the thread for about 30 ms, or for as
 * long as the slowest request.
 *
 * @throws {SystemError} EINVAL where this is not a living context.
 */
export function io_destroy(ctx: bigint): void {
  checked(binding().io_destroy(ctx), 'io_destroy');
}

/**
 * Submits requests (io_submit(2)). It may hold the thread for as long as the device or the file system likes.
 *
 * @param nr How many pointers there are; 0 is allowed and does nothing.
 * @param iocbpp Address of `nr` pointers to iocbs. The kernel has copied array and iocbs when this returns; the data's memory, and the
 * iovecs' buffers, are in use until the event.
 * @returns How many the kernel took, from the first on: fewer than `nr` where one is bad or there is no room.
 * @throws {SystemError} What is wrong with the first request (EINVAL, EBADF, EFAULT, EOPNOTSUPP), or EAGAIN where there is no room.
 */
export function io_submit(ctx: bigint, nr: number, iocbpp: bigint): number {
  return checked(binding().io_submit(ctx, nr, iocbpp), 'io_submit');
}

/**
 * Reads events (io_getevents(2)), waiting for the first `min` of them: the thread stands still meanwhile. Of several threads that wait, one
 * that waits for more than are there leaves them to the others; before Linux 6.8 it may take them and wait on (fs/aio.c, aio_complete).
 *
 * @param events Address of room for `nr` events of 32 bytes.
 * @param timeout How long to wait at most; for ever by default. Also the address of a `struct timespec`.
 * @returns How many events were read.
 * @throws {SystemError} EINVAL, EFAULT, EINTR.
 */
export function io_getevents(
  ctx: bigint,
  min: number,
  nr: number,
  events: bigint,
  timeout?: Timespec | bigint,
): number {
  const held = hold(timeout);
  return checked(binding().io_getevents(ctx, min, nr, events, held.address), 'io_getevents');
}

/**
 * As {@link io_getevents}, with another signal mask while it waits (io_pgetevents(2), Linux 4.18).
 *
 * @param usig Address of a `struct __aio_sigset { const sigset_t *sigmask; size_t sigsetsize; }`; none by default.
 * @throws {SystemError} EINVAL (also a sigset of the wrong size), EFAULT, EINTR, ENOSYS.
 */
export function io_pgetevents(
  ctx: bigint,
  min: number,
  nr: number,
  events: bigint,
  timeout?: Timespec | bigint,
  usig = 0n,
): number {
  const held = hold(timeout);
  return checked(binding().io_pgetevents(ctx, min, nr, events, held.address, usig), 'io_pgetevents');
}

/**
 * Tries to cancel a request (io_cancel(2)). Only polls can be: their event then comes as any other.
 *
 * @param iocb Address of the iocb that was submitted.
 * @param result Address of room for one event, which the kernel does not use any more.
 * @throws {SystemError} EINPROGRESS where the request is being cancelled: its event will come. EINVAL where it cannot be. EFAULT.
 */
export function io_cancel(ctx: bigint, iocb: bigint, result: bigint): void {
  checked(binding().io_cancel(ctx, iocb, result), 'io_cancel');
}

/**
 * Makes an eventfd (eventfd(2)) to put into `aio_resfd`. It is yours: close it with `fs.close`.
 *
 * @param initval The count it starts with, 0 to 4294967295.
 * @param flags 0, or of <sys/eventfd.h>: 1 EFD_SEMAPHORE, 2048 EFD_NONBLOCK, 524288 EFD_CLOEXEC.
 * @throws {SystemError} EINVAL, EMFILE, ENFILE.
 */
export function eventfd(initval: number, flags: number): number {
  return checked(binding().eventfd(initval, flags), 'eventfd');
}

/**
 * The header of a context's completion ring, as it is now.
 *
 * @throws `ERR_INVALID_ARG_TYPE` unless `ctx` came from {@link io_setup} in this process and is not destroyed: no other address is
 * followed.
 */
export function readRing(ctx: bigint): RingHeader {
  const header = binding().readRing(ctx);
  if (header === undefined) throw invalidArgType('ctx', 'a context of io_setup that is not destroyed', ctx);
  return header;
}

/**
 * Absolute address of the first byte of a view. It is good for as long as the view's memory is neither collected, detached, resized
 * nor transferred; the memory of an {@link Arena} never moves.
 *
 * @throws TypeError for anything else than an ArrayBuffer or a view.
 */
export function addressOf(view: ArrayBufferLike | ArrayBufferView): bigint {
  // Node-API knows no SharedArrayBuffer, but views of one.
  return binding().addressOf(types.isSharedArrayBuffer(view) ? new Uint8Array(view) : view);
}

/** Keeps a timeout's bytes where the kernel can read them during one call. */
function hold(timeout: Timespec | bigint | undefined): { address: bigint; bytes?: BigInt64Array } {
  if (timeout === undefined) return { address: 0n };
  if (typeof timeout === 'bigint') return { address: timeout };
  if (timeout === null) throw invalidArgType('timeout', 'of type bigint or an object', timeout);
  const { tv_sec, tv_nsec } = timeout;
  if (!Number.isSafeInteger(tv_sec)) throw outOfRange('timeout.tv_sec', 'a whole number of seconds', tv_sec);
  if (!Number.isSafeInteger(tv_nsec)) throw outOfRange('timeout.tv_nsec', 'a whole number of nanoseconds', tv_nsec);
  // struct timespec of a 64-bit host: two words in its own byte order, which is that of this array.
  const bytes = BigInt64Array.of(BigInt(tv_sec), BigInt(tv_nsec));
  return { address: binding().addressOf(bytes), bytes };
}
