// How many of 1000 calls of a function that memcpy replaced run the one that was there before. Nothing of kaio's and of
// Node's is in it: on a processor it is none, and any other number is the emulator's.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

// Both functions lie behind the first byte of what is copied, and are short enough for libc to copy them by one store
// of SVE.
enum { CALLS = 1000, FUNCTION_AT = 12, LENGTH = 32 };

// Return 1 and 2.
static const unsigned char functions[2][8] = {
#if defined(__s390x__)
    // lhi %r2,N; br %r14
    {0xa7, 0x28, 0, 1, 0x07, 0xfe},
    {0xa7, 0x28, 0, 2, 0x07, 0xfe},
#elif defined(__aarch64__)
    // mov w0, N; ret
    {0x20, 0, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6},
    {0x40, 0, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6},
#else
#error "functions for s390x and arm64 only"
#endif
};

// A length that the compiler does not know, or it copies without the library.
static volatile size_t length = LENGTH;

int main(void) {
  unsigned char code[LENGTH] = {0};
  char* place = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) return 1;
  int (*function)(void) = (int (*)(void))(place + FUNCTION_AT);
  int wrong = 0;
  for (int call = 0; call < CALLS; call++) {
    memcpy(code + FUNCTION_AT, functions[call % 2], sizeof(functions[0]));
    memcpy(place, code, length);
    __builtin___clear_cache(place, place + LENGTH);
    if (function() != 1 + call % 2) wrong++;
  }
  printf("%d\n", wrong);
  return 0;
}
