// A hundred threads make contexts, put 16 direct reads in flight, close the file and destroy the context: half of them
// wait for the events first, half do not. Ends by itself after so many seconds, or hangs.
#include <pthread.h>

#include "aio.h"

enum { THREADS = 100, READS = 16, BYTES = 4096 };

static const char* path;
static uint64_t deadline;
static long rounds, failures;

static int round_of(int waits, char* buffers) {
  aio_context_t ctx = 0;
  if (io_setup(READS, &ctx) < 0) return -1;
  const int fd = open(path, O_RDONLY | O_DIRECT);
  if (fd < 0) return -1;
  struct iocb iocbs[READS], *pointers[READS];
  struct io_event events[READS];
  for (int i = 0; i < READS; i++) {
    iocbs[i] = transfer(IOCB_CMD_PREAD, fd, buffers + i * BYTES, BYTES, i * BYTES);
    pointers[i] = &iocbs[i];
  }
  const long submitted = io_submit(ctx, READS, pointers);
  close(fd);
  const long reaped = waits ? io_getevents(ctx, submitted, READS, events, NULL) : submitted;
  const long destroyed = io_destroy(ctx);
  return submitted == READS && reaped == READS && destroyed == 0 ? 0 : -1;
}

static void* run(void* index) {
  char* buffers = pages(READS * BYTES);
  do {
    if (round_of((intptr_t)index % 2, buffers) < 0) __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
  } while (nanoseconds() < deadline);
  free(buffers);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  path = argv[1];
  deadline = nanoseconds() + (uint64_t)atoi(argv[2]) * 1000000000u;
  pthread_t threads[THREADS];
  long started = 0;
  for (intptr_t i = 0; i < THREADS; i++) started += pthread_create(&threads[i], NULL, run, (void*)i) == 0;
  for (long i = 0; i < started; i++) pthread_join(threads[i], NULL);
  fact("threads", started);
  fact("rounds", rounds);
  fact("failures", failures);
  return 0;
}
