import { type Abi, constantOn, constants, layoutOf, type StructName, structs } from '../../layout/index.ts';

/** What a value is called, and what it is: `iocb size`, `iocb.aio_buf offset`, `IOCB_CMD_PREAD`, `__NR_io_setup`. */
export type Values = Map<string, number>;

/** One value that is not what it should be; undefined where there is none. */
export interface Difference {
  readonly what: string;
  readonly expected: number | string | undefined;
  readonly found: number | string | undefined;
}

/** Every value that kaio/layout has of a structure on an ABI. */
export function structValues(struct: StructName, abi: Abi): Values {
  const { size, align, fields } = layoutOf(struct, abi.name);
  const values: Values = new Map([
    [`${struct} size`, size],
    [`${struct} align`, align],
  ]);
  for (const field of fields) {
    values.set(`${struct}.${field.name} offset`, field.offset);
    values.set(`${struct}.${field.name} size`, field.size);
  }
  return values;
}

/** Every value that kaio/layout has of an ABI. */
export function allValues(abi: Abi): Values {
  const values: Values = new Map();
  for (const struct of structs) for (const [what, value] of structValues(struct, abi)) values.set(what, value);
  for (const { name } of constants) values.set(name, constantOn(name, abi.name));
  for (const [name, number] of Object.entries(abi.calls)) if (number !== undefined) values.set(`__NR_${name}`, number);
  return values;
}

/** What of `found` is not as expected. Of what was not found nothing is said. */
export function differences(expected: Values, found: Values): Difference[] {
  return [...found]
    .map(([what, value]) => ({ what, expected: expected.get(what), found: value }))
    .filter((difference) => difference.expected !== difference.found);
}

/** One line for people: the name, what was expected, what was found. */
export function line({ what, expected, found }: Difference): string {
  return `${what}: expected ${expected ?? 'none'}, found ${found ?? 'none'}`;
}
