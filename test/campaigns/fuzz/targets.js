// What the coverage-guided fuzzer calls with bytes: it throws where something is wrong.
import assert from 'node:assert';
import { existsSync, writeFileSync } from 'node:fs';
import { parseOptions } from '../../../dist/cli/bench/options.js';
import { UsageError } from '../../../dist/cli/command.js';
import { command as copyCommand } from '../../../dist/cli/copy/command.js';
import { command as layoutCommand } from '../../../dist/cli/layout/command.js';
import * as layout from '../../../dist/layout/index.js';
import { isTyped } from './typed.js';

const { abis, structs } = layout;

/** Runs something that may refuse what it is given, with an error that says so. */
function mayRefuse(call) {
  try {
    return call();
  } catch (error) {
    if (isTyped(error) || error instanceof UsageError || /^ERR_PARSE_ARGS/.test(error.code ?? '')) return undefined;
    throw error;
  }
}

/** The first bytes choose structure and ABI, the others are what is decoded; what comes out goes in again and must be the same. */
function decode(bytes) {
  const struct = structs[(bytes[0] ?? 0) % structs.length];
  const abi = abis[(bytes[1] ?? 0) % abis.length].name;
  const { size } = layout.layoutOf(struct, abi);
  const content = bytes.subarray(2);
  mayRefuse(() => layout.decode(struct, content, abi));
  mayRefuse(() => layout.decodeAll(struct, content, abi));
  mayRefuse(() => layout.parseHex(content.toString('latin1'), (bytes[0] ?? 0) > 127));
  const exact = Buffer.alloc(size);
  content.copy(exact);
  const record = layout.decode(struct, exact, abi);
  const again = layout.decode(struct, layout.encode(struct, record, abi), abi);
  assert.deepStrictEqual(again, record);
  const explained = layout.explain(struct, exact, abi);
  assert.strictEqual(explained.length, Object.keys(record).length);
  for (const { meaning } of explained) assert.strictEqual(typeof meaning, 'string');
}

/** Arguments, one a line, and after an empty line what is on standard input. */
function split(bytes) {
  const text = bytes.toString('latin1').replaceAll('\0', '0');
  const [head, ...rest] = text.split('\n\n');
  // Nothing may be written, or run, but in this folder.
  return {
    args: head.split('\n').map((arg) => arg.replaceAll('/', '_').replaceAll('..', '__')),
    stdin: Buffer.from(rest.join('\n\n'), 'latin1'),
  };
}

/** `kaio layout ...`: an exit code, or a message about wrong use. No compiler is to be found. */
async function layoutCli(bytes) {
  const { args, stdin } = split(bytes);
  if (args.some((arg) => arg.startsWith('--svg'))) return;
  let out = '';
  const terminal = {
    out: (text) => {
      out += text;
    },
    err: () => {},
    stdin: (async function* read() {
      yield stdin;
    })(),
    color: bytes.length % 2 === 0,
  };
  try {
    const code = await layoutCommand.run(args, terminal);
    assert.ok([0, 1, 2].includes(code), `exit code ${code}`);
    assert.ok(!out.includes('undefined') && !out.includes('[object'), out);
  } catch (error) {
    mayRefuse(() => {
      throw error;
    });
  }
}

/** `kaio copy ...` in a folder of small files: an exit code, a message about wrong use, or what the kernel says of such a file. */
async function copyCli(bytes) {
  if (!existsSync('source')) writeFileSync('source', Buffer.alloc(5000, 1));
  const terminal = { out: () => {}, err: () => {}, color: bytes.length % 2 === 0 };
  const { args } = split(bytes);
  try {
    const code = await copyCommand.run(args, terminal);
    assert.ok([0, 1].includes(code), `exit code ${code}`);
  } catch (error) {
    mayRefuse(() => {
      throw error;
    });
  }
}

/** The options of `kaio bench`. */
function benchOptions(bytes) {
  const { args } = split(bytes);
  const options = mayRefuse(() => parseOptions(args));
  if (options === undefined) return;
  const { blockBytes, sizeBytes, depth, workers, runtimeMs } = options;
  for (const number of [blockBytes, sizeBytes, depth, workers])
    assert.ok(Number.isSafeInteger(number) && number > 0, JSON.stringify(options));
  assert.ok(Number.isFinite(runtimeMs) && runtimeMs >= 0);
}

