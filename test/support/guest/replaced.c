// How many of 1000 calls of a function that memcpy replaced run the one that was there before. Nothing of kaio's and of
// Node's is in it: on a processor it is none, and any other number is the emulator's.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

// Both functions lie behind the first byte of what is copied.
enum { CALLS = 1000, FUNCTION_AT = 64, LENGTH = 200 };

// lhi %r2,1 and lhi %r2,2; br %r14
static const unsigned char functions[2][6] = {{0xa7, 0x28, 0, 1, 0x07, 0xfe}, {0xa7, 0x28, 0, 2, 0x07, 0xfe}};

// A length that the compiler does not know, or it copies without the library.
static volatile size_t length = LENGTH;

#ifndef __s390x__
#error "the functions are of s390x"
#endif

int main(void) {
  unsigned char code[LENGTH] = {0};
  void* place = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) return 1;
  int (*function)(void) = (int (*)(void))((char*)place + FUNCTION_AT);
  int wrong = 0;
  for (int call = 0; call < CALLS; call++) {
    memcpy(code + FUNCTION_AT, functions[call % 2], sizeof(functions[0]));
    memcpy(place, code, length);
    if (function() != 1 + call % 2) wrong++;
  }
  printf("%d\n", wrong);
  return 0;
}
