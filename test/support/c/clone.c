// A process that shares its parent's memory (clone(2), CLONE_VM) but nothing else, submits into the parent's context.
#include <sched.h>
#include <sys/wait.h>

#include "aio.h"

enum { REQUESTS = 4, BYTES = 4096, STACK_BYTES = 64 * 1024 };

static aio_context_t ctx;
static struct iocb iocbs[REQUESTS];
static long submitted;

static int child(void* unused) {
  (void)unused;
  struct iocb* pointers[REQUESTS];
  for (int i = 0; i < REQUESTS; i++) pointers[i] = &iocbs[i];
  submitted = io_submit(ctx, REQUESTS, pointers);
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  ctx = setup(REQUESTS);
  const int fd = (int)must("open", open(argv[1], O_RDONLY | O_DIRECT));
  char *buffer = pages(REQUESTS * BYTES), *stack = pages(STACK_BYTES);
  for (int i = 0; i < REQUESTS; i++) iocbs[i] = transfer(IOCB_CMD_PREAD, fd, buffer + i * BYTES, BYTES, i * BYTES);
  const pid_t pid = (pid_t)must("clone", clone(child, stack + STACK_BYTES, CLONE_VM | SIGCHLD, NULL));
  must("waitpid", waitpid(pid, NULL, 0));
  struct io_event events[REQUESTS];
  const long count = io_getevents(ctx, REQUESTS, REQUESTS, events, NULL);
  long full = 0;
  for (long i = 0; i < count; i++) full += events[i].res == BYTES;
  fact("child_submitted", submitted);
  fact("parent_events", count);
  fact("parent_full", full);
  return 0;
}
