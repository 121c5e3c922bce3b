// Direct reads while another thread switches O_DIRECT of the descriptor on and off (fcntl(2), F_SETFL).
#include <pthread.h>

#include "aio.h"

enum { READS = 2000, BATCH = 8, BYTES = 4096, BLOCKS = 256 };

static int fd, done;
static long toggles;

static void* toggle(void* unused) {
  for (int on = 0; !__atomic_load_n(&done, __ATOMIC_ACQUIRE); on = !on) {
    must("fcntl", fcntl(fd, F_SETFL, on ? O_DIRECT : 0));
    toggles++;
  }
  return unused;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const aio_context_t ctx = setup(BATCH);
  fd = (int)must("open", open(argv[1], O_RDONLY | O_DIRECT));
  char* buffers = pages(BATCH * BYTES);
  pthread_t toggler;
  must("pthread_create", -pthread_create(&toggler, NULL, toggle, NULL));
  struct iocb iocbs[BATCH], *pointers[BATCH];
  struct io_event events[BATCH];
  long reads = 0, full = 0;
  while (reads < READS) {
    for (int i = 0; i < BATCH; i++) {
      iocbs[i] = transfer(IOCB_CMD_PREAD, fd, buffers + i * BYTES, BYTES, (reads + i) % BLOCKS * BYTES);
      pointers[i] = &iocbs[i];
    }
    const long submitted = io_submit(ctx, BATCH, pointers);
    if (submitted != BATCH) break;
    const long count = io_getevents(ctx, BATCH, BATCH, events, NULL);
    for (long i = 0; i < count; i++) full += events[i].res == BYTES;
    reads += count;
  }
  __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
  pthread_join(toggler, NULL);
  fact("reads", reads);
  fact("full", full);
  fact("toggled", toggles > 10);
  return 0;
}
