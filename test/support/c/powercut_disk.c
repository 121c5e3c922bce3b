// A FUSE file system with one file, `disk`: the image of a disk that has a volatile write cache and can lose its power.
//
//   powercut_disk IMAGE MOUNTPOINT UNIT_BYTES SEED [ignore-flush | drop-all]
//
// A write is taken into the cache and answered after a delay, so that many are in flight together. An fsync makes
// stable what was answered before it arrived, and nothing else: a write that is in flight beside it stays in the cache.
// When the power goes, each unit (sector) of the cache has a fate of its own: the image keeps its stable bytes, or
// those of any write since the last flush that reached it, whatever their order was. IMAGE itself is never changed.
// `ignore-flush` is a disk that lies: it answers and keeps nothing. `drop-all` leaves nothing to chance: whatever is in
// the cache is lost, and requests take so long that those of one turn are all there before the first is answered.
//
// It reads commands from its standard input, a line each, and answers each with a line once it is in force:
//
//   arm N                   lose the power at the Nth write or flush from now on
//   cut                     lose it now: what is in flight fails with EIO, as does everything from now on
//   on                      power again: the disk has what survived
//   bad FIRST COUNT ERRNO   these units can be neither read nor written
//   bad-flush ERRNO         nor can anything be made stable
//   hang                    nothing is answered any more
//   heal                    whatever was wrong is over
//
// and ends with its input. When the power is lost it prints a line of JSON that says what there was to lose.
#define _GNU_SOURCE
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DISK_INODE = 2, MOST_DELAY_US = 600, LONG_DELAY_US = 10000, FLUSH_DELAY_US = 1000, MOST_BAD = 64 };

// One write request, shared by the versions of all units that it reached.
struct write {
  uint64_t answered;  // When, on the disk's own clock of answers; 0 while it is in flight.
  unsigned references;
  bool survives;
};

struct version {
  struct version* older;
  struct write* write;
  char data[];
};

enum kind { WRITE, FLUSH, READ, FAILURE };

// A request that is not answered yet.
struct pending {
  struct pending* next;
  enum kind kind;
  fuse_req_t request;
  struct write* write;  // NULL where there is none.
  size_t bytes;
  off_t offset;
  int error;
  uint64_t due_ns;
  uint64_t began;  // The clock of answers when a flush arrived.
};

static char* stable;
static size_t disk_bytes, unit_bytes;
// The cache: for each unit what was written since the last flush, newest first, and a list of the units that have any.
static struct version** newest;
static uint32_t* dirty;
static size_t dirty_count;
static struct pending* pending;
static uint64_t clock_of_answers;
static uint64_t random_state;
static bool ignores_flush, drops_all, off, hanging;
static struct {
  size_t first, count;
  int error;
} bad[MOST_BAD];
static unsigned bad_count;
static int flush_error;
static long countdown;
static struct {
  unsigned long writes, flushes;
} seen;

static void* checked(void* memory) {
  if (memory == NULL) abort();
  return memory;
}

// splitmix64
static uint64_t random_bits(void) {
  uint64_t mixed = (random_state += 0x9e3779b97f4a7c15);
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return mixed ^ (mixed >> 31);
}

static uint64_t random_below(uint64_t bound) { return random_bits() % bound; }

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// ---- The cache ----------------------------------------

static void release(struct write* write) {
  if (--write->references == 0) free(write);
}

static void drop(struct version* version) {
  while (version != NULL) {
    struct version* older = version->older;
    release(version->write);
    free(version);
    version = older;
  }
}

static void store(size_t unit, const char* data, struct write* write) {
  struct version* version = checked(malloc(sizeof *version + unit_bytes));
  memcpy(version->data, data, unit_bytes);
  version->write = write;
  write->references++;
  if (newest[unit] == NULL) dirty[dirty_count++] = (uint32_t)unit;
  version->older = newest[unit];
  newest[unit] = version;
}

static const char* current(size_t unit) {
  return newest[unit] == NULL ? stable + unit * unit_bytes : newest[unit]->data;
}

// Makes the newest version stable of those that were answered by then; newer ones stay in the cache.
static void flush_unit(size_t unit, uint64_t until) {
  struct version** link = &newest[unit];
  while (*link != NULL && ((*link)->write->answered == 0 || (*link)->write->answered > until)) link = &(*link)->older;
  if (*link == NULL) return;
  memcpy(stable + unit * unit_bytes, (*link)->data, unit_bytes);
  drop(*link);
  *link = NULL;
}

