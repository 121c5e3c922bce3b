// Eight threads make contexts and destroy them with requests in flight, while a hundred others make some that they
// keep for seconds: the numbers of the former soon belong to the latter. Says how many ends took as long as those.
#include <pthread.h>

#include "aio.h"

enum { CHURNERS = 8, KEEPERS = 100, READS = 8, KEEP_S = 4, LATE_S = 2 };

static int fd;
static uint64_t deadline;
static long rounds, late;

static aio_context_t busy_context(void) {
  static char buffer[16];
  aio_context_t ctx = setup(READS);
  struct iocb iocbs[READS], *pointers[READS];
  for (int i = 0; i < READS; i++) {
    iocbs[i] = transfer(IOCB_CMD_PREAD, fd, buffer, sizeof(buffer), 0);
    pointers[i] = &iocbs[i];
  }
  must("io_submit", io_submit(ctx, READS, pointers));
  return ctx;
}

static void* churn(void* unused) {
  // A slow machine needs more than the second for as many as say something, but has no longer than there are keepers.
  const uint64_t end = deadline + (KEEP_S - 2) * 1000000000ull;
  while (nanoseconds() < deadline || (nanoseconds() < end && __atomic_load_n(&rounds, __ATOMIC_RELAXED) <= CHURNERS)) {
    const aio_context_t ctx = busy_context();
    usleep(100);
    const uint64_t begun = nanoseconds();
    io_destroy(ctx);
    if (nanoseconds() - begun > LATE_S * 1000000000ull) __atomic_add_fetch(&late, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
  }
  return unused;
}

static void* keep(void* unused) {
  const aio_context_t ctx = busy_context();
  sleep(KEEP_S);
  io_destroy(ctx);
  return unused;
}

int main(void) {
  fd = (int)must("open", open("/dev/zero", O_RDONLY));
  deadline = nanoseconds() + 1000000000ull;
  pthread_t threads[CHURNERS + KEEPERS];
  for (int i = 0; i < CHURNERS + KEEPERS; i++) {
    must("pthread_create", -pthread_create(&threads[i], NULL, i < CHURNERS ? churn : keep, NULL));
    if (i >= CHURNERS) usleep(5000);
  }
  for (int i = 0; i < CHURNERS + KEEPERS; i++) pthread_join(threads[i], NULL);
  fact("some_rounds", rounds > CHURNERS);
  fact("late", late);
  return 0;
}
