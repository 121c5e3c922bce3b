// Carries what asc compiled to the places that use it: the bytes and names into TypeScript modules, so that kaio/layout loads
// without a file system, and the packer's sizes and offsets into C++ static assertions, so that the native module does not compile
// where the kernel's header disagrees. The build stops here where the packer and the layouts of all ABIs disagree.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const generated = `${root}src/layout/generated`;
const wasm = readFileSync(`${generated}/packer.wasm`);

writeFileSync(
  `${generated}/packer.ts`,
  `/** The packer's release build. Written by scripts/generate.js. */\nexport const packerBase64: string =\n  '${wasm.toString('base64')}';\n`,
);

const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm), { env: { memory } });

/** `sizeof_iocb` becomes a check of sizeof(struct iocb), `iocb_aio_data` one of offsetof(struct iocb, aio_data). */
function assertion(name, value) {
  const [, size] = /^sizeof_(\w+)$/.exec(name) ?? [];
  if (size) return `static_assert(sizeof(struct ${size}) == ${value}, "sizeof(struct ${size})");`;
  const [, struct, field] = /^(iocb|io_event|iovec)_(\w+)$/.exec(name) ?? [];
  if (!struct) return undefined;
  // A big-endian host swaps these two (see assembly/iocb.ts).
  const swapped = { aio_key: 'aio_rw_flags', aio_rw_flags: 'aio_key' }[field];
  const check = (f) =>
    `static_assert(offsetof(struct ${struct}, ${f}) == ${value}, "offsetof(struct ${struct}, ${f})");`;
  if (!swapped) return check(field);
  return `#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__\n${check(field)}\n#else\n${check(swapped)}\n#endif`;
}

const assertions = Object.entries(exports)
  .filter(([, value]) => value instanceof WebAssembly.Global)
  .map(([name, { value }]) => assertion(name, value))
  .filter(Boolean);
if (assertions.length !== 21)
  throw new Error(`21 assertions expected, ${assertions.length} made: did a constant change its name?`);

mkdirSync(`${root}native/generated`, { recursive: true });
writeFileSync(
  `${root}native/generated/asserts.h`,
  `// Written by scripts/generate.js from the packer's constants.\n${assertions.join('\n')}\n`,
);

const layoutWasm = readFileSync(`${generated}/layout.wasm`);
const layout = new WebAssembly.Instance(new WebAssembly.Module(layoutWasm), { env: { memory } }).exports;

/** asc exports the members of an enum as globals named `enum.member`. */
function members(of) {
  return Object.entries(layout)
    .filter(([name]) => name.startsWith(`${of}.`))
    .map(([name, { value }]) => [name.slice(of.length + 1), value]);
}

/** The packer writes the 64-bit structures; where the layouts put one of their fields elsewhere, one of the two is wrong. */
function agree(abi, swapped) {
  for (const [structure, number] of members('structure')) {
    if (!(`sizeof_${structure}` in exports)) continue;
    layout.choose(abi, number);
    const pairs = [[`sizeof_${structure}`, layout.structureSize()]];
    for (const [field, index] of members(structure)) {
      pairs.push([`${structure}_${swapped[field] ?? field}`, layout.offsetOfField(index)]);
    }
    for (const [name, computed] of pairs) {
      if (exports[name].value !== computed)
        throw new Error(`${name}: ${exports[name].value} packed, ${computed} laid out`);
    }
  }
}

const abis = members('name');
agree(Object.fromEntries(abis).x86_64, {});
agree(Object.fromEntries(abis).s390x, { aio_key: 'aio_rw_flags', aio_rw_flags: 'aio_key' });

const union = (of) =>
  `\n  | ${members(of)
    .map(([name]) => `'${name}'`)
    .join('\n  | ')}`;
writeFileSync(
  `${generated}/layout.ts`,
  `// Written by scripts/generate.js.

/** The WebAssembly that knows the structures of every ABI. */
export const layoutBase64: string =
  '${layoutWasm.toString('base64')}';

/** The ABIs by their usual names. */
export type AbiName =${union('name')};

/** The structures by the kernel's names. */
export type StructName =${union('structure')};
`,
);
