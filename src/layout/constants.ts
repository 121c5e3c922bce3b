/**
 * Constants of <linux/aio_abi.h>, <linux/fs.h>, <linux/ioprio.h> and <asm/poll.h> under the kernel's own names. catalogue.ts says of each
 * since when it exists and what asynchronous I/O makes of it.
 */

/** `aio_lio_opcode`: read into one buffer. */
export const IOCB_CMD_PREAD = 0;
/** `aio_lio_opcode`: write from one buffer. */
export const IOCB_CMD_PWRITE = 1;
/** `aio_lio_opcode`: make data and metadata durable (Linux 4.18). */
export const IOCB_CMD_FSYNC = 2;
/** `aio_lio_opcode`: make data and the metadata needed to read it durable (Linux 4.18). */
export const IOCB_CMD_FDSYNC = 3;
/** `aio_lio_opcode`: wait for events of a descriptor, once (Linux 4.19). */
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
/** `aio_rw_flags`: this write at its offset, although the file was opened with O_APPEND (Linux 6.9). */
export const RWF_NOAPPEND = 0x20;
/** `aio_rw_flags`: this write whole or not at all (Linux 6.11). */
export const RWF_ATOMIC = 0x40;
/** `aio_rw_flags`: drop the data from the page cache when done (Linux 6.14). */
export const RWF_DONTCACHE = 0x80;
/** `aio_rw_flags`: a broken pipe raises no SIGPIPE (Linux 6.18). */
export const RWF_NOSIGNAL = 0x100;

/** `aio_key`: what io_submit writes and io_cancel wants. */
export const KIOCB_KEY = 0;

/** `aio_reqprio` is a class, shifted by this, a hint and a level. */
export const IOPRIO_CLASS_SHIFT = 13;
/** The scheduler decides by the niceness of the process; the level must be 0. */
export const IOPRIO_CLASS_NONE = 0;
/** Realtime: served first; needs CAP_SYS_NICE or CAP_SYS_ADMIN. */
export const IOPRIO_CLASS_RT = 1;
/** Best effort: what everybody has. */
export const IOPRIO_CLASS_BE = 2;
/** Idle: served when nobody else wants the disk. */
export const IOPRIO_CLASS_IDLE = 3;
/** Never valid (Linux 6.5). */
export const IOPRIO_CLASS_INVALID = 7;
/** Levels of the realtime and the best-effort class, 0 is the most urgent. */
export const IOPRIO_NR_LEVELS = 8;
/** The level of best effort without a choice. */
export const IOPRIO_NORM = 4;
/** Where in `aio_reqprio` the hint is (Linux 6.5). */
export const IOPRIO_HINT_SHIFT = 3;
/** Bits of a hint (Linux 6.5). */
export const IOPRIO_HINT_NR_BITS = 10;
/** No hint (Linux 6.5). */
export const IOPRIO_HINT_NONE = 0;
/** The device's first command duration limit (Linux 6.5). */
export const IOPRIO_HINT_DEV_DURATION_LIMIT_1 = 1;
/** The device's second command duration limit (Linux 6.5). */
export const IOPRIO_HINT_DEV_DURATION_LIMIT_2 = 2;
/** The device's third command duration limit (Linux 6.5). */
export const IOPRIO_HINT_DEV_DURATION_LIMIT_3 = 3;
/** The device's fourth command duration limit (Linux 6.5). */
export const IOPRIO_HINT_DEV_DURATION_LIMIT_4 = 4;
/** The device's fifth command duration limit (Linux 6.5). */
export const IOPRIO_HINT_DEV_DURATION_LIMIT_5 = 5;
/** The device's sixth command duration limit (Linux 6.5). */
export const IOPRIO_HINT_DEV_DURATION_LIMIT_6 = 6;
/** The device's seventh command duration limit (Linux 6.5). */
export const IOPRIO_HINT_DEV_DURATION_LIMIT_7 = 7;
/** For ioprio_set(2): a thread. */
export const IOPRIO_WHO_PROCESS = 1;
/** For ioprio_set(2): a process group. */
export const IOPRIO_WHO_PGRP = 2;
/** For ioprio_set(2): a user. */
export const IOPRIO_WHO_USER = 3;

/** Data to read. */
export const POLLIN = 0x1;
/** Something exceptional, such as urgent data. */
export const POLLPRI = 0x2;
/** Room to write. */
export const POLLOUT = 0x4;
/** An error; always reported. */
export const POLLERR = 0x8;
/** The other side is gone; always reported. */
export const POLLHUP = 0x10;
/** For poll(2) only. */
export const POLLNVAL = 0x20;
/** Normal data to read. */
export const POLLRDNORM = 0x40;
/** Priority data to read. */
export const POLLRDBAND = 0x80;
/** Room for normal data. Another number on some ABIs: see the catalogue. */
export const POLLWRNORM = 0x100;
/** Room for priority data. Another number on some ABIs: see the catalogue. */
export const POLLWRBAND = 0x200;
/** Unused by Linux. Another number on some ABIs: see the catalogue. */
export const POLLMSG = 0x400;
/** Unused by Linux. Another number on some ABIs: see the catalogue. */
export const POLLREMOVE = 0x1000;
/** The other side will send no more. Another number on some ABIs: see the catalogue. */
export const POLLRDHUP = 0x2000;
/** Between the kernel and its drivers. */
export const POLLFREE = 0x4000;
/** Between the kernel and its drivers. */
export const POLL_BUSY_LOOP = 0x8000;
