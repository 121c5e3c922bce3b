import { type Abi, type AbiName, abis, layoutOf, type StructName, structs } from '../../layout/index.ts';
import { UsageError } from '../command.ts';
import { allValues, type Difference, differences, type Values } from './compare.ts';

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function numberAt(object: Json, key: string, where: string): number | undefined {
  const value = object[key];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value))
    throw new UsageError(`${where}: "${key}" must be a whole number`);
  return value;
}

/** A layout from another project. */
export interface LayoutFile {
  /** The ABI it says it is for. */
  readonly abi: AbiName | undefined;
  readonly layouts: readonly Json[];
  readonly constants: Json;
  readonly calls: Json;
}

function objectAt(object: Json, key: string): Json {
  const value = object[key] ?? {};
  if (!isObject(value)) throw new UsageError(`"${key}" must be an object of names and numbers`);
  return value;
}

/**
 * Reads a layout in the form that `kaio layout --json` writes: one structure, an array of them, or an object with `structs`,
 * `constants` and `calls`, each of which may be missing.
 */
export function parseLayoutFile(text: string): LayoutFile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`the layout is no JSON: ${(error as Error).message}`);
  }
  const top = isObject(parsed) ? parsed : {};
  const isSingle = 'fields' in top || 'size' in top;
  const layouts = Array.isArray(parsed) ? parsed : isSingle ? [top] : (top['structs'] ?? []);
  if (!Array.isArray(layouts) || !layouts.every(isObject))
    throw new UsageError('"structs" must be an array of structures');
  const constants = objectAt(top, 'constants');
  const calls = objectAt(top, 'calls');
  if (layouts.length + Object.keys(constants).length + Object.keys(calls).length === 0) {
    throw new UsageError(
      'the layout has nothing to compare: it needs "structs", "constants" or "calls", or "name", "size" and "fields"',
    );
  }
  const abi = top['abi'] ?? (layouts[0] as Json | undefined)?.['abi'];
  const known = abis.find(({ name }) => name === abi);
  if (abi !== undefined && known === undefined)
    throw new UsageError(`the layout is for '${String(abi)}', which is no ABI known here`);
  return { abi: known?.name, layouts, constants, calls };
}

/** The structure that a layout names, with or without C's `struct`. */
function structOf(layout: Json): StructName {
  const name = String(layout['name'] ?? layout['struct'] ?? '').replace(/^struct\s+/, '');
  const found = structs.find((struct) => struct === name);
  if (found === undefined)
    throw new UsageError(`the layout names the structure '${name}', which is none of ${structs.join(', ')}`);
  return found;
}

function fieldsOf(layout: Json, struct: StructName): Json[] | undefined {
  const { fields } = layout;
  if (fields === undefined) return undefined;
  if (!Array.isArray(fields) || !fields.every((field) => isObject(field) && typeof field['name'] === 'string')) {
    throw new UsageError(`${struct}: "fields" must be an array of objects with "name" and "offset"`);
  }
  return fields;
}

/** Compares what a structure of the file says: its own numbers, and whether it has every field and no other. */
function compareStruct(layout: Json, expected: Values, abi: Abi): { count: number; found: Difference[] } {
  const struct = structOf(layout);
  const values: Values = new Map();
  const put = (what: string, value: number | undefined): void => {
    if (value !== undefined) values.set(what, value);
  };
  put(`${struct} size`, numberAt(layout, 'size', struct));
  put(`${struct} align`, numberAt(layout, 'align', struct));
  const fields = fieldsOf(layout, struct);
  const names = new Set(fields?.map((field) => String(field['name'])));
  for (const field of fields ?? []) {
    const name = `${struct}.${String(field['name'])}`;
    put(`${name} offset`, numberAt(field, 'offset', name));
    put(`${name} size`, numberAt(field, 'size', name));
  }
  const missing = layoutOf(struct, abi.name)
    .fields.filter(({ name }) => fields !== undefined && !names.has(name))
    .map(({ name, offset }): Difference => ({ what: `${struct}.${name} offset`, expected: offset, found: undefined }));
  const order = layout['byteOrder'];
  const swapped: Difference[] =
    order === undefined || order === abi.byteOrder
      ? []
      : [{ what: `${struct} byte order`, expected: abi.byteOrder, found: String(order) }];
  return { count: values.size, found: [...swapped, ...differences(expected, values), ...missing] };
}

/** Compares a layout from another project with ours: how many values it has, and which are not as expected. */
export function compareFile(file: LayoutFile, abi: Abi): { count: number; found: Difference[] } {
  const expected = allValues(abi);
  const values: Values = new Map();
  for (const name of Object.keys(file.constants)) values.set(name, numberAt(file.constants, name, 'constants')!);
  for (const name of Object.keys(file.calls)) values.set(`__NR_${name}`, numberAt(file.calls, name, 'calls')!);
  const parts = file.layouts.map((layout) => compareStruct(layout, expected, abi));
  return {
    count: values.size + parts.reduce((sum, { count }) => sum + count, 0),
    found: [...parts.flatMap(({ found }) => found), ...differences(expected, values)],
  };
}
