// An eventfd that is signalled by completions and watched edge-triggered (epoll(7), EPOLLET), without ever being read.
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "aio.h"

static int epoll;

static long woken(void) {
  struct epoll_event event;
  return must("epoll_wait", epoll_wait(epoll, &event, 1, 0));
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const aio_context_t ctx = setup(8);
  const int fd = (int)must("open", open(argv[1], O_RDONLY));
  const int resfd = (int)must("eventfd", eventfd(0, EFD_NONBLOCK));
  epoll = (int)must("epoll_create1", epoll_create1(0));
  struct epoll_event edge = {.events = EPOLLIN | EPOLLET};
  must("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, resfd, &edge));
  char buffer[512];
  struct iocb read_in = transfer(IOCB_CMD_PREAD, fd, buffer, sizeof(buffer), 0);
  read_in.aio_flags = IOCB_FLAG_RESFD;
  read_in.aio_resfd = (uint32_t)resfd;
  fact("before", woken());
  attempt(ctx, &read_in);
  fact("first", woken());
  fact("between", woken());
  attempt(ctx, &read_in);
  fact("second", woken());
  attempt(ctx, &read_in);
  fact("third", woken());
  uint64_t count;
  must("read", read(resfd, &count, sizeof(count)));
  fact("count", (long)count);
  return 0;
}
