// Transfers beside a shared mapping of the file that they move (mmap(2)).
#include <sys/mman.h>

#include "aio.h"

enum { BYTES = 4096 };

static aio_context_t ctx;
static char* map;
static int buffered, direct;

static void prepare(const char* path) {
  ctx = setup(4);
  buffered = (int)must("open", open(path, O_RDWR | O_CREAT, 0600));
  direct = (int)must("open", open(path, O_RDWR | O_DIRECT));
  must("ftruncate", ftruncate(buffered, BYTES));
  map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, buffered, 0);
  must("mmap", map == MAP_FAILED ? -1 : 0);
}

static long move(int opcode, int fd, void* buf) {
  struct iocb iocb = transfer(opcode, fd, buf, BYTES, 0);
  return attempt(ctx, &iocb);
}

// The page is the buffer as well as the data.
static int same_page(void) {
  fact("buffered_read", move(IOCB_CMD_PREAD, buffered, map));
  fact("buffered_write", move(IOCB_CMD_PWRITE, buffered, map));
  fact("direct_read", move(IOCB_CMD_PREAD, direct, map));
  fact("direct_write", move(IOCB_CMD_PWRITE, direct, map));
  return 0;
}

// The page is dirty when direct transfers go past it.
static int dirty_page(void) {
  char* buffer = pages(BYTES);
  memset(map, 'a', BYTES);
  fact("direct_read", move(IOCB_CMD_PREAD, direct, buffer));
  fact("read_sees_stores", buffer[0] == 'a' && buffer[BYTES - 1] == 'a');
  memset(map, 'b', BYTES);
  memset(buffer, 'c', BYTES);
  fact("direct_write", move(IOCB_CMD_PWRITE, direct, buffer));
  fact("mapping_sees_write", map[0] == 'c' && map[BYTES - 1] == 'c');
  memset(buffer, 0, BYTES);
  must("pread", pread(buffered, buffer, BYTES, 0));
  fact("buffered_read_sees_write", buffer[0] == 'c' && buffer[BYTES - 1] == 'c');
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  prepare(argv[2]);
  if (strcmp(argv[1], "same-page") == 0) return same_page();
  if (strcmp(argv[1], "dirty-page") == 0) return dirty_page();
  return 2;
}
