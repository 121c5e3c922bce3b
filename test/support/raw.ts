/** What the tests of test/kernel share: a context with memory of its own, and words for what the kernel answered. */
import { constants, readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { onTestFinished, TestRunner } from 'vitest';
import {
  Arena,
  eventfd,
  io_destroy,
  io_getevents,
  io_setup,
  io_submit,
  type RingHeader,
  readRing,
  type SystemError,
} from '../../src/raw/index.ts';
import { closeAtEnd } from './raw-files.ts';

/** The fields of a `struct iocb` (<linux/aio_abi.h>); what is not given is 0. */
export interface Iocb {
  data?: bigint;
  key?: number;
  rw_flags?: number;
  opcode: number;
  reqprio?: number;
  fd: number;
  buf?: bigint;
  nbytes?: number | bigint;
  offset?: number | bigint;
  flags?: number;
  resfd?: number;
}

/** A `struct io_event`. `res` is a count, or the name of the error that the kernel negated. */
export interface IoEvent {
  data: bigint;
  obj: bigint;
  res: number | string;
  res2: bigint;
}

/** What became of one request: refused by io_submit, or taken and completed with `res`. */
export type Outcome = { io_submit: string } | { res: number | string };

export const PAGE_BYTES = 4096;
/** The most iocbs, and the most events at once, that a rig has room for. */
export const RIG_ENTRIES = 2048;
/** An address of the kernel's half of the address space, on every 64-bit machine with 4 or 5 levels of page tables. */
export const KERNEL_ADDRESS = 0xffff_8000_0000_0000n;
/** Why no address is known beforehand to be the kernel's; undefined where one is. Such an address is merely unmapped then. */
export const ownAddressSpace: string | undefined =
  process.arch === 's390x' ? 'the kernel has an address space of its own on this machine' : undefined;
/** -1 as the kernel reads it from an unsigned word. */
export const ALL_ONES = 2n ** 64n - 1n;

const { KAIO_LONG } = process.env;
/** The byte order of this machine, and so of the kernel's words: half of the name of a method of Buffer. */
export const order: 'BE' | 'LE' = endianness();
/** Where aio_key and aio_rw_flags are: they change places on a big-endian machine (<linux/aio_abi.h>). */
export const KEY_OFFSET: number = order === 'LE' ? 8 : 12;
const RW_FLAGS_OFFSET = 20 - KEY_OFFSET;
/** Whether tests that take minutes run in full (KAIO_LONG=1). */
export const long: boolean = KAIO_LONG === '1';

const IOCB_BYTES = 64;
const EVENT_BYTES = 32;
/** How long a completion may take before the test fails instead of hanging. */
const PATIENCE_SECONDS = 20;

/** The name of a negated errno, a count as it is. */
export function named(result: number): number | string {
  return result < 0 ? (getSystemErrorMap().get(result)?.[0] ?? `errno ${-result}`) : result;
}

/** What a call answers: its result, or the code of the system error that it throws. Other errors are the test's own and pass on. */
export function answer<T>(call: () => T): T | string {
  try {
    return call();
  } catch (error) {
    const { code, errno } = error as SystemError;
    if (typeof errno !== 'number') throw error;
    return code;
  }
}

/** An eventfd that is closed when the test ends. */
export function temporaryEventfd(initval = 0, flags: number = constants.O_NONBLOCK): number {
  return closeAtEnd(eventfd(initval, flags));
}

/** The system-wide count of requests that contexts were made for. Other processes change it too. */
export function aioNr(): number {
  return Number(readFileSync('/proc/sys/fs/aio-nr', 'utf8'));
}

export interface RigOptions {
  /** How many requests the context is asked for. */
  nr?: number;
  /** Bytes for the test's own buffers. */
  memory?: number;
}

/** A context and an arena with tables of iocbs, of pointers and of events. It ends with the test. */
export class Rig {
  readonly ctx: bigint;
  readonly arena: Arena;
  readonly #iocbs: Buffer;
  readonly #pointers: Buffer;
  readonly #events: Buffer;
  #used = 0;
  #alive = true;

  constructor({ nr = 64, memory = 1 << 20 }: RigOptions = {}) {
    this.arena = new Arena(memory + RIG_ENTRIES * (IOCB_BYTES + EVENT_BYTES + 8));
    this.#iocbs = this.arena.allocate(RIG_ENTRIES * IOCB_BYTES);
    this.#pointers = this.arena.allocate(RIG_ENTRIES * 8);
    this.#events = this.arena.allocate(RIG_ENTRIES * EVENT_BYTES);
    this.ctx = io_setup(nr);
    onTestFinished(() => this.destroy());
  }

  /** Ends the context now rather than with the test. */
  destroy(): void {
    if (!this.#alive) return;
    this.#alive = false;
    io_destroy(this.ctx);
  }

  /** Says that the context has ended by other means. */
  disown(): void {
    this.#alive = false;
  }

  /** A buffer whose address the kernel can be given, filled with one byte. */
  buffer(byteLength: number, fill = 0): Buffer {
    return this.arena.allocate(byteLength).fill(fill);
  }

  address(view: ArrayBufferView): bigint {
    return this.arena.addressOf(view);
  }

  /** The first address after the arena: nothing may read or write there. Where something may, the test is skipped. */
  get end(): bigint {
    const end = this.arena.address + BigInt(this.arena.byteLength);
    if (isAccessible(end)) {
      TestRunner.getCurrentTest()?.context.skip(
        'other memory follows the arena: V8 has no guard pages on this machine',
      );
    }
    return end;
  }

  /** The address of a new iocb. The table goes round: an iocb is good until RIG_ENTRIES later ones have been made. */
  iocb(fields: Iocb): bigint {
    const at = (this.#used++ % RIG_ENTRIES) * IOCB_BYTES;
    const bytes = this.#iocbs.subarray(at, at + IOCB_BYTES);
    writeIocb(bytes, fields);
    return this.address(bytes);
  }

  /** Writes an array of pointers and says where it is. */
  pointers(entries: readonly bigint[]): bigint {
    entries.forEach((entry, at) => {
      this.#pointers[`writeBigUInt64${order}`](entry, at * 8);
    });
    return this.address(this.#pointers);
  }

  /** io_submit of iocbs that exist. Throws as io_submit does. */
  submit(...iocbs: readonly bigint[]): number {
    return io_submit(this.ctx, iocbs.length, this.pointers(iocbs));
  }

  /** Waits for exactly `count` events; fails where they don't come. */
  reap(count = 1): IoEvent[] {
    const events: IoEvent[] = [];
    while (events.length < count) {
      const came = answer(() => this.poll(count - events.length, { tv_sec: PATIENCE_SECONDS, tv_nsec: 0 }));
      // On a slow machine a child of an earlier test may end only now, and its SIGCHLD ends the wait (io_getevents(2), ERRORS).
      if (came === 'EINTR') continue;
      if (typeof came === 'string') throw new Error(`io_getevents: ${came}`);
      if (came.length === 0) throw new Error(`${events.length} of ${count} events came within ${PATIENCE_SECONDS} s`);
      events.push(...came);
    }
    return events;
  }

  /** io_getevents of up to `nr` events, waiting for all of them or for the timeout: not at all by default. */
  poll(nr = RIG_ENTRIES, timeout = { tv_sec: 0, tv_nsec: 0 }, min = nr): IoEvent[] {
    const count = io_getevents(this.ctx, min, nr, this.events, timeout);
    return this.decode(count);
  }

  /** Where `poll` has its events, for calls that a test makes itself. */
  get events(): bigint {
    return this.address(this.#events);
  }

  /** The first events at that place. */
  decode(count: number): IoEvent[] {
    return Array.from({ length: count }, (_, index) => readEvent(this.#events.subarray(index * EVENT_BYTES)));
  }

  /** Submits one request and waits for it. */
  attempt(fields: Iocb): Outcome {
    const submitted = answer(() => this.submit(this.iocb(fields)));
    if (typeof submitted === 'string') return { io_submit: submitted };
    return { res: this.reap()[0]!.res };
  }

  /** Submits all in one call and waits for all: their results, in the order of the requests. */
  attemptAll(requests: readonly Iocb[]): (number | string)[] {
    const iocbs = requests.map((fields) => this.iocb(fields));
    const submitted = this.submit(...iocbs);
    if (submitted !== iocbs.length) throw new Error(`io_submit took ${submitted} of ${iocbs.length}`);
    const results = new Map(this.reap(iocbs.length).map(({ obj, res }) => [obj, res]));
    return iocbs.map((iocb) => results.get(iocb) ?? 'no event');
  }

  /** How many events lie in the ring, unread. */
  get unread(): number {
    const { head, tail, nr }: RingHeader = readRing(this.ctx);
    return (tail - head + nr) % nr;
  }
}

/** What is mapped into this process: from where to where, and what may be done there. */
function mappings(): { from: bigint; to: bigint; rights: string }[] {
  const lines = readFileSync('/proc/self/maps', 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) (\S+)/gm);
  return [...lines].map(([, from, to, rights]) => ({
    from: BigInt(`0x${from}`),
    to: BigInt(`0x${to}`),
    rights: rights!,
  }));
}

/** Whether this process may read or write at an address. */
function isAccessible(address: bigint): boolean {
  return mappings().some(({ from, to, rights }) => address >= from && address < to && /^(?:r|.w)/.test(rights));
}

/** Where the last mapping ends, but for the kernel's own (vsyscall): its address space goes on for some GiB at most. */
export function endOfMappings(): bigint {
  return mappings().reduce((end, { to }) => (to > end && to < 2n ** 63n ? to : end), 0n);
}

/** Writes a `struct iocb` over 64 bytes, every one of them. */
export function writeIocb(bytes: Buffer, fields: Iocb): void {
  bytes.fill(0, 0, IOCB_BYTES);
  bytes[`writeBigUInt64${order}`](fields.data ?? 0n, 0);
  bytes[`writeUInt32${order}`](fields.key ?? 0, KEY_OFFSET);
  bytes[`writeUInt32${order}`](fields.rw_flags ?? 0, RW_FLAGS_OFFSET);
  bytes[`writeUInt16${order}`](fields.opcode, 16);
  bytes[`writeUInt16${order}`](fields.reqprio ?? 0, 18);
  bytes[`writeInt32${order}`](fields.fd, 20);
  bytes[`writeBigUInt64${order}`](fields.buf ?? 0n, 24);
  bytes[`writeBigUInt64${order}`](BigInt.asUintN(64, BigInt(fields.nbytes ?? 0)), 32);
  bytes[`writeBigInt64${order}`](BigInt(fields.offset ?? 0), 40);
  bytes[`writeUInt32${order}`](fields.flags ?? 0, 56);
  bytes[`writeInt32${order}`](fields.resfd ?? 0, 60);
}

function readEvent(bytes: Buffer): IoEvent {
  return {
    data: bytes[`readBigUInt64${order}`](0),
    obj: bytes[`readBigUInt64${order}`](8),
    res: named(Number(bytes[`readBigInt64${order}`](16))),
    res2: bytes[`readBigInt64${order}`](24),
  };
}
