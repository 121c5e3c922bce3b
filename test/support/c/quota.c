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

static long room(void) { return sysctl("/proc/sys/fs/aio-max-nr") - sysctl("/proc/sys/fs/aio-nr"); }

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const unsigned nr = (unsigned)atoi(argv[1]);
  long contexts = 0, result;
  // What it reads with needs memory, and so a mapping: it must have that before the contexts take all that a process
  // may have.
  room();
  // Other processes take and return some meanwhile: a refusal counts where there is no room, or where it is given again
  // and again.
  for (int refusals = 0; refusals < 100; refusals++) {
    aio_context_t ctx = 0;
    while ((result = io_setup(nr, &ctx)) == 0) {
      contexts++;
      ctx = 0;
    }
    if (result != -EAGAIN || room() < nr) break;
  }
  fact("errno", result);
  fact("contexts", contexts);
  fact("room", room());
  return 0;
}
