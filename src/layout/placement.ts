import { layoutBase64 } from './generated/layout.ts';
import { wasmBytes } from './wasm.ts';

/**
 * The WebAssembly that places fields, reads and writes records. This is the one file that says what it exports; besides these
 * functions it has the members of its enumerations as globals, named `enumeration.member`, which {@link members} lists.
 */
export interface Placement {
  /** Selects an ABI and a structure for all that follows; 0 where a number names none. */
  choose(abi: number, struct: number): number;
  isBigEndian(): number;
  wordBytes(): number;
  kernelLongBytes(): number;
  alignBytes(): number;
  io_setup(): number;
  io_destroy(): number;
  io_getevents(): number;
  io_submit(): number;
  io_cancel(): number;
  io_pgetevents(): number;
  io_pgetevents_time64(): number;
  fieldCount(): number;
  offsetOfField(field: number): number;
  typeOfField(field: number): number;
  fieldBytes(field: number): number;
  fieldSigned(field: number): number;
  structureSize(): number;
  structureAlign(): number;
  /** Where the record begins. */
  readonly RECORD: { readonly value: number };
  /** Makes the record zero, padding included. */
  clear(): void;
  /** Writes and reads a field of the record. */
  write(field: number, value: bigint): void;
  read(field: number): bigint;
}

/** The wasm with the bytes of its one record, which starts where `RECORD` says and goes on to the end of the page. */
export interface LoadedPlacement {
  readonly wasm: Placement;
  readonly record: Uint8Array<ArrayBuffer>;
  readonly exports: Readonly<Record<string, unknown>>;
}

let loaded: LoadedPlacement | undefined;

/** The one instance, made on the first call. */
export function placement(): LoadedPlacement {
  if (loaded === undefined) {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(wasmBytes(layoutBase64)), { env: { memory } });
    const { exports } = instance;
    const wasm = exports as unknown as Placement;
    loaded = { wasm, record: new Uint8Array(memory.buffer, wasm.RECORD.value), exports };
  }
  return loaded;
}

/** The members of one of its enumerations with their numbers, in the order of the numbers. */
export function members(enumeration: string): Map<string, number> {
  const prefix = `${enumeration}.`;
  const found = Object.entries(placement().exports)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, global]): [string, number] => [name.slice(prefix.length), (global as { value: number }).value]);
  return new Map(found.sort(([, a], [, b]) => a - b));
}
