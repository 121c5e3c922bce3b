/** One subcommand of `kaio`. Each lies in a file of its own and is named in main.ts. */
export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  /** All of `--help`, in the form of the others: usage, what it does, options, exit codes, examples. */
  readonly help: string;
  /** Does it. The number is the exit code: 0 good, 1 the answer is no, 2 wrong use. */
  run(args: string[], terminal: Terminal): Promise<number>;
}

/** Where a command reads and writes, so that a test can stand in for the terminal. */
export interface Terminal {
  /** Without a newline of its own. */
  out(text: string): void;
  err(text: string): void;
  readonly stdin: AsyncIterable<Uint8Array>;
  /** Whether to use colours: a terminal, and nobody set NO_COLOR (https://no-color.org). */
  readonly color: boolean;
  /** Columns of the terminal that `err` writes to; 0 where that is none, and nobody watches a line that changes. */
  readonly columns: number;
}

/** Wrong use: the message is all the user sees, beside a hint at --help, and the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const codes = { bold: 1, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36, dim: 2 } as const;

/** The text in this colour where the terminal has colours. */
export function paint(terminal: Terminal, color: keyof typeof codes, text: string): string {
  return terminal.color ? `\u001b[${codes[color]}m${text}\u001b[0m` : text;
}
