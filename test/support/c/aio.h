// What the helpers share: the system calls, and facts printed one `name value` a line for the test that asked.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct aio_ring {
  unsigned id, nr, head, tail, magic, compat_features, incompat_features, header_length;
  struct io_event events[];
};

// Each answers with the result or a negated errno, as the kernel does.
static inline long negated(long result) { return result < 0 ? -errno : result; }

static inline long io_setup(unsigned nr, aio_context_t* ctxp) { return negated(syscall(SYS_io_setup, nr, ctxp)); }

static inline long io_destroy(aio_context_t ctx) { return negated(syscall(SYS_io_destroy, ctx)); }

static inline long io_submit(aio_context_t ctx, long nr, struct iocb** iocbpp) {
  return negated(syscall(SYS_io_submit, ctx, nr, iocbpp));
}

static inline long io_getevents(aio_context_t ctx, long min, long nr, struct io_event* events,
                                struct timespec* timeout) {
  return negated(syscall(SYS_io_getevents, ctx, min, nr, events, timeout));
}

static inline long io_cancel(aio_context_t ctx, struct iocb* iocb, struct io_event* result) {
  return negated(syscall(SYS_io_cancel, ctx, iocb, result));
}

// Says what was seen: a count, or the name of a negated errno. At once: a helper may be killed by the next thing it
// tries.
static inline void fact(const char* name, long result) {
  if (result < 0) {
    printf("%s %s\n", name, strerrorname_np((int)-result));
  } else {
    printf("%s %ld\n", name, result);
  }
  fflush(stdout);
}

// What the helper itself needs, as opposed to what it tries.
static inline long must(const char* what, long result) {
  if (result < 0) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
  }
  return result;
}

static inline aio_context_t setup(unsigned nr) {
  aio_context_t ctx = 0;
  errno = (int)-io_setup(nr, &ctx);
  must("io_setup", errno ? -1 : 0);
  return ctx;
}

static inline struct iocb transfer(int opcode, int fd, void* buf, size_t nbytes, off_t offset) {
  return (struct iocb){.aio_lio_opcode = (uint16_t)opcode,
                       .aio_fildes = (uint32_t)fd,
                       .aio_buf = (uintptr_t)buf,
                       .aio_nbytes = nbytes,
                       .aio_offset = offset};
}

static inline long submit_one(aio_context_t ctx, struct iocb* iocb) { return io_submit(ctx, 1, &iocb); }

// Submits one request and waits for it: what io_submit refused, or the event's result.
static inline long attempt(aio_context_t ctx, struct iocb* iocb) {
  const long submitted = submit_one(ctx, iocb);
  if (submitted != 1) return submitted;
  struct io_event event;
  const long count = io_getevents(ctx, 1, 1, &event, NULL);
  return count == 1 ? (long)event.res : count;
}

static inline uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void* pages(size_t bytes) {
  void* memory = NULL;
  errno = posix_memalign(&memory, 4096, bytes);
  must("posix_memalign", errno ? -1 : 0);
  memset(memory, 0, bytes);
  return memory;
}
