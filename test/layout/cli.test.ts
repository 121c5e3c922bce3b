import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeAll, encodeIocb, IOCB_CMD_PREAD, vectorsJson } from '../../src/layout/index.ts';
import { kaio, main } from './cli.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kaio-layout-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The command lines, without `kaio`, that the help of a command ends with. */
function examplesOf(command: string): string[] {
  const [, examples = ''] = kaio([command, '--help']).stdout.split('\nExamples:\n');
  return examples
    .trim()
    .split(/\n */)
    .map((line) => line.replace(/^kaio /, ''));
}

/** Wrong use: a message and a hint, nothing on stdout, no stack. */
function expectMistake({ status, stdout, stderr }: ReturnType<typeof kaio>, message: RegExp): void {
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/Try 'kaio( layout)? --help'\.\n$/);
  expect(stderr).not.toMatch(/\n\s+at |node:internal/);
  expect(stdout).toBe('');
  expect(status).toBe(2);
}

describe('kaio', () => {
  it('lists its commands, and those of each under --help', () => {
    expect(kaio(['--help'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^Usage: kaio COMMAND[\s\S]*\n {2}layout {2,}byte/),
    });
    expect(kaio(['layout', '--help'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^Usage: kaio layout/),
    });
    expect(kaio(['help', 'layout']).stdout).toBe(kaio(['layout', '--help']).stdout);
    expect(kaio(['layout', 'check', '-h']).status).toBe(0);
    expect(kaio(['--version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.for(examplesOf('layout'))('runs the example %s of its help', (example, { skip }) => {
    const [, cc] = /--cc (\S+)/.exec(example) ?? [];
    skip(cc !== undefined && spawnSync(cc, ['--version']).status !== 0, `${cc} is not installed`);
    expect(kaio(example.split(' '))).toMatchObject({ status: 0, stderr: '' });
  });

  it('says what was wrong, without a stack', () => {
    expectMistake(kaio(['lay']), /there is no command 'lay'/);
    expectMistake(kaio(['constructor']), /there is no command 'constructor'/);
    expectMistake(kaio(['layout', 'kiocb']), /there is no structure 'kiocb': it is one of iocb,/);
    expectMistake(kaio(['layout', '--abi', 'vax']), /there is no ABI 'vax'/);
    expectMistake(kaio(['layout', '--colour']), /Unknown option '--colour'/);
    for (const args of [['--diff', 'i386'], ['--diff=i386'], ['--diff='], ['--diff'], ['--diff', 'i386', '--json']]) {
      expectMistake(kaio(['layout', ...args]), /--diff needs two ABIs/);
    }
    expectMistake(kaio(['layout', '--diff', 'i386', 'vax']), /there is no ABI 'vax'/);
    expectMistake(kaio(['layout', 'iocb', 'iovec']), /one structure at a time/);
    expectMistake(kaio(['layout', '--svg', 'a.svg']), /--svg draws one structure/);
    expectMistake(kaio(['layout', '--vectors', '--list']), /exclude each other/);
    expectMistake(kaio(['layout', 'iocb', '--svg', join(folder, 'no', 'such.svg')]), /ENOENT/);
    expect(kaio([]).status).toBe(2);
  });

  it('needs no native module for layouts', () => {
    const script = `process.dlopen = () => { throw new Error('native') }; process.argv.push('layout', 'iocb'); await import('${main}')`;
    const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script, 'x'], {
      encoding: 'utf8',
    });
    expect({ status, head: stdout.slice(0, 11) }).toEqual({ status: 0, head: 'struct iocb' });
  });

  it('does not complain when a reader has had enough', () => {
    const { stdout, stderr } = spawnSync('sh', ['-c', `"${process.execPath}" "${main}" layout --vectors | head -n 1`], {
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: '[\n', stderr: '' });
  });

  it('has the same exit code where nobody reads what it says', async () => {
    expect(await codeUnread('stderr', 'nosuch')).toBe(2);
    expect(await codeUnread('stderr', 'layout', 'iovec')).toBe(0);
    expect(await codeUnread('stdout', 'layout', '--vectors')).toBe(0);
  });
});

/** The exit code of `kaio` where nobody reads one of its streams. */
async function codeUnread(stream: 'stdout' | 'stderr', ...args: string[]): Promise<number> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child[stream].destroy();
  const [code] = await once(child, 'exit');
  return code;
}

