/**
 * `struct iovec` of <linux/uio.h> on a 64-bit host: one piece of a vectored request, 16 bytes.
 *
 *        0                                               8
 *      0 | iov_base                                      |
 *      8 | iov_len                                       |
 */
@unmanaged
export class Iovec {
  iov_base: u64;
  iov_len: u64;
}
