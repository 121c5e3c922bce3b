/**
 * Asynchronous I/O of the Linux kernel by hand, in five steps, with the bare system calls of `kaio/raw`: one block of 4096 bytes goes
 * to a file past the page cache.
 *
 *     node examples/out/bare-metal.js [--dir FOLDER]
 */
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { endianness, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Arena, io_destroy, io_getevents, io_setup, io_submit } from 'kaio/raw';

const BLOCK_BYTES = 4096;
const SIZEOF_IOCB = 64;
const SIZEOF_POINTER = 8;
const SIZEOF_IO_EVENT = 32;
const IOCB_CMD_PWRITE = 1;

/** The kernel reads and writes its structures in the byte order of the machine. */
const LITTLE_ENDIAN = endianness() === 'LE';

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** The same view of memory that the kernel has, but for where its first byte is. */
function dataView(memory: Buffer): DataView {
  return new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
}

/** Fills a `struct iocb` of <linux/aio_abi.h>: what is not named here stays 0. */
function fillIocb(iocb: DataView, request: { aio_data: bigint; fd: number; address: bigint; bytes: number }): void {
  iocb.setBigUint64(0, request.aio_data, LITTLE_ENDIAN);
  iocb.setUint16(16, IOCB_CMD_PWRITE, LITTLE_ENDIAN); // aio_lio_opcode
  iocb.setUint32(20, request.fd, LITTLE_ENDIAN); // aio_fildes
  iocb.setBigUint64(24, request.address, LITTLE_ENDIAN); // aio_buf
  iocb.setBigUint64(32, BigInt(request.bytes), LITTLE_ENDIAN); // aio_nbytes
  iocb.setBigInt64(40, 0n, LITTLE_ENDIAN); // aio_offset
}

/** Steps 3 to 5: one write through `ctx`, from filling the iocb to checking its event. */
function writeBlock(ctx: bigint, arena: Arena, fd: number, data: Buffer): void {
  const iocb = arena.allocate(SIZEOF_IOCB);
  const iocbpp = arena.allocate(SIZEOF_POINTER);
  const events = arena.allocate(SIZEOF_IO_EVENT);
  const aio_data = 0xcafen;

  fillIocb(dataView(iocb), { aio_data, fd, address: arena.addressOf(data), bytes: data.length });
  dataView(iocbpp).setBigUint64(0, arena.addressOf(iocb), LITTLE_ENDIAN);
  const taken = io_submit(ctx, 1, arena.addressOf(iocbpp));
  say(
    `3. io_submit took ${taken} request: write ${data.length} bytes at offset 0. The kernel owns the memory from here on.`,
  );

  // A real program does something else meanwhile; io_getevents makes this thread wait.
  const ready = io_getevents(ctx, 1, 1, arena.addressOf(events));
  const event = dataView(events);
  const answered = event.getBigUint64(0, LITTLE_ENDIAN);
  const res = event.getBigInt64(16, LITTLE_ENDIAN);
  say(`4. io_getevents read ${ready} event: data 0x${answered.toString(16)}, res ${res}.`);

  if (answered !== aio_data) throw new Error('The event belongs to another request');
  if (res < 0n) throw new Error(`The kernel could not write: error number ${-res}`);
  if (res !== BigInt(data.length)) throw new Error(`The kernel wrote ${res} of ${data.length} bytes`);
}

function fiveSteps(path: string): void {
  const ctx = io_setup(10);
  say(`1. io_setup made a context for 10 requests: 0x${ctx.toString(16)}, the address of its ring of events.`);
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_DIRECT, 0o600);
    const arena = new Arena(8 * BLOCK_BYTES);
    const data = arena.allocate(BLOCK_BYTES).fill('kaio ');
    const address = arena.addressOf(data);
    say(
      `2. Opened ${path} with O_DIRECT as descriptor ${fd}, and took ${BLOCK_BYTES} bytes at 0x${address.toString(16)},`,
    );
    say(
      `   which is a multiple of ${BLOCK_BYTES} (remainder ${address % BigInt(BLOCK_BYTES)}): no device wants more than that.`,
    );
    writeBlock(ctx, arena, fd, data);
    if (!readFileSync(path).equals(data)) throw new Error('The file holds something else than was written');
  } finally {
    if (fd !== undefined) closeSync(fd);
    io_destroy(ctx);
  }
  say('5. The result is right, the file holds the same bytes, and io_destroy has ended the context.');
}

/** What went wrong, in words for somebody who has not read this file. */
function explain(error: unknown, dir: string): string {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code === 'EINVAL' && syscall === 'open') {
    return `The file system of ${dir} cannot do direct I/O. Name a folder on a disk with --dir`;
  }
  return message;
}

function main(): number {
  let dir: string;
  try {
    dir = parseArgs({ options: { dir: { type: 'string', default: tmpdir() } } }).values.dir;
  } catch (error) {
    process.stderr.write(`bare-metal: ${(error as Error).message}\nUsage: bare-metal [--dir FOLDER]\n`);
    return 2;
  }
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(dir, 'kaio-bare-metal-'));
    fiveSteps(join(folder, 'block'));
    return 0;
  } catch (error) {
    process.stderr.write(`bare-metal: ${explain(error, dir)}\n`);
    return 1;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = main();
