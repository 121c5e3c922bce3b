#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { type Command, type Terminal, UsageError } from './command.ts';

/** Every subcommand, loaded when it is asked for: `kaio layout` must run where the native module does not. */
const commands: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  bench: () => import('./bench/command.ts'),
  copy: () => import('./copy/command.ts'),
  layout: () => import('./layout/command.ts'),
  probe: () => import('./probe/command.ts'),
};

async function help(): Promise<string> {
  const list = await Promise.all(
    Object.entries(commands).map(async ([name, load]) => `  ${name.padEnd(10)}${(await load()).command.summary}\n`),
  );
  return `Usage: kaio COMMAND [ARGUMENTS]

Asynchronous I/O of the Linux kernel.

Commands:
${list.join('')}
Options:
  -h, --help      show this help, or that of a command: kaio COMMAND --help
  -V, --version   show the version

Exit codes: 0 good, 1 the answer is no, 2 wrong use
`;
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

/** Errors of the user's making: what was typed, and files that cannot be read or written. All others are ours and keep their stack. */
function isUserMistake(error: unknown): error is Error {
  if (error instanceof UsageError) return true;
  const { code, syscall } = error as { code?: string; syscall?: string };
  return syscall !== undefined || /^ERR_(PARSE_ARGS|INVALID_ARG|OUT_OF_RANGE|AIO)/.test(code ?? '');
}

async function dispatch(args: string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '-h' || name === '--help' || (name === 'help' && rest.length === 0)) {
    terminal.out(await help());
    return name === undefined ? 2 : 0;
  }
  if (name === '-V' || name === '--version') {
    terminal.out(`${version()}\n`);
    return 0;
  }
  if (name === 'help') return await dispatch([rest[0]!, '--help'], terminal);
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) throw new UsageError(`there is no command '${name}'`);
  const { command } = await load();
  const options = rest.slice(0, rest.includes('--') ? rest.indexOf('--') : undefined);
  if (options.includes('--help') || options.includes('-h')) {
    terminal.out(command.help);
    return 0;
  }
  return await command.run(rest, terminal);
}

/** Runs the command that the arguments name; the exit code. */
export async function main(args: string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(args, terminal);
  } catch (error) {
    if (!isUserMistake(error)) throw error;
    const name = args[0] !== undefined && Object.hasOwn(commands, args[0]) ? `kaio ${args[0]}` : 'kaio';
    terminal.err(`${name}: ${error.message}\nTry '${name} --help'.\n`);
    return 2;
  }
}

// A reader that has seen enough, such as head(1), is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
// Nor is one that reads no messages: the exit code says it too.
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await main(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  stdin: process.stdin,
  color: process.stdout.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb',
  columns: process.stderr.isTTY === true && process.env['TERM'] !== 'dumb' ? (process.stderr.columns ?? 80) : 0,
});
