import { IoEvent } from './event';
import { Iocb } from './iocb';
import { Iovec } from './iovec';

/**
 * What the packer must know of its host. It lives at the start of linear memory, because the packer keeps nothing anywhere else.
 * These words are read by the packer alone, so they stay in WebAssembly's own byte order.
 */
@unmanaged
export class Control {
  /** Absolute address of this linear memory. */
  controlBase: u64;
  /** Absolute address of the data pool. */
  poolBase: u64;
  depth: u32;
  iovecs: u32;
  /** The eventfd that every completion signals. */
  resfd: u32;
  /** Not zero on a big-endian host: everything the kernel or a typed array reads is then byte-swapped. */
  swap: u32;
}

/** One decoded completion as TypeScript reads it, three 32-bit words in the host's byte order. */
@unmanaged
export class Completion {
  slot: i32;
  res: i32;
  res2: i32;
}

/** What the native module says of a submit, in the host's byte order: requests taken or a negated errno, events reaped, microseconds. */
@unmanaged
export class Report {
  taken: i32;
  reaped: i32;
  tookUs: i32;
}

const CONTROL: usize = 64;
const REPORT: usize = 96;
const IOCBS: usize = 128;
/** The kernel's pointers on a 64-bit host. */
const POINTER: usize = 8;

export function control(): Control {
  return changetype<Control>(CONTROL);
}

export function reportAt(): usize {
  return REPORT;
}

export function iocbAt(slot: i32): usize {
  return IOCBS + <usize>slot * offsetof<Iocb>();
}

export function pointersAt(depth: i32): usize {
  return IOCBS + <usize>depth * offsetof<Iocb>();
}

export function eventsAt(depth: i32): usize {
  return pointersAt(depth) + <usize>depth * POINTER;
}

export function completionsAt(depth: i32): usize {
  return eventsAt(depth) + <usize>depth * offsetof<IoEvent>();
}

/** The completions end on a multiple of 4; the iovecs begin on the next multiple of 16. */
export function iovecsAt(depth: i32): usize {
  return (completionsAt(depth) + <usize>depth * offsetof<Completion>() + 15) & ~15;
}

export function controlBytes(depth: i32, iovecs: i32): usize {
  return iovecsAt(depth) + <usize>iovecs * offsetof<Iovec>();
}
