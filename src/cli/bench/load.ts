import { close, constants, open as fsOpen, read, write } from 'node:fs';
import { open as openHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { AioContext } from '../../file/context.ts';
import { Arena } from '../../raw/arena.ts';
import { Latencies } from './latencies.ts';
import type { EngineName, Mode } from './options.ts';

/** One worker's part of a run. */
export interface LoadSpec {
  readonly engine: EngineName;
  readonly path: string;
  readonly mode: Mode;
  readonly blockBytes: number;
  readonly targetBytes: number;
  readonly depth: number;
  /** Not 0; every worker has another. */
  readonly seed: number;
}

/** What a worker has done in a while. */
export interface Tally {
  requests: number;
  latencies: Float64Array<ArrayBuffer>;
}

/** Transfers one block and resolves to its bytes. */
type Transfer = (writing: boolean, buffer: Uint8Array, position: number) => Promise<number>;

interface Engine {
  readonly buffers: readonly Uint8Array[];
  readonly transfer: Transfer;
  close(): Promise<void>;
}

const { O_DIRECT, O_RDONLY, O_RDWR } = constants;

function flagsOf(mode: Mode): number {
  return mode === 'read' || mode === 'randread' ? O_RDONLY : O_RDWR;
}

async function kaioEngine({ path, mode, depth, blockBytes }: LoadSpec, byCallback: boolean): Promise<Engine> {
  const context = new AioContext({ depth: Math.max(depth, 32), memory: Math.max(2 ** 26, depth * blockBytes * 2) });
  const file = await context.open(path, flagsOf(mode));
  const buffers = Array.from({ length: depth }, () => context.allocate(blockBytes));
  const byPromise: Transfer = async (writing, buffer, position) =>
    writing
      ? (await file.write(buffer, 0, blockBytes, position)).bytesWritten
      : (await file.read(buffer, 0, blockBytes, position)).bytesRead;
  const called: Transfer = (writing, buffer, position) =>
    new Promise((resolve, reject) => {
      const done = (error: Error | null, bytes?: number): void => (error === null ? resolve(bytes!) : reject(error));
      if (writing) file.write(buffer, 0, blockBytes, position, done);
      else file.read(buffer, 0, blockBytes, position, done);
    });
  return { buffers, transfer: byCallback ? called : byPromise, close: () => context.close() };
}

/** Node has no aligned memory of its own, so fs reads into ours. */
function alignedBuffers({ depth, blockBytes }: LoadSpec): Uint8Array[] {
  const arena = new Arena(depth * Math.ceil(blockBytes / 4096) * 4096);
  return Array.from({ length: depth }, () => arena.allocate(blockBytes));
}

async function fsEngine(spec: LoadSpec): Promise<Engine> {
  const handle = await openHandle(spec.path, flagsOf(spec.mode) | O_DIRECT);
  const { blockBytes } = spec;
  return {
    buffers: alignedBuffers(spec),
    transfer: async (writing, buffer, position) =>
      writing
        ? (await handle.write(buffer, 0, blockBytes, position)).bytesWritten
        : (await handle.read(buffer, 0, blockBytes, position)).bytesRead,
    close: () => handle.close(),
  };
}

async function fsCallbackEngine(spec: LoadSpec): Promise<Engine> {
  const fd = await promisify(fsOpen)(spec.path, flagsOf(spec.mode) | O_DIRECT);
  const { blockBytes } = spec;
  return {
    buffers: alignedBuffers(spec),
    transfer: (writing, buffer, position) =>
      new Promise((resolve, reject) => {
        const done = (error: Error | null, bytes: number): void => (error === null ? resolve(bytes) : reject(error));
        if (writing) write(fd, buffer, 0, blockBytes, position, done);
        else read(fd, buffer, 0, blockBytes, position, done);
      }),
    close: () => promisify(close)(fd),
  };
}

function openEngine(spec: LoadSpec): Promise<Engine> {
  switch (spec.engine) {
    case 'kaio':
      return kaioEngine(spec, false);
    case 'kaio-callback':
      return kaioEngine(spec, true);
    case 'fs':
      return fsEngine(spec);
    case 'fs-callback':
      return fsCallbackEngine(spec);
  }
}

/** Keeps `depth` requests in flight whenever it is told to. */
export class Load {
  readonly #spec: LoadSpec;
  readonly #engine: Engine;
  readonly #blocks: number;
  #random: number;
  #next = 0;
  #running = false;
  #requests = 0;
  #latencies = new Latencies();

  private constructor(spec: LoadSpec, engine: Engine) {
    this.#spec = spec;
    this.#engine = engine;
    this.#random = spec.seed | 0;
    this.#blocks = Math.floor(spec.targetBytes / spec.blockBytes);
    // Workers that go through the target in order begin at different places.
    this.#next = (Math.imul(spec.seed - 1, 0x9e3779b1) >>> 0) % this.#blocks;
  }

  static async open(spec: LoadSpec): Promise<Load> {
    return new Load(spec, await openEngine(spec));
  }

  async run(milliseconds: number): Promise<Tally> {
    this.#requests = 0;
    this.#latencies = new Latencies();
    this.#running = true;
    const timer = setTimeout(() => {
      this.#running = false;
    }, milliseconds);
    try {
      await Promise.all(this.#engine.buffers.map((buffer) => this.#loop(buffer)));
    } finally {
      clearTimeout(timer);
      this.#running = false;
    }
    return { requests: this.#requests, latencies: this.#latencies.counts };
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  async #loop(buffer: Uint8Array): Promise<void> {
    const { blockBytes } = this.#spec;
    let began = performance.now();
    while (this.#running) {
      const writing = this.#writes();
      const position = this.#block() * blockBytes;
      const bytes = await this.#engine.transfer(writing, buffer, position);
      if (bytes !== blockBytes) throw new Error(`${bytes} of ${blockBytes} bytes were transferred at ${position}`);
      const now = performance.now();
      this.#latencies.add((now - began) * 1000);
      this.#requests++;
      began = now;
    }
  }

  #writes(): boolean {
    const { mode } = this.#spec;
    if (mode === 'randrw') return (this.#draw() & 0x10000) !== 0;
    return mode === 'write' || mode === 'randwrite';
  }

  #block(): number {
    const { mode } = this.#spec;
    if (mode !== 'read' && mode !== 'write') return this.#draw() % this.#blocks;
    const block = this.#next;
    this.#next = block + 1 === this.#blocks ? 0 : block + 1;
    return block;
  }

  /** xorshift32: what is read is the same each time. */
  #draw(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 0;
  }
}
