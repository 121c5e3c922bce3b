// What another process does to a file that has asynchronous I/O in flight: memory mappings, holes, reflinks. It reads
// commands from its standard input, a struct command each and the data of a store, and answers each with an int64 (a
// negative error number where the call failed) and the data of a load.
//
//   peer FILE BYTES
//
// The first BYTES of the file stay mapped all the time, so that its page tables meet everything that happens to the
// file.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct command {
  uint64_t what, offset, length, other;
};

enum { LOAD, STORE, FALLOCATE, CLONE, COPY, FLUSH, EVICT };

static char* map;
static int fd;

static int read_all(void* into, size_t length) { return length == 0 || fread(into, length, 1, stdin) == 1; }

static int64_t answer(long result) { return result < 0 ? -errno : result; }

static int64_t act(const struct command* command) {
  const off_t offset = (off_t)command->offset, other = (off_t)command->other;
  const size_t length = command->length;
  switch (command->what) {
    case LOAD:
      return (int64_t)length;
    case STORE:
      return read_all(map + offset, length) ? (int64_t)length : -EIO;
    case FALLOCATE:
      return answer(fallocate(fd, (int)other, offset, (off_t)length));
    case CLONE: {
      struct file_clone_range range = {fd, command->offset, length, command->other};
      return answer(ioctl(fd, FICLONERANGE, &range));
    }
    case COPY: {
      loff_t from = offset, to = other;
      return answer(copy_file_range(fd, &from, fd, &to, length, 0));
    }
    case FLUSH:
      return answer(msync(map + offset, length, MS_SYNC));
    case EVICT:
      return -posix_fadvise(fd, offset, (off_t)length, POSIX_FADV_DONTNEED);
    default:
      return -ENOSYS;
  }
}

int main(int argc, char** argv) {
  if (argc != 3 || (fd = open(argv[1], O_RDWR | O_CLOEXEC)) < 0) return 2;
  map = mmap(NULL, strtoul(argv[2], NULL, 10), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return 2;
  for (struct command command; read_all(&command, sizeof(command));) {
    const int64_t result = act(&command);
    fwrite(&result, sizeof(result), 1, stdout);
    if (command.what == LOAD) fwrite(map + command.offset, command.length, 1, stdout);
    fflush(stdout);
  }
  return 0;
}
