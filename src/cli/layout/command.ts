import type { Command, Terminal } from '../command.ts';
import { check } from './check.ts';
import { decode } from './decode.ts';
import { show } from './show.ts';

const help = `Usage: kaio layout [STRUCT] [--abi A] [--json | --svg FILE | --constants | --vectors | --list]
       kaio layout [STRUCT] --diff A B
       kaio layout decode [STRUCT] [--abi A] [--json] HEX|FILE|-
       kaio layout check [--cc CC] [--abi A] [--file LAYOUT.json]

Byte layouts of the kernel's structures for asynchronous I/O, on every ABI.

  STRUCT is one of iocb, io_event, aio_ring, iovec, timespec, timespec64, aio_sigset, aio_context_t, iocbp; all of them without it.
  The ABI is that of this machine without --abi; --list has the names.

Show:
      --abi A         the layout on this ABI
      --json          as JSON
      --svg FILE      write the byte map of one STRUCT as a picture
      --ascii         draw without box characters
      --diff A B      how the structures, calls and constants differ between two ABIs
      --constants     the constants: value, since when, and what asynchronous I/O makes of them
      --vectors       golden bytes for all ABIs, as JSON with one case a line
      --list          the ABIs, with the numbers of their system calls

decode: explains bytes field by field, and marks what the kernel would refuse. STRUCT is iocb unless named. HEX may be what gdb, xxd or
hexdump -C printed: addresses are skipped, rows that were left out are put in again, and words such as 0x1122 are read in the byte order of
the ABI. - reads standard input; a FILE may hold text or the raw bytes. Several structures in a row are explained one after the other.
      --abi A, --json

check: compiles a probe with your compiler and kernel headers and compares every size, offset and constant. Nothing is run, so a cross
compiler will do. The ABI is the one that CC compiles for; with --abi it must be this one.
      --cc CC         the compiler and its arguments, by default $CC or cc: --cc 'clang --target=s390x-linux-gnu -isystem DIR'
      --abi A         the ABI that is meant
      --file FILE     compare a layout in the form of --json instead of compiling; - reads standard input. Each structure is compared on
                      the ABI that it names, unless --abi names one for all
      --json          the result as JSON

  -h, --help          show this help

Exit codes: 0 good, or all the same; 1 something differs (check) or would be refused (decode); 2 wrong use, or no compiler

Examples:
  kaio layout iocb --abi s390x
  kaio layout --diff x86_64 i386
  kaio layout decode io_event 0x0000000000000001 0x00007ffe00001000 0xfffffffffffffffb 0x0000000000000000
  kaio layout check --cc clang
`;

async function run(args: string[], terminal: Terminal): Promise<number> {
  if (args[0] === 'decode') return await decode(args.slice(1), terminal);
  if (args[0] === 'check') return await check(args.slice(1), terminal);
  return show(args, terminal);
}

export const command: Command = { summary: "byte layouts of the kernel's structures, on every ABI", help, run };