const iocb = `${'\0'.repeat(2)}${'\x01'.repeat(64)}`;

process.env.PATH = '';
process.env.CC = '';
const layoutJson = JSON.stringify(layout.layoutOf('iocb'));
/** What no string can be made of. */
const unspeakable = '{"toString":1,"valueOf":1}';
const nested = `${'['.repeat(5000)}${']'.repeat(5000)}`;

export const targets = {
  decode: {
    of: '/dist/layout/',
    run: decode,
    corpus: [
      iocb,
      ...structs.map((_, at) => `${String.fromCharCode(at)}\0${'\xff'.repeat(40)}`),
      '\x02\x03 0000000 01 02 |..|',
      '\0\x10 0x01 0x0203',
      '\0\x0000000000  01 02  |..|\n*\n00000010\n',
    ],
    tokens: [
      '\x01\x10\xa1\xa1',
      '0x',
      ': ',
      '\n',
      ' |',
      '0000000  ',
      '\n*\n',
      '<a+8>:',
      '\0\0\0\0',
      '\xff\xff\xff\xff',
      '\xff\xff\xff\x7f',
      '\x07\0',
      '\x05\0',
    ],
  },
  layout: {
    of: '/dist/',
    run: layoutCli,
    corpus: [
      'iocb',
      'iocb\n--abi\ns390x',
      '--diff\nx86_64\ni386',
      'decode\n--json\n-\n\n01 02 03',
      'decode\nio_event\n0x01',
      `check\n--file\n-\n\n${layoutJson}`,
      `check\n--file\n-\n\n[${layoutJson},{"name":"timespec","size":8,"abi":"i386"}]`,
      ...[unspeakable, nested].flatMap((value) => [
        `check\n--file\n-\n\n{"name":${value},"size":1}`,
        `check\n--file\n-\n\n{"name":"iocb","size":1,"abi":${value},"byteOrder":"little"}`,
        `check\n--file\n-\n\n{"name":"iocb","size":1,"byteOrder":${value}}`,
      ]),
      '--constants',
      '--list',
      '--ascii\niovec',
      `decode\n-\n\n${'00'.repeat(64)}`,
    ],
    tokens: [
      '\n',
      '\n\n',
      '--abi',
      '--json',
      '--ascii',
      '--diff',
      '--constants',
      '--list',
      '--vectors',
      '--file',
      '--cc',
      '-',
      '--',
      '=',
      'decode',
      'check',
      ...structs,
      's390x',
      'i386',
      '0x',
      '"fields":',
      '"size":',
      '[]',
      '{}',
      'null',
      '-1',
      '1e9',
      '"__proto__":',
      '"structs":',
      '"constants":',
      '"calls":',
      '"abi":',
      '"byteOrder":',
      '"i386"',
      unspeakable,
      layoutJson,
    ],
  },
  copy: {
    of: '/dist/cli/copy/',
    run: copyCli,
    corpus: ['source\ncopy', '--force\nsource\ncopy', '--verify\n--no-reflink\nsource\n.', '-f\n--\nsource\n-f'],
    tokens: ['\n', 'source', 'copy', '.', '-f', '--force', '--verify', '--no-reflink', '--', '-', '=', 'x'.repeat(300)],
  },
  bench: {
    of: '/dist/cli/bench/',
    run: benchOptions,
    corpus: [
      'file',
      '--rw\nrandwrite\nfile',
      '--bs\n4k\n--size\n1g\nfile',
      '--depth=8\n--workers\n2\n--runtime\n0.5\nfile',
      '--engine\nkaio,fs\n--json\nfile',
    ],
    tokens: [
      '\n',
      '--rw',
      '--bs',
      '--depth',
      '--size',
      '--runtime',
      '--workers',
      '--engine',
      '--json',
      '--html',
      '--overwrite',
      '=',
      'k',
      'm',
      'g',
      '0',
      '-1',
      '1e309',
      'NaN',
      '512',
      '9007199254740993',
      '0x10',
      ',',
      'kaio',
      'read',
      ' ',
    ],
  },
};
