import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AbiName, abiOf, drawSvg, hostAbi, layoutOf, type StructName } from '../../src/layout/index.ts';
import { kaio } from './cli.ts';
import { targets, unconfirmed } from './targets.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/layout.md'), 'utf8');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kaio-docs-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The first block of a language. */
function snippet(language: string): string {
  return new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(page)![1]!;
}

interface Language {
  readonly name: string;
  readonly file: string;
  /** Proves that the toolchain is there. */
  readonly version: readonly string[];
  /** The oldest release 1.x that has what the program uses. */
  readonly minor?: number;
  /** Builds the file into a program called `program`; none where it is run as it is. */
  readonly build?: readonly string[];
  readonly run: readonly string[];
  /** A field's declaration, and one that is wrong. */
  readonly wrong: readonly [string, string];
}

const languages: readonly Language[] = [
  {
    name: 'c',
    file: 'layout.c',
    version: ['gcc', '--version'],
    build: ['gcc', '-Wall', '-Wextra', '-Werror', '-O1', '-o', 'program', 'layout.c'],
    run: ['./program'],
    wrong: ['iocb.field = number(line, #field)', 'iocb.field = number(line, #field) ^ 1'],
  },
  {
    name: 'rust',
    file: 'layout.rs',
    version: ['rustc', '--version'],
    minor: 77, // offset_of!; Debian 12 has 1.63.
    build: ['rustc', '--edition', '2021', '-o', 'program', 'layout.rs'],
    run: ['./program'],
    wrong: ['aio_key: u32,\n    aio_rw_flags: i32,', 'aio_rw_flags: i32,\n    aio_key: u32,'],
  },
  {
    name: 'go',
    file: 'layout.go',
    version: ['go', 'version'],
    build: ['go', 'build', '-o', 'program', 'layout.go'],
    run: ['./program'],
    wrong: ['Flags     uint32 `json:"aio_flags"`', 'Flags     uint32 `json:"aio_resfd"`'],
  },
  {
    name: 'python',
    file: 'layout.py',
    version: ['python3', '--version'],
    run: ['python3', 'layout.py'],
    wrong: ['("aio_reqprio", ctypes.c_int16)', '("aio_reqprio", ctypes.c_int32)'],
  },
];

function spawn([command, ...args]: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(command!, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, GOCACHE: join(folder, 'go'), GOFLAGS: '-mod=mod' },
  });
}

/** Builds and runs a program with the vectors. */
function runProgram({ file, build, run }: Language, source: string): SpawnSyncReturns<string> {
  writeFileSync(join(folder, file), source);
  if (build !== undefined) {
    const { status, stderr } = spawn(build);
    expect({ status, stderr }).toMatchObject({ status: 0 });
  }
  return spawn([...run, join(root, 'vectors/layout.json'), hostAbi]);
}

/** Why the program cannot be tried here; undefined where it can. */
function missing({ name, version: [tool, ...args], minor = 0 }: Language): string | undefined {
  const { error, status, stdout } = spawnSync(tool!, args, { encoding: 'utf8' });
  if (error !== undefined || status !== 0) return `${tool} is not installed`;
  const [version, found] = / 1\.(\d+)\.\d+/.exec(stdout) ?? [];
  if (minor > Number(found)) return `${tool} is${version}, and the program needs 1.${minor}`;
  if (abiOf().byteOrder === 'big' && name !== 'c') return 'it declares the little-endian iocb';
  return undefined;
}

describe.each(languages)('the program in $name', (language) => {
  const reason = missing(language);

  it('passes the vectors and prints a layout that check finds the same', ({ skip }) => {
    skip(reason !== undefined, reason);
    const { status, stdout, stderr } = runProgram(language, snippet(language.name));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(kaio(['layout', 'check', '--file', '-'], stdout)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^same: 25 values/),
    });
  }, 120_000);

  it('fails where its declaration is wrong', ({ skip }) => {
    skip(reason !== undefined, reason);
    const [right, wrong] = language.wrong;
    expect(snippet(language.name)).toContain(right);
    expect(runProgram(language, snippet(language.name).replace(right, wrong)).status).not.toBe(0);
  }, 120_000);
});

describe('docs/layout.md', () => {
  it('has maps that are as they are drawn now', () => {
    const maps = [...page.matchAll(/\(maps\/((\w+?)-(\w+)\.svg)\)/g)];
    expect(maps.length).toBeGreaterThan(10);
    for (const [, file, struct, abi] of maps) {
      expect(readFileSync(join(root, 'docs/maps', file!), 'utf8'), file).toBe(
        drawSvg(layoutOf(struct as StructName, abi as AbiName)),
      );
    }
    expect(readdirSync(join(root, 'docs/maps')).sort()).toEqual(maps.map(([, file]) => file!).sort());
  });

  it('names every confirmed and every unconfirmed ABI', () => {
    const [, confirmed, rest] = page.split(/### What has been confirmed|Not confirmed by a compiler/);
    for (const { abi } of targets) expect(confirmed).toMatch(new RegExp(`\\b${abi}\\b`));
    for (const abi of unconfirmed) expect(rest).toMatch(new RegExp(`\\b${abi}\\b`));
    expect(page).toContain(`compilers of\n${targets.length} ABIs`);
  });

  it('has an example for JavaScript that runs', () => {
    const source = snippet('js').replace("'kaio/layout'", `'${root}dist/layout/index.js'`);
    const { status, stderr } = spawn([process.execPath, '--input-type=module', '-e', source]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});
