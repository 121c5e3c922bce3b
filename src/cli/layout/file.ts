import { type Abi, type AbiName, abiOf, abis, layoutOf, type StructName, structs } from '../../layout/index.ts';
import { UsageError } from '../command.ts';
import { allValues, type Difference, differences, structValues, type Values } from './compare.ts';

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

function textAt(object: Json, key: string, where: string): string | undefined {
  const value = object[key];
  if (value !== undefined && typeof value !== 'string') throw new UsageError(`${where}: "${key}" must be a string`);
  return value;
}

/** The ABI that the layout, or one structure of it, says it is for. */
function abiAt(object: Json): AbiName | undefined {
  const name = textAt(object, 'abi', 'the layout');
  if (name === undefined) return undefined;
  const known = abis.find((abi) => abi.name === name);
  if (known === undefined) throw new UsageError(`the layout is for '${name}', which is no ABI known here`);
  return known.name;
}

/** A layout from another project. */
export interface LayoutFile {
  /** The ABI of all that names none of its own. */
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
  const [first = {}] = layouts;
  return { abi: abiAt(top) ?? abiAt(first), layouts, constants, calls };
}

/** The structure that a layout names, with or without C's `struct`. */
function structOf(layout: Json): StructName {
  const given = textAt(layout, 'name', 'a structure') ?? textAt(layout, 'struct', 'a structure') ?? '';
  const name = given.replace(/^struct\s+/, '');
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

/** What came of comparing a part of a layout, or all of it. */
export interface Comparison {
  readonly abis: readonly AbiName[];
  /** How many values were compared. */
  readonly count: number;
  readonly found: readonly Difference[];
}

function valuesOf(layout: Json, struct: StructName, fields: readonly Json[]): Values {
  const values: Values = new Map();
  const put = (object: Json, where: string, key: 'size' | 'align' | 'offset'): void => {
    const value = numberAt(object, key, where);
    if (value !== undefined) values.set(`${where} ${key}`, value);
  };
  put(layout, struct, 'size');
  put(layout, struct, 'align');
  for (const field of fields) {
    const name = `${struct}.${String(field['name'])}`;
    put(field, name, 'offset');
    put(field, name, 'size');
  }
  return values;
}

/** Compares what a structure of the file says: its own numbers, and whether it has every field and no other. */
function compareStruct(layout: Json, abi: Abi): Comparison {
  const struct = structOf(layout);
  const fields = fieldsOf(layout, struct);
  const values = valuesOf(layout, struct, fields ?? []);
  const names = new Set(fields?.map((field) => field['name']));
  const missing = layoutOf(struct, abi.name)
    .fields.filter(({ name }) => fields !== undefined && !names.has(name))
    .map(({ name, offset }): Difference => ({ what: `${struct}.${name} offset`, expected: offset, found: undefined }));
  const order = textAt(layout, 'byteOrder', struct);
  const swapped: Difference[] =
    order === undefined || order === abi.byteOrder
      ? []
      : [{ what: `${struct} byte order`, expected: abi.byteOrder, found: order }];
  const found = [...swapped, ...differences(structValues(struct, abi), values), ...missing];
  return { abis: [abi.name], count: values.size + (order === undefined ? 0 : 1), found };
}

/** Compares what a file says that is of no structure. */
function compareNumbers({ constants, calls }: LayoutFile, abi: Abi): Comparison {
  const values: Values = new Map();
  for (const name of Object.keys(constants)) values.set(name, numberAt(constants, name, 'constants')!);
  for (const name of Object.keys(calls)) values.set(`__NR_${name}`, numberAt(calls, name, 'calls')!);
  return {
    abis: values.size > 0 ? [abi.name] : [],
    count: values.size,
    found: differences(allValues(abi), values),
  };
}

/** Compares a layout from another project with ours, each structure on its own ABI, or all of it on the one that is wanted. */
export function compareFile(file: LayoutFile, wanted: Abi | undefined): Comparison {
  const parts = [
    ...file.layouts.map((layout) => compareStruct(layout, wanted ?? abiOf(abiAt(layout) ?? file.abi))),
    compareNumbers(file, wanted ?? abiOf(file.abi)),
  ];
  const used = [...new Set(parts.flatMap((part) => part.abis))];
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const found = parts.flatMap((part) =>
    used.length === 1 ? part.found : part.found.map((each) => ({ ...each, what: `${each.what} on ${part.abis[0]}` })),
  );
  if (count + found.length === 0) {
    throw new UsageError(
      'the layout has nothing to compare: it needs "structs", "constants" or "calls", or "name", "size" and "fields"',
    );
  }
  return { abis: used, count, found };
}
