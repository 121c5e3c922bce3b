import { abi } from './abi';
import { ctype } from './ctype';
import { alignFor, place } from './placement';

/** The structures by the kernel's names, and below each one's fields. TypeScript reads all these names from the exports. */
export enum structure {
  iocb,
  io_event,
  aio_ring,
  iovec,
  timespec,
  timespec64,
  aio_sigset,
  aio_context_t,
  iocbp,
}

export enum iocb {
  aio_data,
  aio_key,
  aio_rw_flags,
  aio_lio_opcode,
  aio_reqprio,
  aio_fildes,
  aio_buf,
  aio_nbytes,
  aio_offset,
  aio_reserved2,
  aio_flags,
  aio_resfd,
}

export enum io_event {
  data,
  obj,
  res,
  res2,
}

export enum aio_ring {
  id,
  nr,
  head,
  tail,
  magic,
  compat_features,
  incompat_features,
  header_length,
}

export enum iovec {
  iov_base,
  iov_len,
}

export enum timespec {
  tv_sec,
  tv_nsec,
}

export enum timespec64 {
  tv_sec,
  tv_nsec,
}

export enum aio_sigset {
  sigmask,
  sigsetsize,
}

export enum aio_context_t {
  aio_context_t,
}

export enum iocbp {
  iocbp,
}

/** `struct iocb` of <linux/aio_abi.h>; assembly/iocb.ts draws it. The packer's class is held against this one by the build. */
function placeIocb(): void {
  place(iocb.aio_data, ctype.__u64);
  // The header's __BIG_ENDIAN branch: the two are one 64-bit word with the flags in its upper half on every host.
  if (abi.bigEndian) {
    place(iocb.aio_rw_flags, ctype.__kernel_rwf_t);
    place(iocb.aio_key, ctype.__u32);
  } else {
    place(iocb.aio_key, ctype.__u32);
    place(iocb.aio_rw_flags, ctype.__kernel_rwf_t);
  }
  place(iocb.aio_lio_opcode, ctype.__u16);
  place(iocb.aio_reqprio, ctype.__s16);
  place(iocb.aio_fildes, ctype.__u32);
  place(iocb.aio_buf, ctype.__u64);
  place(iocb.aio_nbytes, ctype.__u64);
  place(iocb.aio_offset, ctype.__s64);
  place(iocb.aio_reserved2, ctype.__u64);
  place(iocb.aio_flags, ctype.__u32);
  place(iocb.aio_resfd, ctype.__u32);
}

/** `struct io_event` of <linux/aio_abi.h>. */
function placeIoEvent(): void {
  place(io_event.data, ctype.__u64);
  place(io_event.obj, ctype.__u64);
  place(io_event.res, ctype.__s64);
  place(io_event.res2, ctype.__s64);
}

/**
 * The header of the completion ring, `struct aio_ring` of fs/aio.c; no header for user space has it. Its last member is an array
 * without bounds, the events.
 */
function placeAioRing(): void {
  place(aio_ring.id, ctype.unsigned_int);
  place(aio_ring.nr, ctype.unsigned_int);
  place(aio_ring.head, ctype.unsigned_int);
  place(aio_ring.tail, ctype.unsigned_int);
  place(aio_ring.magic, ctype.unsigned_int);
  place(aio_ring.compat_features, ctype.unsigned_int);
  place(aio_ring.incompat_features, ctype.unsigned_int);
  place(aio_ring.header_length, ctype.unsigned_int);
  alignFor(ctype.__u64);
}

/** `struct iovec` of <linux/uio.h>. */
function placeIovec(): void {
  place(iovec.iov_base, ctype.pointer);
  place(iovec.iov_len, ctype.__kernel_size_t);
}

/** What io_getevents and io_pgetevents take: `struct __kernel_old_timespec` of <linux/time_types.h>. */
function placeTimespec(): void {
  place(timespec.tv_sec, ctype.__kernel_long_t);
  place(timespec.tv_nsec, ctype.long);
}

/** What io_pgetevents_time64 takes: `struct __kernel_timespec` of <linux/time_types.h>. */
function placeTimespec64(): void {
  place(timespec64.tv_sec, ctype.long_long);
  place(timespec64.tv_nsec, ctype.long_long);
}

/**
 * The last argument of io_pgetevents, `struct __aio_sigset` of fs/aio.c, as the kernel reads it: x32 has no call of its own for
 * this, so it takes the 64-bit structure and not what a compiler for x32 makes of the declaration.
 */
function placeAioSigset(): void {
  place(aio_sigset.sigmask, ctype.__kernel_ulong_t);
  place(aio_sigset.sigsetsize, ctype.__kernel_ulong_t);
}

/** Places the fields of a structure as a C compiler for the selected ABI does. False where the number names none. */
export function placeFields(which: structure): bool {
  switch (which) {
    case structure.iocb:
      placeIocb();
      return true;
    case structure.io_event:
      placeIoEvent();
      return true;
    case structure.aio_ring:
      placeAioRing();
      return true;
    case structure.iovec:
      placeIovec();
      return true;
    case structure.timespec:
      placeTimespec();
      return true;
    case structure.timespec64:
      placeTimespec64();
      return true;
    case structure.aio_sigset:
      placeAioSigset();
      return true;
    case structure.aio_context_t:
      place(aio_context_t.aio_context_t, ctype.__kernel_ulong_t);
      return true;
    case structure.iocbp:
      place(iocbp.iocbp, ctype.pointer);
      return true;
    default:
      return false;
  }
}
