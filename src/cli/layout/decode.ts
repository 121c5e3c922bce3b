import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  type Abi,
  abiOf,
  type Explanation,
  explain,
  layoutOf,
  parseHex,
  type StructName,
  structs,
} from '../../layout/index.ts';
import { paint, type Terminal, UsageError } from '../command.ts';
import { abiNamed, columns, json, structNamed } from './names.ts';

const options = { abi: { type: 'string' }, json: { type: 'boolean' } } as const;

async function readAll(stdin: Terminal['stdin']): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A file or stream holds text that reads as hexadecimal, or else the bytes themselves. */
function bytesOfFile(content: Uint8Array, bigEndian: boolean): Uint8Array {
  const isText = content.every(
    (byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x09 || byte === 0x0d,
  );
  return (isText ? parseHex(Buffer.from(content).toString('latin1'), bigEndian) : undefined) ?? content;
}

async function input(words: readonly string[], abi: Abi, terminal: Terminal): Promise<Uint8Array> {
  const bigEndian = abi.byteOrder === 'big';
  if (words.length === 1 && words[0] === '-') return bytesOfFile(await readAll(terminal.stdin), bigEndian);
  const hex = parseHex(words.join(' '), bigEndian);
  if (hex !== undefined) return hex;
  if (words.length > 1)
    throw new UsageError(`'${words.find((word) => parseHex(word, false) === undefined)}' is not hexadecimal`);
  try {
    return bytesOfFile(readFileSync(words[0]!), bigEndian);
  } catch (error) {
    throw new UsageError(
      `'${words[0]}' is neither hexadecimal nor a file that can be read: ${(error as Error).message}`,
    );
  }
}

function print(explanations: readonly Explanation[], terminal: Terminal): void {
  const rows = explanations.map(({ field, value, meaning }) => [
    String(field.offset).padStart(6),
    String(field.size).padStart(4),
    field.name,
    String(value),
    meaning,
  ]);
  const lines = columns([['offset', 'size', 'field', 'value', 'meaning'], ...rows]).split('\n');
  for (const [i, line] of lines.slice(0, -1).entries()) {
    const problems = explanations[i - 1]?.problems ?? [];
    terminal.out(`${problems.length === 0 ? line : paint(terminal, 'red', line)}\n`);
    for (const { errno, when, reason } of problems) {
      const verdict = errno === undefined ? 'wrong' : `${when === 'always' ? '' : 'may be '}refused with ${errno}`;
      terminal.out(
        `${' '.repeat(14)}${paint(terminal, when === 'always' ? 'red' : 'yellow', `^ ${verdict}: ${reason}`)}\n`,
      );
    }
  }
}

/** `kaio layout decode [STRUCT] HEX|FILE|-`. */
export async function decode(args: string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const abi = abiOf(abiNamed(values.abi));
  const isNamed = structs.includes(positionals[0] as StructName);
  const struct = isNamed ? structNamed(positionals[0]!) : 'iocb';
  const words = positionals.slice(isNamed ? 1 : 0);
  if (words.length === 0) throw new UsageError('decode needs bytes: HEX, a FILE, or - for standard input');
  const bytes = await input(words, abi, terminal);
  const { size } = layoutOf(struct, abi.name);
  if (bytes.length === 0 || bytes.length % size !== 0) {
    throw new UsageError(
      `${struct} has ${size} bytes on ${abi.name}, and ${bytes.length} bytes are not a whole number of them`,
    );
  }
  const records = Array.from({ length: bytes.length / size }, (_, i) =>
    explain(struct, bytes.subarray(i * size, (i + 1) * size), abi.name),
  );
  if (values.json) {
    terminal.out(json(records.map((fields) => fields.map(({ field, ...rest }) => ({ ...field, ...rest })))));
  } else {
    for (const [i, record] of records.entries()) {
      if (records.length > 1) terminal.out(`${i > 0 ? '\n' : ''}${struct} ${i}, at byte ${i * size}\n`);
      print(record, terminal);
    }
  }
  return records.flat().some(({ problems }) => problems.some(({ when }) => when === 'always')) ? 1 : 0;
}
