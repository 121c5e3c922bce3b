// A library to preload (LD_PRELOAD) that stands between a program and the kernel's asynchronous I/O, and makes the
// kernel's answers worse: in every way in which the real one may answer, but at every Nth call instead of once a month.
//
// The program gets a context of ours: a completion ring with the kernel's layout, which a thread of ours fills from the
// real context. So what a program reaps from the mapped ring can be changed, delayed and reordered as well as what
// io_getevents gives it. Each request goes to the kernel as a copy, without its eventfd, which is signalled once its
// event is in our ring.
//
//   AIO_SHIM_SETUP_ERRNO=E       io_setup fails with E
//   AIO_SHIM_SETUP_EVERY=N       at every Nth call (1)
//   AIO_SHIM_WATCH_ERRNO=E       the first epoll_ctl of a thread after io_setup fails with E
//   AIO_SHIM_FAIL_EVERY=N        every Nth io_submit takes nothing and fails
//   AIO_SHIM_FAIL_ERRNO=E        with E (EAGAIN)
//   AIO_SHIM_PARTIAL=K           an io_submit takes at most K requests; "random": from one to all
//   AIO_SHIM_REFUSE_EVERY=N      every Nth request is a bad one: those before it are taken, and it is refused
//   AIO_SHIM_REFUSE_ERRNO=E      with E (EINVAL)
//   AIO_SHIM_RES_EVERY=N         every Nth transfer moves no data, and its event has an error
//   AIO_SHIM_RES_ERRNO=E         which is E (EIO); "all": 1 to 133 in turn
//   AIO_SHIM_SHORT_EVERY=N       every Nth transfer is of half the length
//   AIO_SHIM_SHORT_UNIT=B        in whole B bytes (4096)
//   AIO_SHIM_DELAY_EVERY=N       every Nth io_submit sleeps
//   AIO_SHIM_DELAY_BEFORE_US=D   so long before the kernel has the requests
//   AIO_SHIM_DELAY_AFTER_US=D    and so long after
//   AIO_SHIM_COMPLETE_DELAY_US=D events reach the program so much later
//   AIO_SHIM_REORDER=1           events that are there together are shuffled
//   AIO_SHIM_RING=0              the ring says that it cannot be read, so that io_getevents is the only way
//   AIO_SHIM_EINTR_EVERY=N       every Nth io_getevents that finds nothing fails with EINTR, as a signal makes it
//   AIO_SHIM_SEED=S              of what is random
//   AIO_SHIM_REPORT=FILE         counts what was done, as in struct report
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// fs/aio.c; no exported header has it.
struct ring {
  unsigned id, nr, head, tail, magic, compat_features, incompat_features, header_length;
  struct io_event events[];
};

struct request {
  struct iocb iocb;  // what the kernel sees
  struct iocb* original;
  uint64_t data;
  int resfd;
  int error;  // for the event, in place of the kernel's answer
  struct request *next, *previous;
};

struct context {
  aio_context_t real;
  struct ring* ring;  // its address is the context that the program knows
  size_t ring_bytes;
  struct iocb* bad;  // refused at the next look, after the requests before it were taken
  struct request live;
  int stopping;
  pthread_t reaper;
  pthread_mutex_t lock;
  pthread_cond_t arrived;
  struct context* next;
};

struct report {
  uint64_t submits, failed, partial, refused, errors, shortened, delayed, reordered, interrupted, submitted, delivered;
};

static struct {
  long setup_errno, setup_every, watch_errno, fail_every, fail_errno, partial, refuse_every, refuse_errno, res_every;
  long res_errno, short_every, short_unit, delay_every, before_us, after_us, complete_us, reorder, ring, eintr_every;
} faults;

enum { RANDOM = -1, ALL = -1, LAST_ERRNO = 133, BATCH = 64 };

static long (*kernel)(long, ...);
static struct report unreported, *report = &unreported;
static struct context* contexts;
static pthread_mutex_t contexts_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t randomness;
static __thread int has_set_up;
static uint64_t setups_seen, requests_seen, errors_planned, transfers_seen, errors_made, getevents_seen;

