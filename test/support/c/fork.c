// A context after fork(2): what the child gets of every call, and that the parent's goes on.
#include <sys/mman.h>
#include <sys/wait.h>

#include "aio.h"

enum { BYTES = 1 << 20 };

static void child(aio_context_t ctx, struct iocb* iocb) {
  struct io_event event;
  struct timespec now = {0};
  // Linux 7.3 does not copy the ring for a child; msync(2) says whether memory is there.
  const int mapped = msync((void*)ctx, 4096, MS_ASYNC) == 0;
  fact("child_magic", mapped ? ((struct aio_ring*)ctx)->magic : 0);
  fact("child_io_submit", submit_one(ctx, iocb));
  fact("child_io_getevents", io_getevents(ctx, 0, 1, &event, &now));
  fact("child_io_cancel", io_cancel(ctx, iocb, &event));
  fact("child_io_destroy", io_destroy(ctx));
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const aio_context_t ctx = setup(4);
  const int fd = (int)must("open", open(argv[1], O_RDONLY | O_DIRECT));
  char* buffer = pages(BYTES);
  struct iocb large = transfer(IOCB_CMD_PREAD, fd, buffer, BYTES, 0);
  must("io_submit", submit_one(ctx, &large));
  const pid_t pid = (pid_t)must("fork", fork());
  if (pid == 0) {
    child(ctx, &large);
    _exit(0);
  }
  int status = 0;
  must("waitpid", waitpid(pid, &status, 0));
  if (status != 0) return 1;
  struct io_event event;
  fact("parent_in_flight", io_getevents(ctx, 1, 1, &event, NULL) == 1 ? (long)event.res : 0);
  struct iocb small = transfer(IOCB_CMD_PREAD, fd, buffer, 4096, 0);
  fact("parent_after", attempt(ctx, &small));
  fact("parent_io_destroy", io_destroy(ctx));
  return 0;
}
