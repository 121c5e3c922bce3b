// Takes the whole quota of requests with contexts of one size, says why that ended, and leaves the contexts to the end
// of the process.
#include "aio.h"

static long sysctl(const char* path) {
  long value = -1;
  FILE* file = fopen(path, "r");
  if (file == NULL || fscanf(file, "%ld", &value) != 1) exit(1);
  fclose(file);
  return value;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const unsigned nr = (unsigned)atoi(argv[1]);
  const long free = sysctl("/proc/sys/fs/aio-max-nr") - sysctl("/proc/sys/fs/aio-nr");
  long taken = 0, result;
  aio_context_t ctx = 0;
  while ((result = io_setup(nr, &ctx)) == 0) {
    taken += nr;
    ctx = 0;
  }
  fact("errno", result);
  fact("taken", taken);
  fact("free", free);
  return 0;
}
