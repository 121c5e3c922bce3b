import { abi } from './abi';

/** The C types that the structures are made of. TypeScript reads the names from the exports. */
export enum ctype {
  __u16,
  __s16,
  __u32,
  __u64,
  __s64,
  __kernel_rwf_t,
  unsigned_int,
  long,
  long_long,
  pointer,
  __kernel_size_t,
  __kernel_long_t,
  __kernel_ulong_t,
}

/** Bytes that a C compiler for the selected ABI gives this type. */
export function bytesOf(type: ctype): i32 {
  switch (type) {
    case ctype.__u16:
    case ctype.__s16:
      return 2;
    case ctype.__u32:
    case ctype.__kernel_rwf_t:
    case ctype.unsigned_int:
      return 4;
    case ctype.long:
    case ctype.pointer:
    case ctype.__kernel_size_t:
      return abi.wordBytes;
    case ctype.__kernel_long_t:
    case ctype.__kernel_ulong_t:
      return abi.kernelLongBytes;
    default:
      return 8;
  }
}

export function isSigned(type: ctype): bool {
  switch (type) {
    case ctype.__s16:
    case ctype.__s64:
    case ctype.__kernel_rwf_t:
    case ctype.long:
    case ctype.long_long:
    case ctype.__kernel_long_t:
      return true;
    default:
      return false;
  }
}

/** Every Linux ABI aligns an integer to its own size, up to a limit of the ABI: 8 on most, 4 on i386, 2 on m68k. */
export function alignOf(type: ctype): i32 {
  const bytes = bytesOf(type);
  if (bytes > abi.alignBytes) return abi.alignBytes;
  return bytes;
}