static void flush_all(uint64_t until) {
  size_t kept = 0;
  for (size_t i = 0; i < dirty_count; i++) {
    flush_unit(dirty[i], until);
    if (newest[dirty[i]] != NULL) dirty[kept++] = dirty[i];
  }
  dirty_count = kept;
}

// ---- The loss of power ----------------------------------------

struct fate {
  bool whole_writes;  // A write survives with all its units or none; otherwise each unit by itself.
  unsigned percent;   // How much survives.
};

// Leaves the unit with its stable bytes or those of one of the versions that survive. Says which: 0 for the stable
// ones, 1 for the newest, more for one that a later one had replaced.
static unsigned settle_unit(size_t unit, struct fate fate) {
  struct version* chosen = NULL;
  unsigned survivors = 0, depth = 0, chosen_depth = 0;
  for (struct version* version = newest[unit]; version != NULL; version = version->older) {
    depth++;
    if (fate.whole_writes ? !version->write->survives : random_below(100) >= fate.percent) continue;
    // Each of those that survive is as likely as the others.
    if (random_below(++survivors) != 0) continue;
    chosen = version;
    chosen_depth = depth;
  }
  if (chosen != NULL) memcpy(stable + unit * unit_bytes, chosen->data, unit_bytes);
  drop(newest[unit]);
  newest[unit] = NULL;
  return chosen_depth;
}

static void decide_writes(unsigned percent) {
  // A write that reached many units is decided again and again; only the last throw counts.
  for (size_t i = 0; i < dirty_count; i++)
    for (struct version* version = newest[dirty[i]]; version != NULL; version = version->older)
      version->write->survives = random_below(100) < percent;
}

static void cut(void) {
  if (off) return;
  off = true;
  const uint64_t at_ns = now_ns();
  unsigned in_flight = 0;
  while (pending != NULL) {
    struct pending* next = pending->next;
    fuse_reply_err(pending->request, EIO);
    if (pending->write != NULL) release(pending->write);
    free(pending);
    pending = next;
    in_flight++;
  }
  static const unsigned percents[] = {0, 0, 10, 50, 50, 90};
  const struct fate fate = {random_below(3) == 0, drops_all ? 0 : percents[random_below(6)]};
  if (fate.whole_writes) decide_writes(fate.percent);
  unsigned long lost = 0, reordered = 0;
  for (size_t i = 0; i < dirty_count; i++) {
    const unsigned depth = settle_unit(dirty[i], fate);
    lost += depth == 0;
    reordered += depth > 1;
  }
  printf("{\"atNs\":%" PRIu64
         ",\"writes\":%lu,\"flushes\":%lu,\"inFlight\":%u,\"unflushed\":%zu,\"lost\":%lu,\"reordered\":%lu,"
         "\"survivalPercent\":%u,\"wholeWrites\":%s}\n",
         at_ns, seen.writes, seen.flushes, in_flight, dirty_count, lost, reordered, fate.percent,
         fate.whole_writes ? "true" : "false");
  fflush(stdout);
  dirty_count = 0;
}

// Counts towards the armed cut; true where the power is lost with this request.
static bool counts_down(void) { return countdown > 0 && --countdown == 0; }

static void command(const char* line) {
  size_t first, count;
  int error;
  if (sscanf(line, "arm %ld", &countdown) == 1) {
    seen.writes = seen.flushes = 0;
  } else if (strcmp(line, "cut") == 0) {
    cut();
  } else if (strcmp(line, "on") == 0) {
    countdown = 0;
    off = false;
  } else if (sscanf(line, "bad %zu %zu %d", &first, &count, &error) == 3 && bad_count < MOST_BAD) {
    bad[bad_count].first = first;
    bad[bad_count].count = count;
    bad[bad_count++].error = error;
  } else if (sscanf(line, "bad-flush %d", &error) == 1) {
    flush_error = error;
  } else if (strcmp(line, "hang") == 0) {
    hanging = true;
  } else if (strcmp(line, "heal") == 0) {
    hanging = false;
    flush_error = 0;
    bad_count = 0;
  } else {
    fprintf(stderr, "powercut_disk: what is '%s'?\n", line);
  }
  printf("ok\n");
  fflush(stdout);
}

