// What a process can do to the completion ring in its own memory.
#include <sys/mman.h>

#include "aio.h"

enum { TOTAL = 10000, BATCH = 16, BYTES = 512 };

// Takes what is in the ring as the kernel would have: the acquire and the release order it against the kernel's stores.
static long reap(struct aio_ring* ring, struct io_event* events) {
  long count = 0;
  unsigned head = ring->head;
  const unsigned tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
  for (; head != tail; head = (head + 1) % ring->nr) events[count++] = ring->events[head];
  __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
  return count;
}

static int advance(const char* path) {
  const aio_context_t ctx = setup(BATCH);
  const int fd = (int)must("open", open(path, O_RDONLY | O_DIRECT));
  char* buffer = pages(4096);
  struct iocb iocb = transfer(IOCB_CMD_PREAD, fd, buffer, BYTES, 0), *pointers[BATCH];
  for (int i = 0; i < BATCH; i++) pointers[i] = &iocb;
  struct io_event events[4096];
  long submitted = 0, reaped = 0, full = 0, refused = 0;
  while (reaped < TOTAL && refused == 0) {
    if (submitted == reaped) {
      const long taken = io_submit(ctx, BATCH, pointers);
      if (taken == BATCH)
        submitted += taken;
      else
        refused++;
    }
    const long count = reap((struct aio_ring*)ctx, events);
    for (long i = 0; i < count; i++) full += events[i].res == BYTES;
    reaped += count;
  }
  fact("reaped", reaped);
  fact("full", full);
  fact("refused", refused);
  return 0;
}

static void try_all(aio_context_t ctx) {
  char byte;
  struct iocb iocb = transfer(IOCB_CMD_PREAD, 0, &byte, 1, 0);
  struct io_event event;
  struct timespec now = {0};
  fact("io_submit", submit_one(ctx, &iocb));
  fact("io_getevents", io_getevents(ctx, 0, 1, &event, &now));
  fact("io_destroy", io_destroy(ctx));
}

static int overwritten(void) {
  const aio_context_t ctx = setup(1);
  // Another context's id exists too, but belongs to another address.
  struct aio_ring *ring = (struct aio_ring*)ctx, *other = (struct aio_ring*)setup(1);
  const unsigned id = ring->id;
  ring->id = other->id;
  try_all(ctx);
  ring->id = id;
  fact("restored_io_destroy", io_destroy(ctx));
  return 0;
}

static int protected(void) {
  const aio_context_t ctx = setup(1);
  must("mprotect", mprotect((void*)ctx, 4096, PROT_NONE));
  try_all(ctx);
  return 0;
}

static int unmapped(void) {
  const aio_context_t ctx = setup(1);
  must("munmap", munmap((void*)ctx, 4096));
  try_all(ctx);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "advance") == 0) return advance(argv[2]);
  if (argc == 2 && strcmp(argv[1], "overwritten") == 0) return overwritten();
  if (argc == 2 && strcmp(argv[1], "protected") == 0) return protected();
  if (argc == 2 && strcmp(argv[1], "unmapped") == 0) return unmapped();
  return 2;
}
