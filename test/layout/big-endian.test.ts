import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emulator, nodeS390x, noEmulator, root } from './s390x.ts';

let folder = '';
let node = '';
let reason = noEmulator();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kaio-s390x-'));
  if (reason !== undefined) return;
  const found = nodeS390x();
  if ('reason' in found) reason = found.reason;
  else node = found.node;
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

function emulate(program: readonly string[], input = ''): string {
  const [qemu, ...args] = [...emulator, ...program];
  const { status, stdout, stderr } = spawnSync(qemu!, args, { input, encoding: 'utf8', maxBuffer: 2 ** 26 });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** Runs a module on the big-endian Node and gives back what it printed. */
function onS390x(name: string, source: string, input = ''): string {
  const file = join(folder, name);
  writeFileSync(file, source);
  return emulate([node, file], input);
}

/** What the packer is asked to pack. */
interface Packed {
  slot: number;
  opcode: number;
  fd: number;
  buffer: number;
  nbytes: number;
  position: number;
  rwFlags: number;
  reqprio: number;
  flags: number;
}

const DEPTH = 8;
const CONTROL = 0x0102030405060000n;
const POOL = 0x1112131415160000n;
const RESFD = 0x21222324;

const requests: Packed[] = fc.sample(
  fc.record({
    slot: fc.nat(DEPTH - 1),
    opcode: fc.constantFrom(0, 1, 2, 3, 5),
    fd: fc.nat(0x7fffffff),
    buffer: fc.nat(0x7fffffff),
    nbytes: fc.nat(0x7fffffff),
    position: fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, Number.MAX_SAFE_INTEGER)),
    rwFlags: fc.integer(),
    reqprio: fc.integer({ min: -0x8000, max: 0x7fff }),
    flags: fc.constantFrom(0, 2),
  }),
  200,
);

/** Reads the fields of iocbs and events as numbers, and writes the bytes that a C compiler for s390x makes of them. */
const cProgram = `
#include <linux/aio_abi.h>
#include <stdio.h>
static void hex(const void *at, unsigned n) {
  for (const unsigned char *p = at; n--; p++) printf("%02x", *p);
  putchar('\\n');
}
int main(void) {
  unsigned long v[11];
  char kind;
  while (scanf(" %c", &kind) == 1) {
    for (int i = 0; i < (kind == 'i' ? 11 : 4); i++) if (scanf("%lu", &v[i]) != 1) return 1;
    struct iocb iocb = {.aio_data = v[0], .aio_key = v[1], .aio_rw_flags = v[2], .aio_lio_opcode = v[3], .aio_reqprio = v[4],
      .aio_fildes = v[5], .aio_buf = v[6], .aio_nbytes = v[7], .aio_offset = v[8], .aio_flags = v[9], .aio_resfd = v[10]};
    struct io_event event = {.data = v[0], .obj = v[1], .res = v[2], .res2 = v[3]};
    if (kind == 'i') hex(&iocb, sizeof iocb); else hex(&event, sizeof event);
  }
}
`;

