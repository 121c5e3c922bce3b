import { closeSync } from 'node:fs';
import { Arena } from 'kaio/raw';
import { binding, instantiatePacker, type KernelContext, type Packer } from '../internals.ts';
import { checkLength, type Make, openAll, type Step } from './engines.ts';
import type { Row } from './rows.ts';

const IOCB_CMD_PREAD = 0;
const IOCB_CMD_PWRITE = 1;
const IOCB_FLAG_RESFD = 1;

/** A kernel context with the memory that its requests are packed in. */
interface Context {
  readonly kernel: KernelContext;
  readonly packer: Packer;
  readonly results: Int32Array;
  readonly report: Int32Array;
  readonly words: number;
}

/** What a first attempt at a binding does: everything in one io_submit, on the event loop, and no flag. */
export const naive: Make = (row, memoryBytes) => {
  let fds: number[] = [];
  const arena = new Arena(memoryBytes);
  const memory = arena.allocate(memoryBytes);
  let wake: (count: number) => void = () => {};
  const context = contextFor(row.files * row.requests, arena, (count) => wake(count));
  return {
    memory,
    async open(paths) {
      fds = openAll(row, paths);
    },
    run: (steps) =>
      new Promise((resolve) => {
        let open = steps.length;
        wake = (count) => {
          settle(context, row, count);
          open -= count;
          if (open === 0) resolve();
        };
        submitAll(context, row, fds, memory.byteOffset, steps);
      }),
    async shut() {
      for (const fd of fds) closeSync(fd);
    },
    close: () => new Promise((resolve) => context.kernel.destroy(resolve)),
  };
};

function contextFor(depth: number, arena: Arena, onWake: (count: number) => void): Context {
  const sizing = instantiatePacker(new WebAssembly.Memory({ initial: 1, maximum: 1 }));
  const pages = Math.ceil(sizing.controlBytes(depth, 0) / 65536);
  const control = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const packer = instantiatePacker(control);
  const kernel = binding().createContext(
    control.buffer,
    arena.buffer,
    depth,
    packer.pointersAt(depth),
    packer.eventsAt(depth),
    packer.reportAt(),
    true,
    1,
    false,
    depth,
    onWake,
  );
  if ('errno' in kernel) throw new Error(`${kernel.syscall}: ${kernel.errno}`);
  packer.init(depth, 0, binding().addressOf(control.buffer), arena.address, kernel.eventfd, 0);
  const words = packer.completion_words.value;
  kernel.ref();
  const results = new Int32Array(control.buffer, packer.completionsAt(depth), depth * words);
  return { kernel, packer, words, results, report: new Int32Array(control.buffer, packer.reportAt(), 3) };
}

function submitAll(context: Context, row: Row, fds: number[], base: number, steps: readonly Step[]): void {
  const { kernel, packer, report } = context;
  const op = row.op === 'read' ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
  for (const [i, { file, at, position }] of steps.entries()) {
    packer.pack(i, i, op, fds[file]!, base + at, row.bytes, position, 0, 0, IOCB_FLAG_RESFD);
  }
  for (let first = 0; first < steps.length; ) {
    kernel.submit(first, steps.length - first, 0);
    const taken = report[0]!;
    if (taken <= 0) throw new Error(`${row.name}: io_submit gave ${taken}`);
    first += taken;
  }
}

function settle({ packer, results, words }: Context, row: Row, count: number): void {
  packer.decode(count);
  for (let i = 0; i < count; i++) checkLength(row, results[i * words + 1]!);
}
