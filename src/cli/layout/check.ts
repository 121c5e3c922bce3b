import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Abi, abiOf } from '../../layout/index.ts';
import { paint, type Terminal, UsageError } from '../command.ts';
import { allValues, type Difference, differences, line } from './compare.ts';
import { compareFile, parseLayoutFile } from './file.ts';
import { abiNamed, json } from './names.ts';
import { expectedCalls, type ProbeResult, probeSource, readAssembly } from './probe.ts';

const options = {
  abi: { type: 'string' },
  cc: { type: 'string' },
  file: { type: 'string' },
  json: { type: 'boolean' },
} as const;

interface Outcome {
  /** The ABIs that it is for: of a compiler one. */
  readonly abi: string;
  readonly with: string;
  /** How many values were compared. */
  readonly compared: number;
  readonly differences: readonly Difference[];
}

/** Words of a command line, with quotes as in a shell. */
function words(command: string): string[] {
  const found = command.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? [];
  return found.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}

/** The first line of a compiler's --version, or the name it was called by. */
function compilerName(cc: string, args: readonly string[]): string {
  const { stdout, status } = spawnSync(cc, [...args, '--version'], { encoding: 'utf8' });
  return (status === 0 && stdout.split('\n')[0]?.trim()) || cc;
}

/** Compiles the probe to assembly. */
function compile(cc: string, args: readonly string[]): ProbeResult {
  const all = [...args, '-w', '-S', '-o', '-', '-x', 'c', '-'];
  const { error, status, stdout, stderr } = spawnSync(cc, all, {
    input: probeSource(),
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (error !== undefined) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is not there' : error.message;
    throw new UsageError(`the compiler '${cc}' does not run: ${why}. Name one with --cc`);
  }
  if (status !== 0) throw new UsageError(`'${[cc, ...args].join(' ')}' does not compile the probe:\n${stderr.trim()}`);
  return readAssembly(stdout);
}

function checkCompiler(command: string, wanted: Abi | undefined): Outcome {
  const [cc, ...args] = words(command);
  if (cc === undefined) throw new UsageError('--cc needs a compiler');
  const { abi, headers, values } = compile(cc, args);
  if (abi === undefined) throw new UsageError(`'${command}' compiles for an ABI that is not known here`);
  if (wanted !== undefined && wanted !== abi) {
    throw new UsageError(
      `'${command}' compiles for ${abi.name}, not for ${wanted.name}: name another compiler with --cc`,
    );
  }
  const expected = allValues(abi);
  const missing = expectedCalls(abi, headers)
    .filter((name) => !values.has(name))
    .map((name): Difference => ({ what: name, expected: expected.get(name), found: undefined }));
  return {
    abi: abi.name,
    with: `${compilerName(cc, args)}, kernel headers ${headers}`,
    compared: values.size,
    differences: [...differences(expected, values), ...missing],
  };
}

async function checkFile(path: string, wanted: Abi | undefined, terminal: Terminal): Promise<Outcome> {
  let text = '';
  if (path === '-') for await (const chunk of terminal.stdin) text += Buffer.from(chunk).toString('utf8');
  else text = readFileSync(path, 'utf8');
  const { abis, count, found } = compareFile(parseLayoutFile(text), wanted);
  return { abi: abis.join(', '), with: path === '-' ? 'standard input' : path, compared: count, differences: found };
}

function report({ abi, with: other, compared, differences: found }: Outcome, terminal: Terminal): void {
  for (const difference of found) terminal.out(`${paint(terminal, 'red', line(difference))}\n`);
  const verdict =
    found.length === 0 ? paint(terminal, 'green', 'same') : paint(terminal, 'red', `${found.length} different`);
  terminal.out(`${verdict}: ${compared} values for ${abi} compared with ${other}\n`);
}

/** `kaio layout check`. */
export async function check(args: string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args, options });
  const name = abiNamed(values.abi);
  const wanted = name === undefined ? undefined : abiOf(name);
  if (values.file !== undefined && values.cc !== undefined) throw new UsageError('--file and --cc exclude each other');
  const outcome =
    values.file === undefined
      ? checkCompiler(values.cc ?? (process.env['CC'] || 'cc'), wanted)
      : await checkFile(values.file, wanted, terminal);
  if (values.json) terminal.out(json({ ...outcome, same: outcome.differences.length === 0 }));
  else report(outcome, terminal);
  return outcome.differences.length === 0 ? 0 : 1;
}
