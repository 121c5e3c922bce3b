// io_setup under limits of the process (getrlimit(2)) that are lowered to 0 for one call each.
#include <sys/resource.h>

#include "aio.h"

static long under(int resource) {
  struct rlimit before, none;
  must("getrlimit", getrlimit(resource, &before));
  none = before;
  none.rlim_cur = 0;
  must("setrlimit", setrlimit(resource, &none));
  aio_context_t ctx = 0;
  const long result = io_setup(1, &ctx);
  must("setrlimit", setrlimit(resource, &before));
  if (result == 0) io_destroy(ctx);
  return result;
}

int main(void) {
  fact("address_space", under(RLIMIT_AS));
  fact("descriptors", under(RLIMIT_NOFILE));
  fact("locked_memory", under(RLIMIT_MEMLOCK));
  return 0;
}