// The error that a request for these bytes meets; 0 for none.
static int error_at(off_t offset, size_t size) {
  const size_t from = (size_t)offset / unit_bytes, to = ((size_t)offset + size + unit_bytes - 1) / unit_bytes;
  for (unsigned i = 0; i < bad_count; i++)
    if (from < bad[i].first + bad[i].count && bad[i].first < to) return bad[i].error;
  return 0;
}

// ---- Requests ----------------------------------------

static void answer_later(struct pending what, uint64_t delay_us) {
  struct pending* entry = checked(malloc(sizeof *entry));
  *entry = what;
  entry->due_ns = now_ns() + delay_us * 1000;
  entry->began = clock_of_answers;
  if (entry->write != NULL) entry->write->references++;
  struct pending** link = &pending;
  while (*link != NULL && (*link)->due_ns <= entry->due_ns) link = &(*link)->next;
  entry->next = *link;
  *link = entry;
}

static void fail_later(fuse_req_t request, int error) {
  answer_later((struct pending){.kind = FAILURE, .request = request, .error = error}, random_below(MOST_DELAY_US));
}

static void answer_read(const struct pending* entry) {
  static char buffer[1 << 20];
  size_t done = 0;
  while (done < entry->bytes && (size_t)entry->offset + done < disk_bytes) {
    const size_t at = (size_t)entry->offset + done, within = at % unit_bytes;
    const size_t step = unit_bytes - within < entry->bytes - done ? unit_bytes - within : entry->bytes - done;
    memcpy(buffer + done, current(at / unit_bytes) + within, step);
    done += step;
  }
  fuse_reply_buf(entry->request, buffer, done);
}

static void answer(struct pending* entry) {
  switch (entry->kind) {
    case WRITE:
      entry->write->answered = ++clock_of_answers;
      release(entry->write);
      fuse_reply_write(entry->request, entry->bytes);
      break;
    case FLUSH:
      if (!ignores_flush) flush_all(entry->began);
      fuse_reply_err(entry->request, 0);
      break;
    case READ:
      answer_read(entry);
      break;
    case FAILURE:
      fuse_reply_err(entry->request, entry->error);
  }
  free(entry);
}

// Answers what is due. Returns how long nothing will be, in nanoseconds; -1 for ever.
static int64_t answer_due(void) {
  while (pending != NULL && !hanging) {
    const uint64_t now = now_ns();
    if (pending->due_ns > now) return (int64_t)(pending->due_ns - now);
    struct pending* entry = pending;
    pending = entry->next;
    answer(entry);
  }
  return -1;
}

static uint64_t delay_us(uint64_t most) {
  return drops_all && countdown > 0 ? LONG_DELAY_US + random_below(LONG_DELAY_US) : random_below(most);
}

static void on_write(fuse_req_t request, fuse_ino_t inode, const char* data, size_t size, off_t offset,
                     struct fuse_file_info* file) {
  (void)inode, (void)file;
  if (off) return (void)fuse_reply_err(request, EIO);
  if (offset % (off_t)unit_bytes != 0 || size % unit_bytes != 0 || (size_t)offset + size > disk_bytes)
    return (void)fuse_reply_err(request, EINVAL);
  const int error = error_at(offset, size);
  if (error != 0) return fail_later(request, error);
  struct write* write = checked(calloc(1, sizeof *write));
  write->references = 1;
  for (size_t done = 0; done < size; done += unit_bytes)
    store(((size_t)offset + done) / unit_bytes, data + done, write);
  seen.writes++;
  answer_later((struct pending){.kind = WRITE, .request = request, .write = write, .bytes = size},
               random_below(4) == 0 && !drops_all ? 0 : delay_us(MOST_DELAY_US));
  release(write);
  if (counts_down()) cut();
}

static void on_fsync(fuse_req_t request, fuse_ino_t inode, int data_only, struct fuse_file_info* file) {
  (void)inode, (void)data_only, (void)file;
  if (off) return (void)fuse_reply_err(request, EIO);
  if (flush_error != 0) return fail_later(request, flush_error);
  seen.flushes++;
  answer_later((struct pending){.kind = FLUSH, .request = request}, delay_us(FLUSH_DELAY_US));
  if (counts_down()) cut();
}

static void on_read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info* file) {
  (void)inode, (void)file;
  if (off) return (void)fuse_reply_err(request, EIO);
  const int error = error_at(offset, size);
  if (error != 0) return fail_later(request, error);
  const size_t most = 1 << 20;
  const struct pending read = {.kind = READ, .request = request, .bytes = size < most ? size : most, .offset = offset};
  // Only where it must: programs that look at a disk read a lot, one after another.
  if (hanging)
    answer_later(read, 0);
  else
    answer_read(&read);
}

