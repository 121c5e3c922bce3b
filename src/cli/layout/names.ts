import { type AbiName, abis, type StructName, structs } from '../../layout/index.ts';
import { UsageError } from '../command.ts';

/** The ABI that was typed; undefined, the host's, where none was. */
export function abiNamed(name: string | undefined): AbiName | undefined {
  if (name === undefined) return undefined;
  const found = abis.find((abi) => abi.name === name);
  if (found === undefined) throw new UsageError(`there is no ABI '${name}': 'kaio layout --list' has the names`);
  return found.name;
}

/** The structure that was typed. */
export function structNamed(name: string): StructName {
  const found = structs.find((struct) => struct === name);
  if (found === undefined) throw new UsageError(`there is no structure '${name}': it is one of ${structs.join(', ')}`);
  return found;
}

/** JSON of values that may be bigints, which become text: a number would lose digits. */
export function json(value: unknown): string {
  return `${JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? String(member) : member), 2)}\n`;
}

/** Columns of text as wide as they need to be. The last one is not padded. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]!.length))) ?? [];
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}
