import { closeSync, openSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import type { Command, Terminal } from '../command.ts';
import { exitOnSignals } from '../signals.ts';
import { type BenchOptions, parseOptions } from './options.ts';
import { page } from './page.ts';
import { type EngineResult, runEngines } from './run.ts';
import { type Figures, figuresOf, summary } from './table.ts';
import { type BenchTarget, prepareTarget } from './target.ts';

const help = `Usage: kaio bench PATH [options]

Measures a file, a device or the disk of a folder with kaio and with Node's fs, in turns. In a folder, or where there is nothing at
PATH, it makes a file, and removes it at the end, whether that comes by itself, by Ctrl-C or by SIGTERM. Direct I/O, always.

  --rw MODE         randread (default), randwrite, read, write, randrw (half and half)
  --bs SIZE         bytes of a request, 4k by default
  --depth N         requests in flight of each worker, 32 by default
  --size SIZE       how much of the target is used, or how large the file is that is made; 1g by default
  --runtime SECONDS for each engine, 5 by default
  --workers N       worker threads, 1 by default
  --engine LIST     kaio, kaio-callback, fs, fs-callback; kaio,fs by default. UV_THREADPOOL_SIZE is the number of fs's threads
  --json            print the figures as JSON
  --html FILE       write a page with charts
  --overwrite       write to a device or to a file that exists: what is on it is lost
  -h, --help        show this help

Exit codes: 0 measured; 2 wrong use, or it could not be measured; 130 and 143 ended by Ctrl-C and SIGTERM

Examples:
  kaio bench .
  kaio bench /var/lib/data --rw randrw --bs 16k --depth 64 --workers 2
  kaio bench /dev/nvme0n1 --engine kaio,kaio-callback,fs --html bench.html
`;

async function run(args: string[], terminal: Terminal): Promise<number> {
  const options = parseOptions(args);
  // Now, and not when all is measured, it turns out whether there can be a page. What is in it stays until there is another.
  if (options.html !== undefined) closeSync(openSync(options.html, 'a'));
  const restoreSignals = exitOnSignals();
  try {
    const target = await prepareTarget(options);
    try {
      await report(options, target, terminal);
    } finally {
      target.remove();
    }
  } finally {
    restoreSignals();
  }
  return 0;
}

async function report(options: BenchOptions, target: BenchTarget, terminal: Terminal): Promise<void> {
  const results = await runEngines(options, target, (result, share) => showLive(terminal, result, share));
  if (terminal.color) terminal.err('\r\x1b[K');
  const facts = factsOf(options, target.bytes, results);
  terminal.out(options.json ? `${JSON.stringify(facts, undefined, 2)}\n` : summary(results, options));
  if (options.html !== undefined) writeFileSync(options.html, page(facts, results));
}

/** One line that is written over: only where somebody looks. */
function showLive(terminal: Terminal, { engine, perSecond }: EngineResult, share: number): void {
  if (!terminal.color) return;
  terminal.err(
    `\r\x1b[K${(share * 100).toFixed(0).padStart(3)} %  ${engine}: ${perSecond.at(-1)!.toFixed(0)} requests/s`,
  );
}

/** Everything that the figures depend on, and the figures. */
export interface BenchFacts {
  readonly kernel: string;
  readonly node: string;
  readonly poolThreads: number;
  readonly path: string;
  readonly rw: string;
  readonly bs: number;
  readonly depth: number;
  readonly workers: number;
  readonly bytes: number;
  readonly engines: readonly Figures[];
}

function factsOf(options: BenchOptions, bytes: number, results: readonly EngineResult[]): BenchFacts {
  const { path, mode, blockBytes, depth, workers } = options;
  return {
    kernel: release(),
    node: process.versions.node,
    poolThreads: Number(process.env['UV_THREADPOOL_SIZE'] ?? 4),
    path,
    rw: mode,
    bs: blockBytes,
    depth,
    workers,
    bytes,
    engines: results.map((result) => figuresOf(result, blockBytes)),
  };
}

export const command: Command = { summary: 'measure a file or device with kaio and with fs', help, run };