static long option(const char* name, long otherwise) {
  const char* value = getenv(name);
  if (value == NULL || *value == '\0') return otherwise;
  return strcmp(value, "random") == 0 || strcmp(value, "all") == 0 ? -1 : strtol(value, NULL, 10);
}

__attribute__((constructor)) static void begin(void) {
  kernel = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  faults.setup_errno = option("AIO_SHIM_SETUP_ERRNO", 0);
  faults.setup_every = option("AIO_SHIM_SETUP_EVERY", 1);
  faults.watch_errno = option("AIO_SHIM_WATCH_ERRNO", 0);
  faults.fail_every = option("AIO_SHIM_FAIL_EVERY", 0);
  faults.fail_errno = option("AIO_SHIM_FAIL_ERRNO", EAGAIN);
  faults.partial = option("AIO_SHIM_PARTIAL", 0);
  faults.refuse_every = option("AIO_SHIM_REFUSE_EVERY", 0);
  faults.refuse_errno = option("AIO_SHIM_REFUSE_ERRNO", EINVAL);
  faults.res_every = option("AIO_SHIM_RES_EVERY", 0);
  faults.res_errno = option("AIO_SHIM_RES_ERRNO", EIO);
  faults.short_every = option("AIO_SHIM_SHORT_EVERY", 0);
  faults.short_unit = option("AIO_SHIM_SHORT_UNIT", 4096);
  faults.delay_every = option("AIO_SHIM_DELAY_EVERY", 0);
  faults.before_us = option("AIO_SHIM_DELAY_BEFORE_US", 0);
  faults.after_us = option("AIO_SHIM_DELAY_AFTER_US", 0);
  faults.complete_us = option("AIO_SHIM_COMPLETE_DELAY_US", 0);
  faults.reorder = option("AIO_SHIM_REORDER", 0);
  faults.ring = option("AIO_SHIM_RING", 1);
  faults.eintr_every = option("AIO_SHIM_EINTR_EVERY", 0);
  randomness = (uint64_t)option("AIO_SHIM_SEED", 1) * 0x9e3779b97f4a7c15 | 1;
  const char* path = getenv("AIO_SHIM_REPORT");
  const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0 || ftruncate(fd, sizeof(struct report)) != 0) return;
  // Shared with the file, so that it is right however the process ends.
  void* shared = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (shared != MAP_FAILED) report = shared;
}

static uint64_t count(uint64_t* counter) { return __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED); }

static int due(uint64_t* counter, long every) { return every > 0 && count(counter) % (uint64_t)every == 0; }

static uint64_t random_below(uint64_t bound) {
  uint64_t x = __atomic_load_n(&randomness, __ATOMIC_RELAXED);
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  __atomic_store_n(&randomness, x, __ATOMIC_RELAXED);
  return x % bound;
}

static long fail(int error) {
  errno = error;
  return -1;
}

static void pause_us(long us) {
  const struct timespec time = {us / 1000000, us % 1000000 * 1000};
  if (us > 0) nanosleep(&time, NULL);
}

// ---- Contexts
// -------------------------------------------------------------------------------------------------------------

static struct context* find(aio_context_t ctx, int remove) {
  pthread_mutex_lock(&contexts_lock);
  struct context** at = &contexts;
  while (*at != NULL && (aio_context_t)(*at)->ring != ctx) at = &(*at)->next;
  struct context* found = *at;
  if (found != NULL && remove) *at = found->next;
  pthread_mutex_unlock(&contexts_lock);
  return found;
}

static void* reap(void* data);

static struct ring* make_ring(const struct ring* real, size_t* bytes) {
  *bytes = sizeof(struct ring) + real->nr * sizeof(struct io_event);
  struct ring* ring = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (ring == MAP_FAILED) return NULL;
  memcpy(ring, real, sizeof(*ring));
  if (!faults.ring) ring->incompat_features = 1;
  return ring;
}

