/** Constants of <linux/aio_abi.h> and <linux/fs.h> under the kernel's own names. */

/** `aio_lio_opcode`: read into one buffer. */
export const IOCB_CMD_PREAD = 0;
/** `aio_lio_opcode`: write from one buffer. */
export const IOCB_CMD_PWRITE = 1;
/** `aio_lio_opcode`: make data and metadata durable (Linux 4.18). */
export const IOCB_CMD_FSYNC = 2;
/** `aio_lio_opcode`: make data and the metadata needed to read it durable (Linux 4.18). */
export const IOCB_CMD_FDSYNC = 3;
/** `aio_lio_opcode`: wait for events of a descriptor, once (Linux 4.18). */
export const IOCB_CMD_POLL = 5;
/** `aio_lio_opcode`: nothing; the kernel refuses it with EINVAL. */
export const IOCB_CMD_NOOP = 6;
/** `aio_lio_opcode`: read into an array of buffers. */
export const IOCB_CMD_PREADV = 7;
/** `aio_lio_opcode`: write from an array of buffers. */
export const IOCB_CMD_PWRITEV = 8;

/** `aio_flags`: `aio_resfd` is an eventfd to signal on completion. */
export const IOCB_FLAG_RESFD = 1;
/** `aio_flags`: `aio_reqprio` is an I/O priority. */
export const IOCB_FLAG_IOPRIO = 2;

/** `aio_rw_flags`: high priority, poll for completion where the file can. */
export const RWF_HIPRI = 0x1;
/** `aio_rw_flags`: this write as with O_DSYNC. */
export const RWF_DSYNC = 0x2;
/** `aio_rw_flags`: this write as with O_SYNC. */
export const RWF_SYNC = 0x4;
/** `aio_rw_flags`: fail with EAGAIN rather than wait. */
export const RWF_NOWAIT = 0x8;
/** `aio_rw_flags`: this write at the end of the file. */
export const RWF_APPEND = 0x10;
