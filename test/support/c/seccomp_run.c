// Runs a program in which some system calls fail, as the filter of a container makes them fail.
//
//   seccomp_run ERRNO|kill NAME[,NAME...] PROGRAM [ARGUMENT...]
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int refuse(scmp_filter_ctx filter, char* names, uint32_t action) {
  for (char* name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
      fprintf(stderr, "seccomp_run: there is no system call %s\n", name);
      return -1;
    }
    if (seccomp_rule_add(filter, action, number, 0) < 0) return -1;
  }
  return seccomp_load(filter);
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s ERRNO|kill NAME[,NAME...] PROGRAM [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  const uint32_t action =
      strcmp(argv[1], "kill") == 0 ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO((unsigned)atoi(argv[1]));
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == NULL || refuse(filter, argv[2], action) < 0) {
    fprintf(stderr, "seccomp_run: the filter could not be installed\n");
    return 2;
  }
  execvp(argv[3], argv + 3);
  perror(argv[3]);
  return 2;
}
