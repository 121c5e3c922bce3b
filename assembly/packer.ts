import {
  Completion,
  completionsAt,
  control,
  controlBytes,
  eventsAt,
  iocbAt,
  iovecsAt,
  pointersAt,
  reportAt,
} from './control';
import { IoEvent } from './event';
import { Iocb } from './iocb';
import { Iovec } from './iovec';
import { host16, host32, host64 } from './order';

export { completionsAt, controlBytes, eventsAt, pointersAt, reportAt };

/** Sizes and offsets: the build turns them into the native module's static assertions, which hold them against the kernel's header. */
export const sizeof_iocb: i32 = offsetof<Iocb>();
export const iocb_aio_data: i32 = offsetof<Iocb>('aio_data');
export const iocb_aio_key: i32 = offsetof<Iocb>('aio_key');
export const iocb_aio_rw_flags: i32 = offsetof<Iocb>('aio_rw_flags');
export const iocb_aio_lio_opcode: i32 = offsetof<Iocb>('aio_lio_opcode');
export const iocb_aio_reqprio: i32 = offsetof<Iocb>('aio_reqprio');
export const iocb_aio_fildes: i32 = offsetof<Iocb>('aio_fildes');
export const iocb_aio_buf: i32 = offsetof<Iocb>('aio_buf');
export const iocb_aio_nbytes: i32 = offsetof<Iocb>('aio_nbytes');
export const iocb_aio_offset: i32 = offsetof<Iocb>('aio_offset');
export const iocb_aio_reserved2: i32 = offsetof<Iocb>('aio_reserved2');
export const iocb_aio_flags: i32 = offsetof<Iocb>('aio_flags');
export const iocb_aio_resfd: i32 = offsetof<Iocb>('aio_resfd');
export const sizeof_io_event: i32 = offsetof<IoEvent>();
export const io_event_data: i32 = offsetof<IoEvent>('data');
export const io_event_obj: i32 = offsetof<IoEvent>('obj');
export const io_event_res: i32 = offsetof<IoEvent>('res');
export const io_event_res2: i32 = offsetof<IoEvent>('res2');
export const sizeof_iovec: i32 = offsetof<Iovec>();
export const iovec_iov_base: i32 = offsetof<Iovec>('iov_base');
export const iovec_iov_len: i32 = offsetof<Iovec>('iov_len');
/** How many 32-bit words one decoded completion takes. */
export const completion_words: i32 = offsetof<Completion>() / 4;

const IOCB_CMD_PREADV: i32 = 7;
const IOCB_CMD_PWRITEV: i32 = 8;
const IOCB_CMD_PREAD: i32 = 0;
const IOCB_CMD_PWRITE: i32 = 1;

/** One generation of a slot, in the upper half of `aio_data`. */
const GENERATION: u64 = 1 << 32;

/** Must be called once, before anything else. `controlBytes(depth, iovecs)` says how much memory there has to be. */
export function init(depth: i32, iovecs: i32, controlBase: u64, poolBase: u64, resfd: i32, swap: bool): void {
  const host = control();
  host.controlBase = controlBase;
  host.poolBase = poolBase;
  host.depth = depth;
  host.iovecs = iovecs;
  host.resfd = resfd;
  host.swap = swap;
  for (let slot = 0; slot < depth; slot++) {
    changetype<Iocb>(iocbAt(slot)).aio_data = host64(GENERATION | <u64>slot);
  }
}

/** Where `aio_buf` points: into the pool, at a run of iovecs, or nowhere (poll keeps its mask there, fsync wants 0). */
function address(opcode: i32, buffer: u32): u64 {
  if (opcode === IOCB_CMD_PREAD || opcode === IOCB_CMD_PWRITE) return control().poolBase + buffer;
  if (opcode === IOCB_CMD_PREADV || opcode === IOCB_CMD_PWRITEV) {
    return control().controlBase + iovecsAt(control().depth) + <u64>buffer * offsetof<Iovec>();
  }
  return buffer;
}

/**
 * Writes the iocb of `slot` and puts its address at `index` of the pointer array. `buffer` is an offset into the pool, or the
 * index of the first iovec for a vectored request (`nbytes` is then their count), or the mask of a poll. `position` comes as f64:
 * a BigInt costs the caller 3.5 times as much, and every position below 2^53 is exact.
 */
export function pack(
  index: i32,
  slot: i32,
  opcode: i32,
  fd: i32,
  buffer: u32,
  nbytes: u32,
  position: f64,
  rwFlags: u32,
  reqprio: i32,
  flags: u32,
): void {
  const at = iocbAt(slot);
  const iocb = changetype<Iocb>(at);
  // aio_data stays: it holds the slot and its generation, which decode moves on.
  store<u64>(at, host64((<u64>rwFlags) << 32), offsetof<Iocb>('aio_key'));
  iocb.aio_lio_opcode = host16(<u16>opcode);
  iocb.aio_reqprio = host16(<u16>reqprio);
  iocb.aio_fildes = host32(fd);
  iocb.aio_buf = host64(address(opcode, buffer));
  iocb.aio_nbytes = host64(nbytes);
  iocb.aio_offset = host64(<i64>position);
  iocb.aio_reserved2 = 0;
  iocb.aio_flags = host32(flags);
  iocb.aio_resfd = host32(control().resfd);
  store<u64>(pointersAt(control().depth) + ((<usize>index) << 3), host64(control().controlBase + at));
}

/** Puts the address of an iocb that is packed already at `index` of the pointer array. */
export function point(index: i32, slot: i32): void {
  store<u64>(pointersAt(control().depth) + ((<usize>index) << 3), host64(control().controlBase + iocbAt(slot)));
}

/** Writes entry `index` of the iovec table: `length` bytes from `offset` of the pool. */
export function vector(index: i32, offset: u32, length: u32): void {
  const iovec = changetype<Iovec>(iovecsAt(control().depth) + <usize>index * offsetof<Iovec>());
  iovec.iov_base = host64(control().poolBase + offset);
  iovec.iov_len = host64(length);
}

/** A result that no request of ours can have becomes the most negative number, which TypeScript treats as unknown. */
function narrow(res: i64): i32 {
  return <i64>(<i32>res) === res ? <i32>res : i32.MIN_VALUE;
}

/**
 * Turns the first `count` events into completions. Returns `count`, or the index of the first event that is not the answer to the
 * present generation of its slot: from there on nothing was decoded.
 */
export function decode(count: i32): i32 {
  const depth = control().depth;
  const events = eventsAt(depth);
  const completions = completionsAt(depth);
  for (let i = 0; i < count; i++) {
    const event = changetype<IoEvent>(events + <usize>i * offsetof<IoEvent>());
    const data = host64(event.data);
    const slot = <u32>data;
    if (slot >= depth) return i;
    const iocb = changetype<Iocb>(iocbAt(slot));
    if (event.data !== iocb.aio_data || host64(event.obj) !== control().controlBase + iocbAt(slot)) return i;
    // The next request of this slot has another generation, and an event that came twice matches neither.
    iocb.aio_data = host64(data + GENERATION);
    const completion = changetype<Completion>(completions + <usize>i * offsetof<Completion>());
    completion.slot = host32(slot);
    completion.res = host32(narrow(<i64>host64(event.res)));
    completion.res2 = host32(narrow(<i64>host64(event.res2)));
  }
  return count;
}
