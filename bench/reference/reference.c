// What a C programmer would write over the same system calls: the yardstick for kaio.
//
// One context a thread, `depth` reads in flight. Events come back through the completion ring in memory, woken by an
// eventfd in an epoll set (--mode eventfd), or through plain io_getevents (--mode getevents). What has completed is
// submitted anew in slices of at most --batch iocbs. With --rounds, as kaio does it, the ring is looked at once more
// after each slice, at most so many times before the loop waits again.
//
// It reads commands from standard input, "run MILLISECONDS", and answers each with a line of JSON.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, SAMPLE_EVERY = 32, MAX_SAMPLES = 8192, MAX_THREADS = 16 };

struct ring {
  unsigned id, nr, head, tail, magic, compat, incompat, header_length;
  struct io_event events[];
};

static struct {
  const char *path, *mode, *pattern;
  long bytes, depth, batch, rounds, threads, blocks, seed, huge, nowait;
} option = {.mode = "eventfd", .pattern = "random", .bytes = BLOCK, .depth = 32, .batch = 32, .threads = 1, .seed = 1};

struct loop {
  pthread_t thread;
  aio_context_t context;
  int file, event, epoll;
  char* memory;
  struct iocb *iocbs, **pending;
  struct io_event* events;
  uint64_t* started;
  long pending_count, in_flight, requests;
  uint64_t deadline, next;
  uint32_t random;
  uint64_t samples[MAX_SAMPLES];
  long sample_count;
};

