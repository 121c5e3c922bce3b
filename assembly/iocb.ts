/**
 * `struct iocb` of <linux/aio_abi.h>: one request, 64 bytes, as a little-endian host lays it out.
 *
 *        0           2           4           6           8
 *      0 | aio_data                                      |
 *      8 | aio_key               | aio_rw_flags          |
 *     16 | aio_lio_op| aio_reqp. | aio_fildes            |
 *     24 | aio_buf                                       |
 *     32 | aio_nbytes                                    |
 *     40 | aio_offset                                    |
 *     48 | aio_reserved2                                 |
 *     56 | aio_flags             | aio_resfd             |
 *
 * A big-endian host swaps the places of `aio_key` and `aio_rw_flags` (the header's `__BIG_ENDIAN` branch), so that the two
 * are one 64-bit word with `aio_rw_flags` in its upper half on every host. `pack` writes them as that word.
 */
@unmanaged
export class Iocb {
  aio_data: u64;
  aio_key: u32;
  aio_rw_flags: i32;
  aio_lio_opcode: u16;
  aio_reqprio: i16;
  aio_fildes: u32;
  aio_buf: u64;
  aio_nbytes: u64;
  aio_offset: i64;
  aio_reserved2: u64;
  aio_flags: u32;
  aio_resfd: u32;
}