describe('kaio layout', () => {
  it('draws a structure and its table', () => {
    const { stdout, status } = kaio(['layout', 'iovec', '--abi', 'i386']);
    expect(status).toBe(0);
    expect(stdout).toBe(`struct iovec on i386: 8 bytes, aligned to 4, little-endian

          0       1       2       3       4       5       6       7
        ┌───────────────────────────────┬───────────────────────────────┐
     0  │ iov_base                      │ iov_len                       │
        └───────────────────────────────┴───────────────────────────────┘

offset  size  type             field
     0     4  void *           iov_base
     4     4  __kernel_size_t  iov_len

Note on i386: 64-bit integers are aligned to 4 bytes in a structure; no offset changes, since every field of ours fits anyway.
`);
  });

  it('shows padding, and a field that begins in the middle of a row', () => {
    const { stdout } = kaio(['layout', 'timespec', '--abi', 'x32', '--ascii']);
    expect(stdout).toContain('     8  | tv_nsec                       | (padding)                     |');
    expect(stdout).not.toMatch(/[^\n -~]/);
  });

  it('draws no wider than 80 columns', () => {
    const lines = kaio(['layout'])
      .stdout.split('\n')
      .filter((line) => /[│┌├└]/.test(line));
    expect(lines.length).toBeGreaterThan(40);
    expect(Math.max(...lines.map((line) => [...line].length))).toBeLessThanOrEqual(80);
  });

  it('colours only a terminal, and not even that under NO_COLOR', () => {
    const run = (env: string): string =>
      execFileSync(
        'script',
        ['-qec', `env ${env} TERM=xterm "${process.execPath}" "${main}" layout iovec`, '/dev/null'],
        { encoding: 'utf8' },
      );
    expect(run('-u NO_COLOR')).toContain('\u001b[');
    expect(run('NO_COLOR=1')).not.toContain('\u001b[');
    expect(kaio(['layout', 'iovec']).stdout).not.toContain('\u001b[');
  });

  it('writes JSON that check reads back', () => {
    const { stdout } = kaio(['layout', '--abi', 's390x', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      abi: 's390x',
      byteOrder: 'big',
      calls: { io_submit: 246 },
      constants: { RWF_DSYNC: 2 },
    });
    expect(kaio(['layout', 'check', '--file', '-'], stdout)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^same: \d+ values for s390x/),
    });
    expect(JSON.parse(kaio(['layout', 'iocb', '--json']).stdout)).toMatchObject({
      name: 'iocb',
      size: 64,
      header: 'linux/aio_abi.h',
    });
  });

  it('writes a picture', () => {
    const path = join(folder, 'iocb.svg');
    expect(kaio(['layout', 'iocb', '--svg', path])).toEqual({ status: 0, stdout: '', stderr: '' });
    const svg = readFileSync(path, 'utf8');
    expect(svg).toMatch(/^<svg xmlns=/);
    expect(svg.match(/data-field=/g)).toHaveLength(12);
  });

  it('shows how two ABIs differ, in one structure or in all with the calls', () => {
    expect(kaio(['layout', 'iocb', '--diff', 'x86_64', 's390x']).stdout.trimEnd().split(/\n/)).toHaveLength(4);
    const { stdout, status } = kaio(['layout', '--diff', 'x86_64', 'riscv32']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/call io_getevents +208 +-\n/);
    expect(stdout).toMatch(/iovec: size +16 +8\n/);
    expect(kaio(['layout', '--diff', 'riscv64', 'aarch64']).stdout).toBe('riscv64 and aarch64 are the same\n');
  });

  it('lists the ABIs and the constants', () => {
    expect(kaio(['layout', '--list']).stdout).toMatch(/\ns390x +big +64 +243 +244 +246 +247 +245 +382 +- +IBM Z/);
    expect(kaio(['layout', '--constants', '--abi', 'mips']).stdout).toMatch(/\nPOLLWRBAND +0x100 /);
    expect(kaio(['layout', '--constants']).stdout).toMatch(
      /\nIOCB_CMD_NOOP +0x6 +aio_lio_opcode +2\.5 +refused +EINVAL/,
    );
  });

  it('prints the vectors', () => {
    expect(kaio(['layout', '--vectors']).stdout).toBe(vectorsJson());
  });
});