static long setup(long nr, aio_context_t* ctxp) {
  if (faults.setup_errno && due(&setups_seen, faults.setup_every)) return fail((int)faults.setup_errno);
  const long result = kernel(SYS_io_setup, nr, ctxp);
  has_set_up = faults.watch_errno > 0;
  if (result < 0) return result;
  struct context* context = calloc(1, sizeof(*context));
  context->real = *ctxp;
  context->ring = make_ring((const struct ring*)*ctxp, &context->ring_bytes);
  context->live.next = context->live.previous = &context->live;
  pthread_mutex_init(&context->lock, NULL);
  pthread_cond_init(&context->arrived, NULL);
  if (context->ring == NULL || pthread_create(&context->reaper, NULL, reap, context) != 0) {
    kernel(SYS_io_destroy, *ctxp);
    *ctxp = 0;
    return fail(ENOMEM);
  }
  pthread_mutex_lock(&contexts_lock);
  context->next = contexts;
  contexts = context;
  pthread_mutex_unlock(&contexts_lock);
  *ctxp = (aio_context_t)context->ring;
  return 0;
}

static long destroy(aio_context_t ctx) {
  struct context* context = find(ctx, 1);
  if (context == NULL) return kernel(SYS_io_destroy, ctx);
  // The reaper first: the number of a context is the address of its ring, which the next io_setup of any thread may get
  // again, and the reaper would then wait there, for ever, and take its events.
  __atomic_store_n(&context->stopping, 1, __ATOMIC_RELEASE);
  pthread_join(context->reaper, NULL);
  const long result = kernel(SYS_io_destroy, context->real);
  for (struct request* request = context->live.next; request != &context->live;) {
    struct request* next = request->next;
    free(request);
    request = next;
  }
  munmap(context->ring, context->ring_bytes);
  free(context);
  return result;
}

// ---- Submitting
// -----------------------------------------------------------------------------------------------------------

