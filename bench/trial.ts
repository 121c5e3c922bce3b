import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Slice, TrialSpec } from './protocol.ts';

/** How to start a child, and what it is called in the results. */
export interface Command {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const child = fileURLToPath(new URL('child.js', import.meta.url));

/** A child of this Node, or of another one. */
export function nodeCommand(name: string, spec: TrialSpec, options: NodeOptions = {}): Command {
  const { node = process.execPath, env = {}, flags = [] } = options;
  return { name, file: node, args: [...flags, child, JSON.stringify(spec)], env };
}

export interface NodeOptions {
  node?: string;
  env?: Readonly<Record<string, string>>;
  flags?: readonly string[];
}

/** Whatever can be measured slice by slice. */
export interface Measured {
  readonly name: string;
  slice(milliseconds: number): Promise<Slice>;
  end(): Promise<void>;
}

/** One child process, which does nothing between its slices. */
export class Trial implements Measured {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #input: Interface;
  readonly #ended: Promise<number | null>;

  private constructor(command: Command, prefix: readonly string[]) {
    this.name = command.name;
    const [file, ...args] = [...prefix, command.file, ...command.args] as [string, ...string[]];
    this.#process = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...command.env },
    });
    this.#input = createInterface({ input: this.#process.stdout! });
    this.#lines = this.#input[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve, reject) => {
      this.#process.once('error', reject);
      this.#process.once('exit', resolve);
    });
    this.#ended.catch(() => {});
  }

  /** `prefix` is a command that runs the trial, such as nice. */
  static async start(command: Command, prefix: readonly string[] = []): Promise<Trial> {
    const trial = new Trial(command, prefix);
    await trial.#line();
    return trial;
  }

  slice(milliseconds: number): Promise<Slice> {
    return this.ask(`run ${milliseconds}`);
  }

  /** Sends a line and reads the line of JSON that answers it. */
  async ask<Answer>(line: string): Promise<Answer> {
    this.#process.stdin!.write(`${line}\n`);
    return JSON.parse(await this.#line()) as Answer;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`${this.name} ended with code ${await this.#ended}`);
    return value;
  }

  async end(): Promise<void> {
    this.#process.stdin!.end();
    const code = await this.#ended;
    if (code !== 0) throw new Error(`${this.name} ended with code ${code}`);
  }
}