describe('kaio layout decode', () => {
  const iocb = encodeIocb(
    { aio_data: 1, aio_lio_opcode: IOCB_CMD_PREAD, aio_fildes: 3, aio_buf: 4096, aio_nbytes: 512 },
    'x86_64',
  );
  const hex = Buffer.from(iocb).toString('hex');
  const onX86 = ['layout', 'decode', '--abi', 'x86_64'];

  it('explains bytes field by field', () => {
    const { status, stdout } = kaio([...onX86, hex]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/\n +16 +2 +aio_lio_opcode +0 +IOCB_CMD_PREAD\n/);
    expect(stdout).toMatch(/\n +32 +8 +aio_nbytes +512\n/);
  });

  it('marks what the kernel would refuse, and why', () => {
    const wrong = Buffer.from(encodeIocb({ aio_lio_opcode: 4, aio_reserved2: 7 }, 's390x')).toString('hex');
    const { status, stdout } = kaio(['layout', 'decode', '--abi', 's390x', wrong]);
    expect(status).toBe(1);
    expect(stdout).toContain('^ refused with EINVAL: 4 is no opcode');
    expect(stdout).toMatch(/aio_reserved2 +7\n +\^ refused with EINVAL: it must be 0\n/);
  });

  it('reads what xxd, hexdump, gdb and raw files have', () => {
    const expected = kaio([...onX86, hex]).stdout;
    const bytes = [...iocb].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`);
    const words = [...new BigUint64Array(iocb.slice().buffer)].map(
      (word) => `0x${word.toString(16).padStart(16, '0')}`,
    );
    const gdb = [0, 1, 2, 3]
      .map((i) => `0x7ffe00${i}0 <iocb+${i * 16}>:\t${words[i * 2]}\t${words[i * 2 + 1]}`)
      .join('\n');
    const lines = [0, 16, 32, 48].map((at) =>
      [...iocb.slice(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0')),
    );
    const canonical = lines.map(
      (line, i) => `000000${i}0  ${line.slice(0, 8).join(' ')}  ${line.slice(8).join(' ')}  |................|`,
    );
    const xxd = lines.map(
      (line, i) => `000000${i}0: ${line.join('').replace(/(....)(?=.)/g, '$1 ')}  ................`,
    );
    expect(kaio([...onX86, ...bytes]).stdout).toBe(expected);
    expect(kaio([...onX86, file('gdb.txt', gdb)]).stdout).toBe(expected);
    expect(kaio([...onX86, file('canonical.txt', canonical.join('\n'))]).stdout).toBe(expected);
    expect(kaio([...onX86, file('xxd.txt', `${xxd.join('\n')}\n`)]).stdout).toBe(expected);
    expect(kaio([...onX86, file('raw.bin', iocb)]).stdout).toBe(expected);
    expect(kaio([...onX86, '-'], iocb).stdout).toBe(expected);
    expect(kaio([...onX86, '-'], hex).stdout).toBe(expected);
  });

  it('reads the whole output of hexdump -C and of xxd -a, with its rows left out and its last offset', ({ skip }) => {
    const content = Buffer.alloc(192);
    content.set(iocb);
    const path = file('dumped.bin', content);
    const expected = kaio([...onX86, path]).stdout;
    expect(expected).toContain('iocb 2, at byte 128');
    for (const [program, ...options] of [
      ['hexdump', '-C'],
      ['xxd', '-a'],
    ] as const) {
      const { error, stdout } = spawnSync(program, [...options, path], { encoding: 'utf8' });
      skip(error !== undefined, `${program} is not installed`);
      expect(stdout).toMatch(/^\*$/m);
      expect(kaio([...onX86, '-'], stdout).stdout).toBe(expected);
    }
  });

  it('reads words in the byte order of the ABI', () => {
    const args = ['layout', 'decode', 'iocbp', '--abi'];
    expect(kaio([...args, 's390', '0x00001000']).stdout).toMatch(/4096 +0x1000/);
    expect(kaio([...args, 'i386', '0x00001000']).stdout).toMatch(/4096 +0x1000/);
    expect(kaio([...args, 's390', '00001000']).stdout).toMatch(/4096 +0x1000/);
  });

  it('explains several in a row, of any structure', () => {
    const events = encodeAll(
      'io_event',
      [
        { data: 1, res: -5 },
        { data: 2, res: 4096 },
      ],
      'x86_64',
    );
    const { stdout } = kaio(['layout', 'decode', 'io_event', '--abi', 'x86_64', Buffer.from(events).toString('hex')]);
    expect(stdout).toMatch(/^io_event 0, at byte 0\n[\s\S]*-5 +EIO\n[\s\S]*\nio_event 1, at byte 32\n[\s\S]*4096\n/);
    const parsed = JSON.parse(kaio(['layout', 'decode', 'io_event', '--json', '--abi', 'x86_64', '-'], events).stdout);
    expect(parsed[0][2]).toMatchObject({ name: 'res', value: '-5', meaning: 'EIO' });
  });

  it('says what it cannot read', () => {
    expectMistake(kaio(['layout', 'decode']), /decode needs bytes/);
    expectMistake(kaio(['layout', 'decode', 'abcd']), /iocb has 64 bytes on .*, and 2 bytes are not a whole number/);
    expectMistake(
      kaio(['layout', 'decode', 'no-such-file']),
      /neither hexadecimal nor a file that can be read: ENOENT/,
    );
    expectMistake(kaio(['layout', 'decode', '00', 'zz']), /'zz' is not hexadecimal/);
    expectMistake(kaio(['layout', 'decode', '-'], ''), /0 bytes/);
  });
});

describe('kaio layout check', () => {
  const compilers = ['gcc', 'clang'] as const;

  it.for(compilers)('agrees with %s and the kernel headers of this machine', (cc, { skip }) => {
    skip(spawnSync(cc, ['--version']).status !== 0, `${cc} is not installed`);
    const { status, stdout } = kaio(['layout', 'check', '--cc', cc]);
    expect(stdout).toMatch(/^same: 1\d\d values for \w+ compared with .*, kernel headers \d+\.\d+\.\d+\n$/);
    expect(status).toBe(0);
  });

  it('finds the ABI that the compiler is for, and refuses to compare it with another', () => {
    expect(kaio(['layout', 'check', '--json', '--cc', 'gcc -D__ILP32__']).stdout).toMatch(/"abi": "\w+"/);
    expectMistake(kaio(['layout', 'check', '--abi', 's390']), /'cc' compiles for \w+, not for s390/);
  });

  it('takes the compiler from CC', () => {
    expectMistake(kaio(['layout', 'check'], '', { CC: 'no-such-cc' }), /'no-such-cc' does not run: it is not there/);
    expect(kaio(['layout', 'check'], '', { CC: '' })).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^same/),
    });
    expectMistake(kaio(['layout', 'check', '--cc', '']), /--cc needs a compiler/);
  });

  it('says every line in which headers differ', () => {
    const include = join(folder, 'include');
    execFileSync('mkdir', ['-p', join(include, 'linux')]);
    const found = execFileSync('gcc', ['-E', '-x', 'c', '-'], {
      input: '#include <linux/aio_abi.h>\n',
      encoding: 'utf8',
    });
    const path = /"([^"]+\/linux\/aio_abi\.h)"/.exec(found)![1]!;
    const header = readFileSync(path, 'utf8')
      .replace('IOCB_CMD_POLL = 5', 'IOCB_CMD_POLL = 4')
      .replace(/(__u64\s+aio_buf;)/, '__u64 wrong; $1');
    writeFileSync(join(include, 'linux', 'aio_abi.h'), header);
    const { status, stdout } = kaio(['layout', 'check', '--cc', `gcc -I '${include}'`]);
    expect(status).toBe(1);
    expect(stdout).toContain('iocb.aio_buf offset: expected 24, found 32\n');
    expect(stdout).toContain('IOCB_CMD_POLL: expected 5, found 4\n');
    expect(stdout).toMatch(/\n\d+ different: /);
  });

  it("shows the compiler's own words where the probe does not compile", () => {
    const include = join(folder, 'broken');
    execFileSync('mkdir', ['-p', join(include, 'linux')]);
    writeFileSync(join(include, 'linux', 'aio_abi.h'), '#error these are no headers\n');
    expectMistake(
      kaio(['layout', 'check', '--cc', `gcc -I '${include}'`]),
      /does not compile the probe:[\s\S]*these are no headers/,
    );
  });

  it('names field, expected and found of a wrong layout file', () => {
    const layout = JSON.parse(kaio(['layout', 'iocb', '--abi', 'x86_64', '--json']).stdout);
    layout.fields[6].offset = 32;
    layout.size = 72;
    const { status, stdout } = kaio(['layout', 'check', '--file', file('wrong.json', JSON.stringify(layout))]);
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /^iocb size: expected 64, found 72\niocb\.aio_buf offset: expected 24, found 32\n2 different: /,
    );
  });

  it('names fields that are missing or too many, and wrong constants and calls', () => {
    const path = file(
      'odd.json',
      JSON.stringify({
        abi: 'x86_64',
        structs: [
          {
            name: 'struct iovec',
            byteOrder: 'big',
            fields: [
              { name: 'iov_base', offset: 0 },
              { name: 'iov_cap', offset: 8 },
            ],
          },
        ],
        constants: { RWF_SYNC: 2, RWF_MAGIC: 1 },
        calls: { io_setup: 206, io_submit: 208 },
      }),
    );
    const { status, stdout } = kaio(['layout', 'check', '--file', path]);
    expect(status).toBe(1);
    expect(stdout.split('\n').slice(0, -2)).toEqual([
      'iovec byte order: expected little, found big',
      'iovec.iov_cap offset: expected none, found 8',
      'iovec.iov_len offset: expected 8, found none',
      'RWF_SYNC: expected 4, found 2',
      'RWF_MAGIC: expected none, found 1',
      '__NR_io_submit: expected 209, found 208',
    ]);
  });

  it.each([
    ['an object', '{"toString": 1, "valueOf": 1}'],
    ['an array', `${'['.repeat(5000)}${']'.repeat(5000)}`],
  ])('takes %s for no name, ABI or byte order, whatever it would be as a string', (_, value) => {
    const check = (content: string): ReturnType<typeof kaio> => kaio(['layout', 'check', '--file', '-'], content);
    expectMistake(check(`{"name": ${value}, "size": 1}`), /"name" must be a string/);
    expectMistake(check(`{"struct": ${value}, "size": 1}`), /"struct" must be a string/);
    expectMistake(check(`{"name": "iocb", "size": 64, "abi": ${value}}`), /"abi" must be a string/);
    expectMistake(check(`{"name": "iocb", "size": 64, "byteOrder": ${value}}`), /"byteOrder" must be a string/);
  });

  it('compares every structure on the ABI that it names', () => {
    const check = (abi: string, size: number, ...args: string[]): ReturnType<typeof kaio> => {
      const structs = [
        { name: 'iocb', size: 64, abi: 'x86_64' },
        { name: 'timespec', size, abi },
      ];
      return kaio(['layout', 'check', ...args, '--file', '-'], JSON.stringify({ structs }));
    };
    const same = 'same: 2 values for x86_64, i386 compared with standard input\n';
    expect(check('i386', 8)).toMatchObject({ status: 0, stdout: same });
    const { status, stdout } = check('i386', 16);
    expect(stdout).toMatch(/^timespec size on i386: expected 8, found 16\n1 different: 2 values for x86_64, i386 /);
    expect(status).toBe(1);
    expect(JSON.parse(check('i386', 16, '--json').stdout)).toMatchObject({ abi: 'x86_64, i386', same: false });
    expect(check('i386', 16, '--abi', 'x86_64').stdout).toMatch(/^same: 2 values for x86_64 /);
    expectMistake(check('vax', 8), /the layout is for 'vax', which is no ABI known here/);
  });

  it('says what is wrong with a file that is no layout', () => {
    const check = (content: string): ReturnType<typeof kaio> => kaio(['layout', 'check', '--file', '-'], content);
    expectMistake(check('{'), /the layout is no JSON/);
    expectMistake(check('{}'), /nothing to compare/);
    expectMistake(check('null'), /nothing to compare/);
    expectMistake(check('{"structs": 5}'), /"structs" must be an array/);
    expectMistake(check('[{"name": "kiocb", "size": 1}]'), /'kiocb', which is none of iocb/);
    expectMistake(check('{"name": "iocb", "size": "64"}'), /iocb: "size" must be a whole number/);
    expectMistake(check('{"name": "iocb", "fields": [1]}'), /"fields" must be an array of objects/);
    expectMistake(check('{"abi": "vax", "structs": []}'), /nothing to compare|vax/);
    expectMistake(check('{"structs": [{"name": "iocb"}]}'), /nothing to compare/);
    expectMistake(
      check('{"name": "iovec", "fields": [{"name": "iov_base"}, {"name": "iov_len"}]}'),
      /nothing to compare/,
    );
    expectMistake(kaio(['layout', 'check', '--file', join(folder, 'none.json')]), /ENOENT/);
    expectMistake(kaio(['layout', 'check', '--file', 'x', '--cc', 'gcc']), /exclude each other/);
  });
});
