// Carries what asc compiled to the two places that use it: the packer's bytes into a TypeScript module, so that kaio/layout loads
// without a file system, and its sizes and offsets into C++ static assertions, so that the native module does not compile where
// the kernel's header disagrees.
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
