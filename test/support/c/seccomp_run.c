// Runs a program in which some system calls fail, as the filter of a container makes them fail.
//
//   seccomp_run ERRNO NAME[,NAME...] PROGRAM [ARGUMENT...]
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int refuse(scmp_filter_ctx filter, char* names, int error) {
  for (char* name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
      fprintf(stderr, "seccomp_run: there is no system call %s\n", name);
      return -1;
    }
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)error), number, 0) < 0) return -1;
  }
  return seccomp_load(filter);
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s ERRNO NAME[,NAME...] PROGRAM [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == NULL || refuse(filter, argv[2], atoi(argv[1])) < 0) {
    fprintf(stderr, "seccomp_run: the filter could not be installed\n");
    return 2;
  }
  execvp(argv[3], argv + 3);
  perror(argv[3]);
  return 2;
}
