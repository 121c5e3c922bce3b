import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Installed, root, run } from './installed.ts';

let installed: Installed;

beforeAll(() => {
  installed = new Installed();
});

afterAll(() => installed.remove());

interface Settings {
  /** How modules are found; by default as Node.js finds them. */
  options?: Record<string, unknown>;
  /** What the files of the programs end with: .cts is CommonJS. */
  ending?: '.ts' | '.cts';
}

/** Compiles programs of a user who has the strictest settings, with the types that the package brings. */
function compile(programs: readonly string[], { options = {}, ending = '.ts' }: Settings = {}): string {
  const files = programs.map((program, i) => {
    // Each is a module, whatever it imports, for they use the same names.
    installed.write(`program-${i}${ending}`, `${program}\nexport {};`);
    return `program-${i}${ending}`;
  });
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: false,
    noEmit: true,
    typeRoots: [join(root, 'node_modules/@types')],
    types: ['node'],
    ...options,
  };
  installed.write('tsconfig.json', JSON.stringify({ compilerOptions, files }));
  return run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], installed.folder).stdout;
}

const THREE_DOORS = `
  const supported = support();
  if (!supported.supported) throw new Error(supported.message);
  const ctx: bigint = io_setup(IOCB_CMD_PREAD);
  console.log(ctx, new Arena(1).address);

  async function main(): Promise<void> {
    const context = new AioContext({ depth: 8 });
    const buffer: Buffer & Disposable = context.allocate(4096);
    const file: AioFile = await context.open('file', 'r');
    const { bytesRead }: { bytesRead: number } = await file.read(buffer, 0, 4096, 0);
    await (await open('file', 'r')).close();
    console.log(bytesRead);
  }
  await main();
`;
const IMPORTS = `
  import { AioContext, type AioFile, open, support } from 'kaio';
  import { IOCB_CMD_PREAD } from 'kaio/layout';
  import { Arena, io_setup } from 'kaio/raw';
`;
const REQUIRES = `
  import kaio = require('kaio');
  import layout = require('kaio/layout');
  import raw = require('kaio/raw');
  const { AioContext, open, support } = kaio;
  type AioFile = kaio.AioFile;
  const { IOCB_CMD_PREAD } = layout;
  const { Arena, io_setup } = raw;
`;
const withoutAwait = THREE_DOORS.replace('await main()', 'void main()');

test.each<[string, string, Settings]>([
  ['nodenext, from an ES module', IMPORTS + THREE_DOORS, {}],
  ['nodenext, from CommonJS', REQUIRES + withoutAwait, { ending: '.cts' }],
  ['bundler', IMPORTS + THREE_DOORS, { options: { module: 'preserve', moduleResolution: 'bundler' } }],
  [
    'a library without Disposable, which the types of Node bring',
    IMPORTS + THREE_DOORS,
    { options: { lib: ['es2022'] } },
  ],
])(
  'a program that goes through all three doors compiles against the installed types: %s',
  (_name, program, settings) => {
    expect(compile([program], settings)).toBe('');
  },
);

test('the examples in the doc comments compile against the installed types', () => {
  const names = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const examples = names.flatMap((name) => {
    const source = readFileSync(join(root, 'src', name), 'utf8');
    return [...source.matchAll(/@example\n \*\s+```ts\n([\s\S]*?) \*\s+```/g)].map(([, lines]) =>
      lines!.replace(/^ \* ?/gm, ''),
    );
  });
  expect(examples.length).toBeGreaterThan(4);
  expect(compile(examples)).toBe('');
});

test('the programs of the guides compile against the installed types', () => {
  const guides = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  const programs = guides.flatMap((name) =>
    [...readFileSync(join(root, 'docs', name), 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, text]) => text!),
  );
  expect(programs.length).toBeGreaterThan(0);
  expect(compile(programs)).toBe('');
});

test('the installed types refuse what the package would', () => {
  expect(compile(["import { io_setup } from 'kaio/raw'; io_setup('10');"])).toContain('TS2345');
  expect(compile(["import { binding } from 'kaio/raw/binding';"])).toContain('TS2307');
});
