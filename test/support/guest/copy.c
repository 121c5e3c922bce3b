// A library to preload (LD_PRELOAD): memcpy and memmove by stores of single words and bytes.
//
// qemu 7.2 translates the guest's code once, and drops what it has translated when the guest writes there. Of a write
// by an instruction that moves many bytes, such as MVC of s390x, it looks at the first byte only (replaced.c shows it),
// so what V8 compiles and copies to where other code was may run as that other code. libc's own copies are by MVC.
#include <stddef.h>
#include <stdint.h>

// Volatile, or the compiler makes calls of memcpy of these loops.
typedef volatile uint64_t word;
typedef volatile uint8_t byte;

void* memcpy(void* restrict to, const void* restrict from, size_t length) {
  size_t at = 0;
  for (; at + 8 <= length; at += 8) *(word*)((char*)to + at) = *(const word*)((const char*)from + at);
  for (; at < length; at++) ((byte*)to)[at] = ((const byte*)from)[at];
  return to;
}

void* memmove(void* to, const void* from, size_t length) {
  // From the front, unless the target begins within the source.
  if ((uintptr_t)to - (uintptr_t)from >= length) return memcpy(to, from, length);
  size_t left = length;
  for (; left >= 8; left -= 8) *(word*)((char*)to + left - 8) = *(const word*)((const char*)from + left - 8);
  for (; left > 0; left--) ((byte*)to)[left - 1] = ((const byte*)from)[left - 1];
  return to;
}
