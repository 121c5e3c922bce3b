import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { aioError } from '../errors.ts';

/**
 * What the native module exports. This is the one file that names its functions. Where a call answers with a number, a negative
 * one is a negated errno.
 */
export interface Binding {
  io_setup(nr: number, ctxp?: bigint): bigint | number;
  io_destroy(ctx: bigint): number;
  io_submit(ctx: bigint, nr: number, iocbpp: bigint): number;
  io_getevents(ctx: bigint, min: number, nr: number, events: bigint, timeout: bigint): number;
  io_pgetevents(ctx: bigint, min: number, nr: number, events: bigint, timeout: bigint, usig: bigint): number;
  io_cancel(ctx: bigint, iocb: bigint, result: bigint): number;
  eventfd(initval: number, flags: number): number;
  readRing(ctx: bigint): RingHeader | undefined;
  addressOf(view: ArrayBufferLike | ArrayBufferView): bigint;
  madvise(buffer: ArrayBuffer, advice: number): number;
  /** Whether io_uring is allowed, asked of the kernel: -EFAULT where it is. It makes nothing. */
  io_uring_setup(): number;
  readonly MADV_DONTFORK: number;
  readonly MADV_HUGEPAGE: number;
  createContext(
    control: ArrayBuffer,
    pool: ArrayBuffer,
    depth: number,
    pointersAt: number,
    eventsAt: number,
    reportAt: number,
    useRing: boolean,
    maxThreads: number,
    destroyAtExit: boolean,
    /** Events that one call of `onWake` may bring. What it begins, in microtasks and in ticks too, is done before the next call. */
    wakeMost: number,
    /** `first`: the event loop has turned since the last call. */
    onWake: (count: number, first: boolean) => void,
  ): KernelContext | KernelFailure;
  statx(fd: number): Promise<Statx | number>;
  fallocate(fd: number, mode: number, offset: number, length: number): Promise<number>;
  /** Moves the descriptor's own position, which kaio does not use; for SEEK_DATA and SEEK_HOLE. */
  lseek(fd: number, offset: number, whence: number): Promise<number>;
  statusFlags(fd: number): number;
}

/** One kernel context as the engine drives it. Functions, not methods: they need no `this`. */
export interface KernelContext {
  /** The descriptor that completions signal (those with IOCB_FLAG_RESFD). */
  readonly eventfd: number;
  /**
   * Submits entries of the pointer array in one call and, if the kernel takes them all, reaps up to `most` events as `reap` does. The
   * control memory's report says what came of it: three 32-bit words, how many were taken or a negated errno, how many events there
   * are now, and the microseconds that io_submit took.
   */
  readonly submit: (first: number, count: number, most: number) => void;
  /** Submits entries of the pointer array one by one on another thread; a refusal comes back as an event with res2 = 1. */
  readonly offload: (first: number, count: number) => number;
  /** Copies what has completed into the control memory's events: how many, or a negated errno. */
  readonly reap: () => number;
  /** io_cancel of the iocb that this entry of the pointer array points to. */
  readonly cancel: (index: number) => number;
  /** How often this thread has slept so far (ru_nvcsw). */
  readonly sleeps: () => number;
  /** Whether waiting for completions keeps the event loop alive; not at first. */
  readonly ref: () => void;
  readonly unref: () => void;
  /** Ends the context off-thread, with what it has in flight, and then calls back: until then that needs its memory. */
  readonly destroy: (callback: () => void) => void;
}

export interface KernelFailure {
  readonly syscall: string;
  readonly errno: number;
}

/** The header of a context's completion ring, fs/aio.c, `struct aio_ring`. */
export interface RingHeader {
  id: number;
  /** How many events fit: more than were asked for. */
  nr: number;
  head: number;
  tail: number;
  magic: number;
  compat_features: number;
  incompat_features: number;
  header_length: number;
}

/** What statx(2) says of a descriptor. The two alignments are undefined where the kernel (before 6.1) or file system does not tell. */
export interface Statx {
  mode: number;
  size: number;
  blksize: number;
  dev_major: number;
  dev_minor: number;
  ino: bigint;
  /** Bytes; 0 where the file cannot do direct I/O. */
  dio_mem_align: number | undefined;
  dio_offset_align: number | undefined;
}

/** Why there is no asynchronous I/O here. `reason` is short and stable, `message` is for people. */
export interface Unsupported {
  supported: false;
  reason: 'platform' | 'architecture' | 'native-module' | 'webassembly' | 'denied' | 'kernel';
  message: string;
}

/** Where the native module is, and what it is built from. At the package's root binding.gyp would have package managers compile. */
const native = fileURLToPath(new URL('../../native', import.meta.url));

/** node-gyp 12 runs on every Node that kaio does; newer ones do not. */
function howToBuild(): string {
  const quoted = /[^\w/.@:-]/.test(native) ? `'${native.replaceAll("'", "'\\''")}'` : native;
  return `To build it, which takes python3, make and a C++17 compiler, run: npx --yes node-gyp@12 rebuild --directory=${quoted}`;
}

let loaded: Binding | Unsupported | undefined;

function load(): Binding | Unsupported {
  const { platform, arch } = process;
  if (platform !== 'linux') {
    const message = `Asynchronous I/O of the Linux kernel needs Linux; this is ${platform}. kaio/layout works everywhere`;
    return { supported: false, reason: 'platform', message };
  }
  if (/^(arm|ia32|mips|mipsel|ppc|s390)$/.test(arch)) {
    const message = `kaio needs a 64-bit process; this is ${arch}. kaio/layout works everywhere`;
    return { supported: false, reason: 'architecture', message };
  }
  try {
    const require = createRequire(import.meta.url);
    return (require('node-gyp-build') as (folder: string) => Binding)(native);
  } catch (error) {
    const { message: cause } = error as Error;
    const why = cause.startsWith('No native build was found')
      ? `kaio brings no native module for ${arch} with this C library, but for x64 and arm64 with glibc`
      : `kaio's native module does not load here: ${cause}`;
    return { supported: false, reason: 'native-module', message: `${why}. ${howToBuild()}` };
  }
}

/** The native module, or why it is not there. It is loaded on the first call, never by an import. */
export function findBinding(): Binding | Unsupported {
  loaded ??= load();
  return loaded;
}

/** The native module; throws `ERR_AIO_UNSUPPORTED` where there is none. */
export function binding(): Binding {
  const found = findBinding();
  if ('supported' in found) throw aioError('ERR_AIO_UNSUPPORTED', found.message);
  return found;
}
