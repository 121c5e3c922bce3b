import { type Abi, type AbiName, abiNumber, abiOf, abis } from './abis.ts';
import { invalidType, invalidValue } from './errors.ts';
import type { StructName } from './generated/layout.ts';
import { members, placement } from './placement.ts';

export type { StructName };

/** One member of a structure. */
export interface Field {
  /** The kernel's name of it. */
  readonly name: string;
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** Its C type, as the kernel's header has it. */
  readonly type: string;
  /** Whether the type has negative values. */
  readonly signed: boolean;
}

/** Where a C compiler puts the members of a structure on one ABI. */
export interface Layout {
  readonly name: StructName;
  readonly abi: AbiName;
  /** Bytes, with what C adds at the end. */
  readonly size: number;
  /** Bytes. */
  readonly align: number;
  readonly byteOrder: 'little' | 'big';
  /** In the order of their offsets. */
  readonly fields: readonly Field[];
}

const numbers = members('structure') as Map<StructName, number>;

/** The names that `layoutOf` knows. */
export const structs: readonly StructName[] = Object.freeze([...numbers.keys()]);

/** What each structure is called in C, and which header of the kernel has it; no header where user space has to declare it. */
export const declarations: Readonly<Record<StructName, { readonly c: string; readonly header?: string }>> =
  Object.freeze({
    iocb: { c: 'struct iocb', header: 'linux/aio_abi.h' },
    io_event: { c: 'struct io_event', header: 'linux/aio_abi.h' },
    aio_ring: { c: 'struct aio_ring' },
    iovec: { c: 'struct iovec', header: 'linux/uio.h' },
    timespec: { c: 'struct __kernel_old_timespec', header: 'linux/time_types.h' },
    timespec64: { c: 'struct __kernel_timespec', header: 'linux/time_types.h' },
    aio_sigset: { c: 'struct __aio_sigset' },
    aio_context_t: { c: 'aio_context_t', header: 'linux/aio_abi.h' },
    iocbp: { c: 'struct iocb *' },
  });

/** Names in C that an enumeration cannot have as names of members. */
const cNames = new Map([
  ['unsigned_int', 'unsigned'],
  ['long_long', 'long long'],
  ['pointer', 'void *'],
]);
const types = new Map([...members('ctype')].map(([name, number]) => [number, cNames.get(name) ?? name]));

/** A field with its number in the WebAssembly, which the public description has no use for. */
export interface PlacedField extends Field {
  readonly number: number;
}

export interface PlacedLayout extends Layout {
  readonly fields: readonly PlacedField[];
  readonly abiNumber: number;
  readonly structNumber: number;
}

function compute(name: StructName, abi: Abi): PlacedLayout {
  const { wasm } = placement();
  const structNumber = numbers.get(name)!;
  wasm.choose(abiNumber(abi), structNumber);
  const fields = [...members(name)].map(([field, number]) =>
    Object.freeze({
      name: field,
      offset: wasm.offsetOfField(number),
      size: wasm.fieldBytes(number),
      type: types.get(wasm.typeOfField(number))!,
      signed: wasm.fieldSigned(number) !== 0,
      number,
    }),
  );
  return Object.freeze({
    name,
    abi: abi.name,
    size: wasm.structureSize(),
    align: wasm.structureAlign(),
    byteOrder: abi.byteOrder,
    fields: Object.freeze(fields.sort((a, b) => a.offset - b.offset)),
    abiNumber: abiNumber(abi),
    structNumber,
  });
}

const computed = new Map<string, PlacedLayout>();

export function placedLayout(struct: StructName, abi?: AbiName): PlacedLayout {
  const found = abiOf(abi);
  if (typeof struct !== 'string') throw invalidType('struct', 'of type string', struct);
  const key = `${struct} ${found.name}`;
  let layout = computed.get(key);
  if (layout === undefined) {
    if (!numbers.has(struct)) throw invalidValue('struct', `one of ${structs.join(', ')}`, struct);
    layout = compute(struct, found);
    computed.set(key, layout);
  }
  return layout;
}

/**
 * Where the members of a structure are.
 *
 * @param struct A name of {@link structs}. `timespec` is what io_getevents takes, `timespec64` what io_pgetevents_time64 takes,
 * `aio_sigset` the last argument of both io_pgetevents calls, `iocbp` one entry of io_submit's array of pointers.
 * @param abi By default that of the host.
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` for a name that is not known.
 *
 * @example
 * ```ts
 * import { layoutOf } from 'kaio/layout';
 *
 * layoutOf('iocb', 's390x').fields.find((field) => field.name === 'aio_key')?.offset; // 12, on x86_64 it is 8
 * ```
 */
export function layoutOf(struct: StructName, abi?: AbiName): Layout {
  const { name, abi: on, size, align, byteOrder, fields } = placedLayout(struct, abi);
  return { name, abi: on, size, align, byteOrder, fields: fields.map(({ number: _, ...field }) => field) };
}

/** One way in which a structure differs between two ABIs. */
export interface LayoutDifference {
  /** `size`, `align`, `byteOrder`, or `field.offset`, `field.size`, `field.type`. */
  readonly what: string;
  readonly a: string | number;
  readonly b: string | number;
}

/** How a structure differs between two ABIs; nothing where the same bytes mean the same on both. */
export function diffLayouts(struct: StructName, a: AbiName, b: AbiName): LayoutDifference[] {
  const one = layoutOf(struct, a);
  const other = layoutOf(struct, b);
  const differences: LayoutDifference[] = [];
  const compare = (what: string, x: string | number, y: string | number): void => {
    if (x !== y) differences.push({ what, a: x, b: y });
  };
  compare('byteOrder', one.byteOrder, other.byteOrder);
  compare('size', one.size, other.size);
  compare('align', one.align, other.align);
  for (const field of one.fields) {
    const peer = other.fields.find(({ name }) => name === field.name)!;
    compare(`${field.name}.offset`, field.offset, peer.offset);
    compare(`${field.name}.size`, field.size, peer.size);
  }
  return differences;
}

/** ABIs on which a structure is byte for byte the same: order, size and every field. The alignment may differ. */
export function sameLayouts(struct: StructName): AbiName[][] {
  const groups = new Map<string, AbiName[]>();
  for (const { name } of abis) {
    const { byteOrder, size, fields } = layoutOf(struct, name);
    const key = JSON.stringify([byteOrder, size, fields.map((field) => [field.name, field.offset, field.size])]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [name]);
    else group.push(name);
  }
  return [...groups.values()];
}