static void fail(const char* what) {
  fprintf(stderr, "reference: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// xorshift32, as in offsets.ts: the same blocks in the same order.
static uint32_t next_random(struct loop* loop) {
  uint32_t x = loop->random;
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return loop->random = x;
}

static uint64_t next_block(struct loop* loop) {
  if (strcmp(option.pattern, "random") == 0) return next_random(loop) % (uint64_t)option.blocks;
  const uint64_t block = loop->next;
  loop->next = block + 1 == (uint64_t)option.blocks ? 0 : block + 1;
  return block;
}

static void prepare(struct loop* loop, long slot) {
  struct iocb* iocb = &loop->iocbs[slot];
  memset(iocb, 0, sizeof(*iocb));
  iocb->aio_data = (uint64_t)slot;
  iocb->aio_lio_opcode = IOCB_CMD_PREAD;
  iocb->aio_fildes = (uint32_t)loop->file;
  iocb->aio_buf = (uint64_t)(loop->memory + slot * option.bytes);
  iocb->aio_nbytes = (uint64_t)option.bytes;
  iocb->aio_offset = (int64_t)(next_block(loop) * (uint64_t)option.bytes);
  if (option.nowait) iocb->aio_rw_flags = 8;  // RWF_NOWAIT
  if (loop->event >= 0) {
    iocb->aio_flags = IOCB_FLAG_RESFD;
    iocb->aio_resfd = (uint32_t)loop->event;
  }
  loop->requests++;
  loop->started[slot] = loop->requests % SAMPLE_EVERY == 0 ? now() : 0;
  loop->pending[loop->pending_count++] = iocb;
}

// Each 4096 bytes of the target repeat their own number as 64-bit words.
static void check(struct loop* loop, const struct io_event* event) {
  const struct iocb* iocb = &loop->iocbs[event->data];
  const uint64_t first = (uint64_t)iocb->aio_offset / BLOCK;
  const uint64_t* data = (const uint64_t*)iocb->aio_buf;
  const long words = option.bytes / 8;
  if (event->res != option.bytes) {
    fprintf(stderr, "reference: a read gave %lld\n", (long long)event->res);
    exit(1);
  }
  if (data[0] == first && data[words - 1] == first + (uint64_t)option.bytes / BLOCK - 1) return;
  fprintf(stderr, "reference: wrong bytes at %lld\n", (long long)iocb->aio_offset);
  exit(1);
}

static void complete(struct loop* loop, const struct io_event* events, long count) {
  if (count == 0) return;
  const uint64_t time = now();
  const int more = time < loop->deadline;
  for (long i = 0; i < count; i++) {
    const long slot = (long)events[i].data;
    check(loop, &events[i]);
    if (loop->started[slot] && loop->sample_count < MAX_SAMPLES) {
      loop->samples[loop->sample_count++] = time - loop->started[slot];
    }
    if (more) prepare(loop, slot);
  }
  loop->in_flight -= count;
}

static long reap(struct loop* loop) {
  struct ring* ring = (struct ring*)loop->context;
  const unsigned nr = ring->nr;
  unsigned head = ring->head;
  const unsigned tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
  long count = 0;
  while (head != tail && count < option.depth) {
    loop->events[count++] = ring->events[head];
    head = head + 1 == nr ? 0 : head + 1;
  }
  if (count) __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
  return count;
}

// Submits what is pending, slice after slice; with the ring, what completes meanwhile joins the end of the queue.
static void submit(struct loop* loop) {
  long rounds = 0, first = 0;
  while (first < loop->pending_count) {
    const long left = loop->pending_count - first;
    const long slice = left < option.batch ? left : option.batch;
    const long taken = syscall(SYS_io_submit, loop->context, slice, loop->pending + first);
    if (taken <= 0) fail("io_submit");
    loop->in_flight += taken;
    first += taken;
    if (loop->event < 0 || rounds == option.rounds) continue;
    const long count = reap(loop);
    if (count == 0) continue;
    rounds++;
    memmove(loop->pending, loop->pending + first, (size_t)(loop->pending_count - first) * sizeof(*loop->pending));
    loop->pending_count -= first;
    first = 0;
    complete(loop, loop->events, count);
  }
  loop->pending_count = 0;
}

static void wait_by_eventfd(struct loop* loop) {
  struct epoll_event ready;
  uint64_t value;
  if (epoll_wait(loop->epoll, &ready, 1, -1) < 0 && errno != EINTR) fail("epoll_wait");
  if (read(loop->event, &value, sizeof(value)) < 0 && errno != EAGAIN) fail("read of the eventfd");
  complete(loop, loop->events, reap(loop));
}

static void wait_by_getevents(struct loop* loop) {
  const long count = syscall(SYS_io_getevents, loop->context, 1L, option.depth, loop->events, NULL);
  if (count < 0) fail("io_getevents");
  complete(loop, loop->events, count);
}

static void* run(void* argument) {
  struct loop* loop = argument;
  for (long slot = 0; slot < option.depth; slot++) prepare(loop, slot);
  submit(loop);
  while (loop->in_flight > 0) {
    if (loop->event >= 0)
      wait_by_eventfd(loop);
    else
      wait_by_getevents(loop);
    submit(loop);
  }
  return NULL;
}

static void open_loop(struct loop* loop, long index) {
  loop->file = open(option.path, O_RDONLY | O_DIRECT);
  if (loop->file < 0) fail(option.path);
  if (syscall(SYS_io_setup, option.depth, &loop->context) < 0) fail("io_setup");
  loop->event = loop->epoll = -1;
  if (strcmp(option.mode, "eventfd") == 0) {
    loop->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event interest = {.events = EPOLLIN};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->event, &interest) < 0) fail("epoll_ctl");
  }
  const size_t bytes = ((size_t)(option.depth * option.bytes) + 0x3fffff) & ~(size_t)0x1fffff;
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap");
  madvise(memory, bytes, option.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  loop->memory = (char*)(((uintptr_t)memory + 0x1fffff) & ~(uintptr_t)0x1fffff);
  loop->iocbs = aligned_alloc(64, (size_t)option.depth * sizeof(struct iocb));
  loop->pending = calloc((size_t)option.depth * 2, sizeof(struct iocb*));
  loop->events = calloc((size_t)option.depth, sizeof(struct io_event));
  loop->started = calloc((size_t)option.depth, sizeof(uint64_t));
  loop->random = (uint32_t)(option.seed + index);
}

static long long microseconds(struct timeval t) { return t.tv_sec * 1000000LL + t.tv_usec; }

static void slice(struct loop* loops, long milliseconds) {
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  const uint64_t start = now();
  for (long i = 0; i < option.threads; i++) {
    loops[i].requests = loops[i].sample_count = 0;
    loops[i].deadline = start + (uint64_t)milliseconds * 1000000;
  }
  for (long i = 1; i < option.threads; i++) pthread_create(&loops[i].thread, NULL, run, &loops[i]);
  run(&loops[0]);
  for (long i = 1; i < option.threads; i++) pthread_join(loops[i].thread, NULL);
  const uint64_t took = now() - start;
  getrusage(RUSAGE_SELF, &after);
  long requests = 0;
  for (long i = 0; i < option.threads; i++) requests += loops[i].requests;
  printf("{\"requests\":%ld,\"wallMs\":%.4f,\"userUs\":%lld,\"systemUs\":%lld,\"samplesNs\":[", requests,
         (double)took / 1e6, microseconds(after.ru_utime) - microseconds(before.ru_utime),
         microseconds(after.ru_stime) - microseconds(before.ru_stime));
  const char* comma = "";
  for (long i = 0; i < option.threads; i++) {
    for (long j = 0; j < loops[i].sample_count; j++, comma = ",")
      printf("%s%llu", comma, (unsigned long long)loops[i].samples[j]);
  }
  printf("]}\n");
  fflush(stdout);
}

static long* number_of(const char* name) {
  if (strcmp(name, "--bytes") == 0) return &option.bytes;
  if (strcmp(name, "--depth") == 0) return &option.depth;
  if (strcmp(name, "--batch") == 0) return &option.batch;
  if (strcmp(name, "--rounds") == 0) return &option.rounds;
  if (strcmp(name, "--threads") == 0) return &option.threads;
  if (strcmp(name, "--blocks") == 0) return &option.blocks;
  if (strcmp(name, "--seed") == 0) return &option.seed;
  if (strcmp(name, "--huge") == 0) return &option.huge;
  if (strcmp(name, "--nowait") == 0) return &option.nowait;
  fprintf(stderr, "reference: what is %s?\n", name);
  exit(2);
}

int main(int argc, char** argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--path") == 0)
      option.path = argv[i + 1];
    else if (strcmp(argv[i], "--mode") == 0)
      option.mode = argv[i + 1];
    else if (strcmp(argv[i], "--pattern") == 0)
      option.pattern = argv[i + 1];
    else
      *number_of(argv[i]) = atol(argv[i + 1]);
  }
  if (!option.path || option.blocks < 1 || option.threads < 1 || option.threads > MAX_THREADS) {
    fprintf(stderr, "reference: --path and --blocks are needed\n");
    return 2;
  }
  static struct loop loops[MAX_THREADS];
  for (long i = 0; i < option.threads; i++) open_loop(&loops[i], i);
  puts("ready");
  fflush(stdout);
  long milliseconds;
  while (scanf(" run %ld", &milliseconds) == 1) slice(loops, milliseconds);
  return 0;
}
