import { constants as fsConstants, type Stats, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type CopyResult, copyFile } from '../../index.ts';
import { type Command, type Terminal, UsageError } from '../command.ts';
import { type EndSignal, exitCodeOf, onSignals } from '../signals.ts';
import { ProgressBar, sizeText } from './progress.ts';

const help = `Usage: kaio copy SRC DST [options]

Copies a file past the page cache, with many requests under way. Holes stay holes, and where the file system can share data (btrfs,
xfs) nothing is moved. In a folder DST the copy is named as SRC. SRC may be a block device.

The copy gets its name when it is complete and on the disk; until then it is a file .kaio-copy-... beside DST. Whatever ends it early, also
Ctrl-C and SIGTERM, that file is gone afterwards and DST as it was; only SIGKILL and a power cut leave it, for you to remove. Nothing is
resumed: the next run begins anew. On a terminal a bar shows the rate and the time left.

  -f, --force         replace DST where it exists
      --verify        read both once more and compare them before the copy gets its name
      --no-reflink    move the data even where it could be shared
  -h, --help          show this help

Exit codes: 0 copied; 1 it could not be copied, or the comparison failed; 2 wrong use; 130 and 143 ended by Ctrl-C and SIGTERM

Examples:
  kaio copy disk.img /backup/
  kaio copy --force --verify /dev/vdb vdb.img
`;

/** What is wrong with what was typed, and not with a disk. */
const MISTAKES = ['ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES', 'EPERM', 'EROFS', 'ELOOP', 'ENAMETOOLONG'];

interface CopyCommand {
  readonly source: string;
  readonly destination: string;
  readonly force: boolean;
  readonly verify: boolean;
  readonly reflink: boolean;
}

async function run(args: string[], terminal: Terminal): Promise<number> {
  const command = parse(args);
  const bar = new ProgressBar(terminal, basename(command.source));
  const controller = new AbortController();
  let signalled: EndSignal | undefined;
  const release = onSignals((signal) => {
    // Once: a second signal ends what cannot be ended in order, such as a copy from a mount that hangs.
    release();
    signalled = signal;
    controller.abort();
  });
  const began = performance.now();
  try {
    const result = await copy(command, bar, controller.signal);
    bar.end(summary(result, command.verify, performance.now() - began));
    return 0;
  } catch (error) {
    bar.end('');
    if (signalled === undefined) return explain(error as NodeJS.ErrnoException, command, terminal);
    terminal.err('kaio copy: interrupted; nothing of the copy is left\n');
    return exitCodeOf(signalled);
  } finally {
    release();
  }
}

function parse(args: string[]): CopyCommand {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      force: { type: 'boolean', short: 'f', default: false },
      verify: { type: 'boolean', default: false },
      'no-reflink': { type: 'boolean', default: false },
    },
  });
  const [source, given] = positionals;
  if (source === undefined || given === undefined || positionals.length > 2) {
    throw new UsageError('give one file to copy and where to: kaio copy SRC DST');
  }
  const destination = find(given)?.isDirectory() === true ? join(given, basename(source)) : given;
  const [from, to] = [find(source), find(destination)];
  if (from?.isDirectory() === true) throw new UsageError(`'${source}' is a folder, and one file is copied at a time`);
  if (from !== undefined && to !== undefined && from.dev === to.dev && from.ino === to.ino) {
    throw new UsageError(`'${source}' and '${destination}' are the same file`);
  }
  return { source, destination, force: values.force, verify: values.verify, reflink: !values['no-reflink'] };
}

function find(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function copy(command: CopyCommand, bar: ProgressBar, signal: AbortSignal): Promise<CopyResult> {
  const { source, destination, force, verify, reflink } = command;
  return copyFile(source, destination, {
    mode: force ? 0 : fsConstants.COPYFILE_EXCL,
    verify,
    reflink,
    signal,
    onProgress: (progress) => bar.show(progress),
  });
}

/** Says why it failed; rethrows what is a mistake of the user's, or of ours. */
function explain(error: NodeJS.ErrnoException, { destination }: CopyCommand, terminal: Terminal): number {
  const { code = '', syscall } = error;
  if (code === 'EEXIST') throw new UsageError(`'${destination}' exists; --force replaces it`);
  if (MISTAKES.includes(code) || (syscall === undefined && code !== 'ERR_AIO_COPY_DIFFERS')) throw error;
  terminal.err(`kaio copy: ${error.message}\n`);
  return 1;
}

function summary({ size, copied, reflinked }: CopyResult, verified: boolean, tookMs: number): string {
  if (reflinked) return `${sizeText(size)} shared with the source: nothing had to be moved`;
  const holes = copied < size ? `, ${sizeText(size - copied)} of holes` : '';
  return `${sizeText(copied)} in ${(tookMs / 1000).toFixed(1)} s, ${sizeText((copied / tookMs) * 1000)}/s${holes}${verified ? ', compared' : ''}`;
}

export const command: Command = { summary: 'copy a file past the page cache, holes and all', help, run };
