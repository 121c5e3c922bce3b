import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { support } from '../../src/index.ts';
import { constants, type Iocb, refusals } from '../../src/layout/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

type Request = { -readonly [K in keyof Iocb]: Iocb[K] };

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kaio-strace-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What stands in the way; undefined where nothing does. */
function obstacle(): string | undefined {
  const found = support();
  if (!found.supported) return found.message;
  const { error, status, stderr } = spawnSync('strace', ['-o', '/dev/null', 'true'], { encoding: 'utf8' });
  if (error !== undefined) return 'strace is not installed';
  return status === 0 ? undefined : `strace may not trace here: ${stderr.trim()}`;
}

const OPCODES = [0, 1, 2, 3, 5, 7, 8];
const unsigned = (bits: bigint): fc.Arbitrary<bigint> => fc.bigInt(0n, (1n << bits) - 1n);
const anyInt = fc.oneof(fc.constantFrom(0, 1, -1, 0x7fffffff, -0x80000000), fc.integer());

/** The same without what the kernel would refuse of it for certain, and not too far out for the file. */
function tamed(request: Request): Request {
  const opcode = OPCODES[request.aio_key % OPCODES.length]!;
  const isTransfer = opcode < 2 || opcode > 5;
  return {
    ...request,
    aio_lio_opcode: opcode,
    aio_rw_flags: isTransfer ? request.aio_rw_flags & 0x16 : 0,
    aio_nbytes: isTransfer ? request.aio_nbytes & 15n : 0n,
    aio_offset: isTransfer ? request.aio_offset & 0xfffffn : 0n,
    aio_flags: request.aio_flags & ~2,
    aio_reserved2: 0n,
  };
}

/** Random fields; descriptor and buffer are real, so that many requests go through and strace can read what they point at. */
const requests: Request[] = fc
  .sample(
    fc.record<Request>({
      aio_data: unsigned(64n),
      aio_key: fc.oneof(fc.constant(0), fc.nat()),
      aio_rw_flags: fc.oneof(fc.constantFrom(0, 2, 8, 0x10, 0x200), anyInt),
      aio_lio_opcode: fc.oneof(fc.constantFrom(...OPCODES), fc.integer({ min: 0, max: 0xffff })),
      aio_reqprio: fc.integer({ min: -0x8000, max: 0x7fff }),
      aio_fildes: fc.constant(-2 >>> 0),
      aio_buf: fc.constant(0n),
      aio_nbytes: fc.oneof(fc.bigInt(1n, 16n), unsigned(64n)),
      aio_offset: fc.oneof(
        fc.bigInt(0n, (1n << 20n) - 1n),
        fc.bigInt(1n << 53n, (1n << 63n) - 1n),
        fc.bigInt(-(1n << 63n), -1n),
      ),
      aio_reserved2: fc.oneof({ weight: 8, arbitrary: fc.constant(0n) }, { weight: 1, arbitrary: unsigned(64n) }),
      aio_flags: fc.oneof(fc.constantFrom(0, 1, 2, 3), fc.nat()),
      aio_resfd: fc.constant(0),
    }),
    1000,
  )
  .map((request, i) => (i % 2 === 0 ? request : tamed(request)));

/** Submits each request of a JSON file alone and prints, a line each, the values that it really had and what came of it. */
const program = `
import { openSync, readFileSync } from 'node:fs';
import { Arena, eventfd, io_destroy, io_getevents, io_setup, io_submit } from '${root}dist/raw/index.js';
import { encodeBatch } from '${root}dist/layout/index.js';
const [file, requests] = process.argv.slice(2);
const fd = openSync(file, 'w+');
const resfd = eventfd(0, 0);
const context = io_setup(16);
const arena = new Arena(65536);
const memory = Buffer.from(arena.buffer);
for (const request of JSON.parse(readFileSync(requests, 'utf8'), (_, v) => (typeof v === 'string' ? BigInt(v) : v))) {
  // Iovecs of no length at 8192, a buffer at 4096; a poll's mask is where the address would be.
  const vectored = request.aio_lio_opcode === 7 || request.aio_lio_opcode === 8;
  if (request.aio_fildes !== 0) request.aio_fildes = fd;
  request.aio_resfd = resfd;
  request.aio_buf = request.aio_lio_opcode === 5 ? BigInt(request.aio_flags % 70000) : arena.address + (vectored ? 8192n : 4096n);
  const { iocbs, pointers } = encodeBatch([request], arena.address + 1024n);
  memory.set(iocbs, 1024);
  memory.set(pointers, 2048);
  let result = 'ok';
  try {
    io_submit(context, 1, arena.address + 2048n);
    io_getevents(context, 1, 1, arena.address + 12288n);
    const res = Number(memory.readBigInt64LE(12288 + 16));
    if (res < 0) result = 'res ' + -res;
  } catch (error) {
    result = 'call ' + -error.errno;
  }
  console.log(JSON.stringify({ ...request, result }, (_, v) => (typeof v === 'bigint' ? String(v) : v)));
}
io_destroy(context);
`;

interface Submitted {
  readonly request: Request;
  readonly result: string;
  /** strace's fields of the iocb. */
  readonly printed: ReadonlyMap<string, string>;
}