static int moves_data(const struct iocb* iocb) {
  return iocb->aio_lio_opcode <= IOCB_CMD_PWRITE || iocb->aio_lio_opcode == IOCB_CMD_PREADV ||
         iocb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

// For a vector aio_nbytes is the number of its pieces.
static void shorten(struct iocb* iocb) {
  const int vector = iocb->aio_lio_opcode >= IOCB_CMD_PREADV;
  const uint64_t unit = vector ? 1 : (uint64_t)faults.short_unit;
  const uint64_t half = iocb->aio_nbytes / 2 / unit * unit;
  if (half == 0) return;
  iocb->aio_nbytes = half;
  count(&report->shortened);
}

static struct request* prepare(struct context* context, struct iocb* original) {
  struct request* request = calloc(1, sizeof(*request));
  original->aio_key = 0;  // as the kernel does (KIOCB_KEY)
  request->iocb = *original;
  request->original = original;
  request->data = original->aio_data;
  request->resfd = original->aio_flags & IOCB_FLAG_RESFD ? (int)original->aio_resfd : -1;
  request->iocb.aio_data = (uint64_t)request;
  request->iocb.aio_flags &= ~(uint32_t)IOCB_FLAG_RESFD;
  request->iocb.aio_resfd = 0;
  if (moves_data(original)) {
    if (due(&errors_planned, faults.res_every)) {
      request->error =
          faults.res_errno == ALL ? (int)((count(&errors_made) - 1) % LAST_ERRNO + 1) : (int)faults.res_errno;
      // A transfer that fails has moved nothing: a model can know what is in the file.
      request->iocb.aio_nbytes = 0;
      count(&report->errors);
    } else if (due(&transfers_seen, faults.short_every)) {
      shorten(&request->iocb);
    }
  }
  pthread_mutex_lock(&context->lock);
  request->next = &context->live;
  request->previous = context->live.previous;
  request->next->previous = request->previous->next = request;
  pthread_mutex_unlock(&context->lock);
  return request;
}

static void forget(struct context* context, struct request* request) {
  pthread_mutex_lock(&context->lock);
  request->previous->next = request->next;
  request->next->previous = request->previous;
  pthread_mutex_unlock(&context->lock);
  free(request);
}

// How many of the requests come before the first bad one. As in the kernel, that one is refused only when it comes
// first.
static long before_bad(struct context* context, long nr, struct iocb** iocbs) {
  for (long i = 0; i < nr; i++) {
    const int known = iocbs[i] == context->bad;
    if (!known && !due(&requests_seen, faults.refuse_every)) continue;
    context->bad = i == 0 ? NULL : iocbs[i];
    return i;
  }
  return nr;
}

static long submit(struct context* context, long nr, struct iocb** iocbs) {
  if (nr <= 0 || iocbs == NULL) return kernel(SYS_io_submit, context->real, nr, iocbs);
  const uint64_t call = count(&report->submits);
  const int slow = faults.delay_every > 0 && call % (uint64_t)faults.delay_every == 0;
  if (slow) count(&report->delayed);
  if (slow) pause_us(faults.before_us);
  if (faults.fail_every > 0 && call % (uint64_t)faults.fail_every == 0) {
    count(&report->failed);
    return fail((int)faults.fail_errno);
  }
  long limit = faults.partial == RANDOM ? 1 + (long)random_below((uint64_t)nr) : faults.partial;
  if (limit <= 0 || limit > nr) limit = nr;
  if (limit < nr) count(&report->partial);
  limit = before_bad(context, limit, iocbs);
  if (limit == 0) {
    count(&report->refused);
    return fail((int)faults.refuse_errno);
  }
  struct request* requests[limit];
  for (long i = 0; i < limit; i++) requests[i] = prepare(context, iocbs[i]);
  // The copies begin with the iocb, so their addresses are the iocbs' addresses.
  const long taken = kernel(SYS_io_submit, context->real, limit, requests);
  const int error = errno;
  // What was taken may be over and freed already; the rest is ours still.
  for (long i = taken < 0 ? 0 : taken; i < limit; i++) forget(context, requests[i]);
  if (taken > 0) __atomic_add_fetch(&report->submitted, (uint64_t)taken, __ATOMIC_RELAXED);
  if (slow) pause_us(faults.after_us);
  errno = error;
  return taken;
}

static long cancel(struct context* context, struct iocb* iocb, void* result) {
  pthread_mutex_lock(&context->lock);
  struct request* request = context->live.next;
  while (request != &context->live && request->original != iocb) request = request->next;
  // Under the lock, so that the request is not freed meanwhile.
  const long answer = request == &context->live ? fail(EINVAL) : kernel(SYS_io_cancel, context->real, request, result);
  const int error = errno;
  pthread_mutex_unlock(&context->lock);
  errno = error;
  return answer;
}

// ---- Completing
// -----------------------------------------------------------------------------------------------------------

static void deliver(struct context* context, const struct io_event* event) {
  struct request* request = (struct request*)event->data;
  struct ring* ring = context->ring;
  const unsigned tail = ring->tail, next = tail + 1 == ring->nr ? 0 : tail + 1;
  while (next == __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE)) {
    if (__atomic_load_n(&context->stopping, __ATOMIC_ACQUIRE)) return;
    pause_us(50);
  }
  ring->events[tail] = *event;
  ring->events[tail].data = request->data;
  ring->events[tail].obj = (uint64_t)request->original;
  if (request->error) ring->events[tail].res = -request->error;
  const int resfd = request->resfd;
  // Before the event shows: its slot may then be submitted again, and io_cancel must not find two.
  forget(context, request);
  count(&report->delivered);
  pthread_mutex_lock(&context->lock);
  __atomic_store_n(&ring->tail, next, __ATOMIC_RELEASE);
  pthread_cond_broadcast(&context->arrived);
  pthread_mutex_unlock(&context->lock);
  const uint64_t one = 1;
  if (resfd >= 0 && write(resfd, &one, sizeof(one)) < 0) return;
}