static struct stat attributes(fuse_ino_t inode) {
  struct stat stat = {.st_ino = inode, .st_nlink = 1};
  stat.st_mode = inode == DISK_INODE ? S_IFREG | 0600 : S_IFDIR | 0700;
  stat.st_size = inode == DISK_INODE ? (off_t)disk_bytes : 0;
  return stat;
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  if (parent != FUSE_ROOT_ID || strcmp(name, "disk") != 0) return (void)fuse_reply_err(request, ENOENT);
  struct fuse_entry_param entry = {.ino = DISK_INODE, .attr = attributes(DISK_INODE), .attr_timeout = 3600};
  fuse_reply_entry(request, &entry);
}

static void on_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info* file) {
  (void)file;
  const struct stat stat = attributes(inode);
  fuse_reply_attr(request, &stat, 3600);
}

static void on_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info* file) {
  if (inode != DISK_INODE) return (void)fuse_reply_err(request, EISDIR);
  // No page cache between the loop device and this disk: it could hide a write.
  file->direct_io = 1;
  fuse_reply_open(request, file);
}

static void on_init(void* user, struct fuse_conn_info* connection) {
  (void)user;
  // As many requests in flight as a block device has.
  connection->max_background = 128;
  connection->congestion_threshold = 128;
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = on_lookup,
    .getattr = on_getattr,
    .open = on_open,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
};

// ---- The loop ----------------------------------------

// Reads commands; false at the end of the input.
static bool read_commands(void) {
  static char text[256];
  static size_t length;
  const ssize_t more = read(STDIN_FILENO, text + length, sizeof text - 1 - length);
  if (more <= 0) return false;
  text[length += (size_t)more] = '\0';
  char* line = text;
  for (char* end = strchr(line, '\n'); end != NULL; end = strchr(line, '\n')) {
    *end = '\0';
    command(line);
    line = end + 1;
  }
  length = strlen(line);
  memmove(text, line, length + 1);
  return true;
}

static void serve(struct fuse_session* session) {
  struct fuse_buf buffer = {.mem = NULL};
  struct pollfd sources[] = {{fuse_session_fd(session), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  while (!fuse_session_exited(session)) {
    const int64_t wait_ns = answer_due();
    const struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
    if (ppoll(sources, 2, wait_ns < 0 ? NULL : &wait, NULL) < 0) break;
    if (sources[1].revents != 0 && !read_commands()) break;
    if (sources[0].revents == 0) continue;
    const int received = fuse_session_receive_buf(session, &buffer);
    if (received == -EINTR || received == -EAGAIN) continue;
    if (received <= 0) break;
    fuse_session_process_buf(session, &buffer);
  }
  free(buffer.mem);
}

static int prepare(const char* image) {
  const int fd = open(image, O_RDONLY);
  struct stat stat;
  if (fd < 0 || fstat(fd, &stat) != 0) return -1;
  disk_bytes = (size_t)stat.st_size;
  // Private: what is written to it is this process's own, and the image is as before for the next one.
  stable = mmap(NULL, disk_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
  close(fd);
  newest = checked(calloc(disk_bytes / unit_bytes, sizeof *newest));
  dirty = checked(calloc(disk_bytes / unit_bytes, sizeof *dirty));
  return stable == MAP_FAILED ? -1 : 0;
}

int main(int argc, char** argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: %s IMAGE MOUNTPOINT UNIT_BYTES SEED [ignore-flush | drop-all]\n", argv[0]);
    return 2;
  }
  unit_bytes = strtoul(argv[3], NULL, 10);
  random_state = strtoull(argv[4], NULL, 10);
  ignores_flush = argc > 5 && strcmp(argv[5], "ignore-flush") == 0;
  drops_all = argc > 5 && strcmp(argv[5], "drop-all") == 0;
  if (prepare(argv[1]) != 0) {
    perror(argv[1]);
    return 1;
  }
  char* arguments[] = {argv[0], "-o", "fsname=powercut"};
  struct fuse_args args = FUSE_ARGS_INIT(3, arguments);
  struct fuse_session* session = fuse_session_new(&args, &operations, sizeof operations, NULL);
  if (session == NULL || fuse_session_mount(session, argv[2]) != 0) return 1;
  serve(session);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  return 0;
}
