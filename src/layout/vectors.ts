import type { AbiName } from './abis.ts';
import { type Field, layoutOf, type StructName, sameLayouts, structs } from './layouts.ts';
import { encode, type Input, type Records, rangeOf } from './records.ts';

/** One structure with known values and its known bytes. */
export interface VectorCase {
  /** What is particular about it. */
  readonly about: string;
  /** Every field, in decimal, as text: most readers of JSON lose digits of 64-bit numbers. */
  readonly fields: Readonly<Record<string, string>>;
  /** The bytes in hexadecimal. */
  readonly bytes: string;
}

/** The cases of a structure on all ABIs where it has the same bytes. */
export interface Vectors {
  readonly struct: StructName;
  readonly abis: readonly AbiName[];
  /** Bytes. */
  readonly size: number;
  readonly cases: readonly VectorCase[];
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

type Values = Map<string, bigint>;

/** A different byte in every place, so that two bytes that changed places are noticed. */
function counting(fields: readonly Field[]): Values {
  let next = 1n;
  const values = fields.map(({ name, size }): [string, bigint] => {
    let value = 0n;
    for (let i = 0; i < size; i++) value = (value << 8n) | next++;
    return [name, value];
  });
  return new Map(values);
}

function* casesOf(fields: readonly Field[]): Generator<[about: string, values: Values]> {
  const all = (pick: (field: Field) => bigint): Values => new Map(fields.map((field) => [field.name, pick(field)]));
  yield ['every field is 0', all(() => 0n)];
  yield ['every field at its minimum', all((field) => rangeOf(field)[0])];
  yield ['every field at its maximum', all((field) => rangeOf(field)[1])];
  yield ['bytes that count up', counting(fields)];
  for (const field of fields) {
    const [min, max] = rangeOf(field);
    const extremes: [string, bigint][] = [
      ['1', 1n],
      ['its maximum', max],
    ];
    if (min < 0n) extremes.push(['-1', -1n], ['its minimum', min]);
    for (const [word, value] of extremes) {
      yield [`${field.name} is ${word}`, all(({ name }) => (name === field.name ? value : 0n))];
    }
  }
}

function vectorsOf(struct: StructName, abis: readonly AbiName[]): Vectors {
  const abi = abis[0]!;
  const { size, fields } = layoutOf(struct, abi);
  // One order of fields everywhere, that of the little-endian header, keeps the cases alike.
  const ordered = layoutOf(struct, 'x86_64').fields.map(({ name }) => fields.find((field) => field.name === name)!);
  const cases = [...casesOf(ordered)].map(([about, values]) => ({
    about,
    fields: Object.fromEntries([...values].map(([name, value]) => [name, String(value)])),
    bytes: hex(encode(struct, Object.fromEntries(values) as Input<Records[StructName]>, abi)),
  }));
  return { struct, abis, size, cases };
}

/**
 * Golden bytes: for every structure and every ABI, each field at its extremes and all of them together. ABIs on which a structure is
 * the same share an entry. The package also carries them as JSON, `kaio/layout/vectors.json`.
 */
export function vectors(): Vectors[] {
  return structs.flatMap((struct) => sameLayouts(struct).map((abis) => vectorsOf(struct, abis)));
}

/** The vectors as JSON with one case a line, so that even a program without a JSON parser can read them. */
export function vectorsJson(): string {
  const groups = vectors().map(({ cases, ...group }) => {
    const head = JSON.stringify(group).slice(0, -1);
    return `${head},"cases":[\n${cases.map((entry) => JSON.stringify(entry)).join(',\n')}\n]}`;
  });
  return `[\n${groups.join(',\n')}\n]\n`;
}