static void shuffle(struct io_event* events, long nr) {
  for (long i = nr - 1; i > 0; i--) {
    const long other = (long)random_below((uint64_t)i + 1);
    if (other == i) continue;
    const struct io_event event = events[i];
    events[i] = events[other];
    events[other] = event;
    count(&report->reordered);
  }
}

static void* reap(void* data) {
  struct context* context = data;
  struct io_event events[BATCH];
  const struct timespec now = {0, 0};
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  while (!__atomic_load_n(&context->stopping, __ATOMIC_ACQUIRE)) {
    const struct timespec moment = {0, 10 * 1000 * 1000};
    long nr = kernel(SYS_io_getevents, context->real, 1, faults.reorder ? 1 : BATCH, events, &moment);
    if (nr < 0 && errno != EINTR) return NULL;
    if (nr <= 0) continue;
    // Time for others to arrive.
    pause_us(faults.complete_us ? faults.complete_us : faults.reorder ? 100 : 0);
    if (faults.reorder) {
      const long more = kernel(SYS_io_getevents, context->real, 0, BATCH - nr, events + nr, &now);
      if (more > 0) nr += more;
      shuffle(events, nr);
    }
    for (long i = 0; i < nr; i++) deliver(context, &events[i]);
  }
  return NULL;
}

static long take(struct ring* ring, long nr, struct io_event* events) {
  unsigned head = ring->head;
  long taken = 0;
  while (taken < nr && head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) {
    events[taken++] = ring->events[head];
    head = head + 1 == ring->nr ? 0 : head + 1;
  }
  __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
  return taken;
}

static long getevents(struct context* context, long min, long nr, struct io_event* events,
                      const struct timespec* wait) {
  if (min < 0 || nr < 0 || min > nr) return fail(EINVAL);
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  if (wait != NULL) {
    end.tv_sec += wait->tv_sec + (end.tv_nsec + wait->tv_nsec) / 1000000000;
    end.tv_nsec = (end.tv_nsec + wait->tv_nsec) % 1000000000;
  }
  pthread_mutex_lock(&context->lock);
  long taken = take(context->ring, nr, events);
  if (taken == 0 && due(&getevents_seen, faults.eintr_every)) {
    pthread_mutex_unlock(&context->lock);
    count(&report->interrupted);
    return fail(EINTR);
  }
  while (taken < min) {
    const int over = wait == NULL ? pthread_cond_wait(&context->arrived, &context->lock)
                                  : pthread_cond_timedwait(&context->arrived, &context->lock, &end);
    taken += take(context->ring, nr - taken, events + taken);
    if (over == ETIMEDOUT) break;
  }
  pthread_mutex_unlock(&context->lock);
  return taken;
}

// ---- The door
// -------------------------------------------------------------------------------------------------------------

static long intercept(struct context* context, long number, const long* a) {
  switch (number) {
    case SYS_io_submit:
      return submit(context, a[1], (struct iocb**)a[2]);
    case SYS_io_cancel:
      return cancel(context, (struct iocb*)a[1], (void*)a[2]);
    default:
      return getevents(context, a[1], a[2], (struct io_event*)a[3], (const struct timespec*)a[4]);
  }
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event* event) {
  if (kernel == NULL) begin();
  if (!has_set_up) return (int)kernel(SYS_epoll_ctl, epfd, op, fd, event);
  has_set_up = 0;
  errno = (int)faults.watch_errno;
  return -1;
}

long syscall(long number, ...) {
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (kernel == NULL) begin();
  if (number == SYS_io_setup) return setup(a[0], (aio_context_t*)a[1]);
  if (number == SYS_io_destroy) return destroy((aio_context_t)a[0]);
  const int ours =
      number == SYS_io_submit || number == SYS_io_cancel || number == SYS_io_getevents || number == SYS_io_pgetevents;
  struct context* context = ours ? find((aio_context_t)a[0], 0) : NULL;
  if (context != NULL) return intercept(context, number, a);
  return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
