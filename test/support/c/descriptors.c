// Kinds of descriptors that Node cannot make: memfd_create(2), timerfd_create(2) and pipe(2) (a FIFO has no
// RWF_NOWAIT).
#include <poll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "aio.h"

static int memfd(void) {
  const aio_context_t ctx = setup(1);
  const int fd = (int)must("memfd_create", memfd_create("kaio", MFD_CLOEXEC));
  char *out = pages(4096), *in = pages(4096);
  memset(out, 'm', 4096);
  struct iocb write = transfer(IOCB_CMD_PWRITE, fd, out, 4096, 0);
  struct iocb read = transfer(IOCB_CMD_PREAD, fd, in, 4096, 0);
  struct iocb past_end = transfer(IOCB_CMD_PREAD, fd, in, 4096, 4096);
  fact("write", attempt(ctx, &write));
  fact("read", attempt(ctx, &read));
  fact("same", memcmp(in, out, 4096) == 0);
  fact("past_end", attempt(ctx, &past_end));
  return 0;
}

static int timerfd(void) {
  const aio_context_t ctx = setup(1);
  const int fd = (int)must("timerfd_create", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
  const struct itimerspec in_10_ms = {.it_value = {.tv_nsec = 10000000}};
  struct iocb poll = {.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = (uint32_t)fd, .aio_buf = POLLIN};
  struct io_event event;
  struct timespec now = {0};
  fact("submitted", submit_one(ctx, &poll));
  fact("before", io_getevents(ctx, 1, 1, &event, &now));
  // Not earlier: on a slow machine the time could be over before the poll is submitted.
  must("timerfd_settime", timerfd_settime(fd, 0, &in_10_ms, NULL));
  fact("after", io_getevents(ctx, 1, 1, &event, NULL));
  fact("res", (long)event.res);
  return 0;
}

static int nowait_pipe(void) {
  const aio_context_t ctx = setup(1);
  int ends[2];
  must("pipe", pipe(ends));
  char buffer[64];
  struct iocb read = transfer(IOCB_CMD_PREAD, ends[0], buffer, sizeof(buffer), 0);
  read.aio_rw_flags = RWF_NOWAIT;
  fact("empty", attempt(ctx, &read));
  must("write", write(ends[1], "kaio", 4));
  fact("filled", attempt(ctx, &read));
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "memfd") == 0) return memfd();
  if (argc == 2 && strcmp(argv[1], "timerfd") == 0) return timerfd();
  if (argc == 2 && strcmp(argv[1], "pipe") == 0) return nowait_pipe();
  return 2;
}
