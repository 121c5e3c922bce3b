import { control } from './control';

/** The same number in the host's byte order; WebAssembly's own is always little-endian. */
export function host16(value: u16): u16 {
  return control().swap ? bswap<u16>(value) : value;
}

export function host32(value: u32): u32 {
  return control().swap ? bswap<u32>(value) : value;
}

export function host64(value: u64): u64 {
  return control().swap ? bswap<u64>(value) : value;
}
