/**
 * `struct io_event` of <linux/aio_abi.h>: one completion, 32 bytes.
 *
 *        0                                               8
 *      0 | data        the request's aio_data            |
 *      8 | obj         the address of its iocb           |
 *     16 | res         bytes, or a negated errno         |
 *     24 | res2        0                                 |
 */
@unmanaged
export class IoEvent {
  data: u64;
  obj: u64;
  res: i64;
  res2: i64;
}