/** Splits strace's `{a=b, c=[{d}], ...}` at the commas of the outer level. */
function fieldsOf(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [, name, value] of text.matchAll(
    /(aio_\w+)=((?:"(?:[^"\\]|\\.)*"(?:\.\.\.)?|\[.*?\](?=, aio_|$)|[^",[(]|\([^)]*\)|\/\*.*?\*\/)+?)(?=, aio_|$)/g,
  )) {
    fields.set(name!, value!);
  }
  return fields;
}

function submitAll(): Submitted[] {
  const script = join(folder, 'submit.mjs');
  const list = join(folder, 'requests.json');
  const log = join(folder, 'strace.log');
  writeFileSync(script, program);
  writeFileSync(
    list,
    JSON.stringify(requests, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
  );
  const args = [
    '-f',
    '-o',
    log,
    '-s',
    '4',
    '-e',
    'trace=io_submit',
    process.execPath,
    script,
    join(folder, 'file'),
    list,
  ];
  const { status, stdout, stderr } = spawnSync('strace', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const traced = [...readFileSync(log, 'utf8').matchAll(/io_submit\(0x\w+, 1, \[\{(.*)\}\]\) +=/g)];
  const lines = stdout.trimEnd().split('\n');
  expect(traced).toHaveLength(lines.length);
  return lines.map((line, i) => {
    const { result, ...request } = JSON.parse(line, (_, value) =>
      /^-?\d+$/.test(value) && typeof value === 'string' ? BigInt(value) : value,
    );
    return { request, result, printed: fieldsOf(traced[i]![1]!) };
  });
}

/** A number, or flags by the names of the headers, as strace prints them. */
function numberOf(text: string): bigint {
  const priority = /^IOPRIO_PRIO_VALUE\((\w+)(?: \/\*.*?\*\/)?, (\w+)\)$/.exec(text);
  if (priority !== null) return BigInt.asIntN(16, (numberOf(priority[1]!) << 13n) | numberOf(priority[2]!));
  return text
    .replace(/ ?\/\*.*?\*\//g, '')
    .split('|')
    .reduce((sum, word) => sum | (/^-?(0x)?[\da-f]+$/i.test(word) ? parse(word) : BigInt(named(word, text))), 0n);
}

/** The value of a name; strace has one that the header keeps only in a comment. */
function named(word: string, text: string): number {
  if (word === 'IOCB_CMD_PREADX') return 4;
  return constants.find(({ name }) => name === word)?.value ?? expect.fail(`${word} in ${text}`);
}

function parse(word: string): bigint {
  return word.startsWith('-') ? -BigInt(word.slice(1)) : BigInt(word);
}

/** What strace shows of each field must be what was packed. Addresses and counts it may show as what they point at. */
function expectSame({ request, printed }: Submitted): number {
  let compared = 0;
  for (const [name, text] of printed) {
    if (/^[["]|^NULL$/.test(text)) continue;
    const value = BigInt(request[name as keyof Iocb]);
    const bits = name === 'aio_rw_flags' ? 32 : 64;
    expect(BigInt.asUintN(bits, numberOf(text)), `${name}=${text} of ${JSON.stringify([...printed])}`).toBe(
      BigInt.asUintN(bits, value),
    );
    compared++;
  }
  return compared;
}

describe('random requests', () => {
  let submitted: Submitted[] = [];
  const reason = obstacle();
  beforeAll(() => {
    if (reason === undefined) submitted = submitAll();
  });

  it('are read by strace as they were packed, in every field that it prints', ({ skip }) => {
    skip(reason !== undefined, reason);
    const compared = submitted.reduce((sum, each) => sum + expectSame(each), 0);
    expect(submitted).toHaveLength(1000);
    expect(compared).toBeGreaterThan(1000 * 4);
    const far = submitted.filter(
      ({ request, printed }) => printed.has('aio_offset') && request.aio_offset >= 1n << 53n,
    );
    expect(far.length).toBeGreaterThan(20);
    for (const name of ['aio_data', 'aio_key', 'aio_rw_flags', 'aio_reqprio', 'aio_nbytes', 'aio_resfd', 'aio_buf']) {
      expect(submitted.filter(({ printed }) => printed.has(name)).length, name).toBeGreaterThan(10);
    }
  });

  it('are refused by the kernel exactly where refusals says so', ({ skip }) => {
    skip(reason !== undefined, reason);
    const numbers: Readonly<Record<string, number>> = { EPERM: 1, EBADF: 9, EFAULT: 14, EINVAL: 22, EOPNOTSUPP: 95 };
    let refused = 0;
    for (const { request, result } of submitted) {
      const found = refusals(request);
      const certain = found.filter(({ when }) => when === 'always');
      const [, errno] = /^(?:call|res) (\d+)$/.exec(result) ?? [];
      const about = `${JSON.stringify(request, (_, value) => (typeof value === 'bigint' ? String(value) : value))}: ${result}`;
      if (certain.length > 0) {
        refused++;
        expect(
          found.map((refusal) => numbers[refusal.errno]),
          about,
        ).toContain(Number(errno));
      } else if (found.length === 0 && errno !== undefined) {
        // Not of the request but of this file: too far for the file system, or a bad place in memory behind a good address.
        expect([14, 27, 22].includes(Number(errno)) ? 'of the file' : about).toBe('of the file');
      }
    }
    expect(refused).toBeGreaterThan(100);
    expect(submitted.filter(({ result }) => result === 'ok').length).toBeGreaterThan(20);
  });
});
