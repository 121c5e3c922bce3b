// Polls of a pipe that race what another thread does with it. A wake-up that is missed leaves its poll pending for
// ever.
#include <poll.h>
#include <pthread.h>

#include "aio.h"

static int ends[2], file;
static long rounds;
static volatile long turn;

// Fills the pipe by write(2) and by splice(2) in turn, one page a round, when the round begins.
static void* fill(void* unused) {
  char* data = pages(4096);
  for (long round = 1; round <= rounds; round++) {
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) < round) continue;
    loff_t offset = 0;
    if (round % 2)
      must("write", write(ends[1], data, 4096));
    else
      must("splice", splice(file, &offset, ends[1], NULL, 4096, 0));
  }
  free(data);
  return unused;
}

// Empties the pipe by read(2) and by splice(2) in turn.
static void* drain(void* unused) {
  char* data = pages(4096);
  const int null = (int)must("open", open("/dev/null", O_WRONLY));
  for (long round = 1; round <= rounds; round++) {
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) < round) continue;
    if (round % 2)
      must("read", read(ends[0], data, 4096));
    else
      must("splice", splice(ends[0], NULL, null, NULL, 4096, 0));
  }
  free(data);
  return unused;
}

// How many rounds of polls ended: all, or those before the one that was missed.
static long woken(void* (*racer)(void*), int fd, int events, void (*reset)(void)) {
  const aio_context_t ctx = setup(1);
  pthread_t thread;
  turn = 0;
  must("pthread_create", -pthread_create(&thread, NULL, racer, NULL));
  for (long round = 1; round <= rounds; round++) {
    struct iocb poll = {.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = (uint32_t)fd, .aio_buf = (uint64_t)events};
    struct io_event event;
    struct timespec patience = {.tv_sec = 5};
    __atomic_store_n(&turn, round, __ATOMIC_RELEASE);
    must("io_submit", submit_one(ctx, &poll) == 1 ? 0 : -1);
    if (io_getevents(ctx, 1, 1, &event, &patience) != 1) return round - 1;
    reset();
  }
  pthread_join(thread, NULL);
  io_destroy(ctx);
  return rounds;
}

static char page[4096];

static void empty(void) { must("read", read(ends[0], page, sizeof(page))); }

static void refill(void) { must("write", write(ends[1], page, sizeof(page))); }

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  rounds = atol(argv[2]);
  file = (int)must("open", open(argv[1], O_RDONLY));
  must("pipe", pipe(ends));
  must("fcntl", fcntl(ends[1], F_SETPIPE_SZ, 4096));
  fact("readable", woken(fill, ends[0], POLLIN, empty));
  refill();
  fact("writable", woken(drain, ends[1], POLLOUT, refill));
  return 0;
}