function compileC(): string {
  const program = join(folder, 'c');
  const { status, stderr } = spawnSync('s390x-linux-gnu-gcc', ['-O1', '-o', program, '-x', 'c', '-'], {
    input: cProgram,
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return program;
}

function u64(value: bigint | number): string {
  return String(BigInt.asUintN(64, BigInt(value)));
}

/** The fields that the kernel must find, for the C program. */
function iocbLine(request: Packed): string {
  const { slot, opcode, fd, buffer, nbytes, position, rwFlags, reqprio, flags } = request;
  const address = opcode < 2 ? POOL + BigInt(buffer) : BigInt(buffer);
  const data = (1n << 32n) | BigInt(slot);
  return ['i', data, 0, u64(rwFlags), opcode, u64(reqprio), fd, address, nbytes, position, flags, RESFD].join(' ');
}

const packing = `
import { readFileSync } from 'node:fs';
import { bigEndian, instantiatePacker } from '${root}dist/layout/packer.js';
const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const packer = instantiatePacker(memory);
packer.init(${DEPTH}, 0, ${CONTROL}n, ${POOL}n, ${RESFD}, bigEndian ? 1 : 0);
const hex = (at, length) => Buffer.from(memory.buffer, at, length).toString('hex');
for (const r of JSON.parse(readFileSync(0, 'utf8'))) {
  packer.pack(3, r.slot, r.opcode, r.fd, r.buffer, r.nbytes, r.position, r.rwFlags, r.reqprio, r.flags);
  const address = BigInt('0x' + hex(packer.pointersAt(${DEPTH}) + 24, 8));
  console.log(hex(Number(address - ${CONTROL}n), 64));
}
`;

describe('a big-endian Node', () => {
  it('lays out, encodes and decodes as every other', ({ skip }) => {
    skip(reason !== undefined, reason);
    const printed = onS390x(
      'vectors.mjs',
      `
import { readFileSync } from 'node:fs';
import { decode, encode, hostAbi, vectorsJson } from '${root}dist/layout/index.js';
const published = readFileSync('${root}vectors/layout.json', 'utf8');
let passed = 0;
for (const { struct, abis, cases } of JSON.parse(published)) for (const abi of abis) for (const { fields, bytes } of cases) {
  const record = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, BigInt(value)]));
  const encoded = Buffer.from(encode(struct, record, abi)).toString('hex');
  const decoded = Object.entries(decode(struct, Buffer.from(bytes, 'hex'), abi)).every(([name, value]) => String(value) === fields[name]);
  if (encoded !== bytes || !decoded) throw new Error([struct, abi, bytes, encoded].join(' '));
  passed++;
}
console.log(JSON.stringify({ hostAbi, big: new Uint8Array(Uint16Array.of(1).buffer)[0] === 0, same: vectorsJson() === published, passed }));
`,
    );
    expect(JSON.parse(printed)).toEqual({ hostAbi: 's390x', big: true, same: true, passed: expect.any(Number) });
    expect(JSON.parse(printed).passed).toBeGreaterThan(4000);
  }, 120_000);

  it('packs the bytes that a C program for s390x writes', ({ skip }) => {
    skip(reason !== undefined, reason);
    const fromC = emulate([compileC()], `${requests.map(iocbLine).join('\n')}\n`);
    const packed = onS390x('pack.mjs', packing, JSON.stringify(requests));
    expect(packed.trimEnd().split('\n')).toEqual(fromC.trimEnd().split('\n'));
  }, 120_000);

  it('decodes the events that a C program for s390x writes', ({ skip }) => {
    skip(reason !== undefined, reason);
    const events = Array.from({ length: DEPTH }, (_, slot) => ({
      slot,
      res: [4096, 0, -5, -2147483647, 2147483647, -22, 1, 512][slot]!,
    }));
    const lines = events.map(({ slot, res }) =>
      ['e', (1n << 32n) | BigInt(slot), CONTROL + 128n + BigInt(slot) * 64n, u64(res), 0].join(' '),
    );
    const fromC = emulate([compileC()], `${lines.join('\n')}\n`)
      .trimEnd()
      .split('\n');
    const decoded = onS390x(
      'decode.mjs',
      `
import { bigEndian, instantiatePacker } from '${root}dist/layout/packer.js';
const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const packer = instantiatePacker(memory);
packer.init(${DEPTH}, 0, ${CONTROL}n, ${POOL}n, ${RESFD}, bigEndian ? 1 : 0);
new Uint8Array(memory.buffer).set(Buffer.from('${fromC.join('')}', 'hex'), packer.eventsAt(${DEPTH}));
const count = packer.decode(${DEPTH});
const words = new Int32Array(memory.buffer, packer.completionsAt(${DEPTH}), count * packer.completion_words.value);
console.log(JSON.stringify([...words]));
`,
    );
    expect(JSON.parse(decoded)).toEqual(events.flatMap(({ slot, res }) => [slot, res, 0]));
  }, 120_000);
});
