// The kernel's calls, one statement each. They go through libc's syscall(2), so that a preloaded library can stand
// between.
#pragma once

#include <linux/aio_abi.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "generated/asserts.h"

static_assert(sizeof(void*) == 8, "kaio packs 64-bit pointers");

namespace kaio {

inline long io_setup(unsigned nr, aio_context_t* ctxp) { return syscall(SYS_io_setup, nr, ctxp); }

inline long io_destroy(aio_context_t ctx) { return syscall(SYS_io_destroy, ctx); }

inline long io_submit(aio_context_t ctx, long nr, void* iocbpp) { return syscall(SYS_io_submit, ctx, nr, iocbpp); }

inline long io_cancel(aio_context_t ctx, void* iocb, void* result) { return syscall(SYS_io_cancel, ctx, iocb, result); }

inline long io_getevents(aio_context_t ctx, long min, long nr, void* events, const void* timeout) {
  return syscall(SYS_io_getevents, ctx, min, nr, events, timeout);
}

inline long io_pgetevents(aio_context_t ctx, long min, long nr, void* events, const void* timeout, const void* usig) {
  return syscall(SYS_io_pgetevents, ctx, min, nr, events, timeout, usig);
}

}  // namespace kaio
