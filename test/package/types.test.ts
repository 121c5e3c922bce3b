import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Installed, root, run } from './installed.ts';

let installed: Installed;

beforeAll(() => {
  installed = new Installed();
});

afterAll(() => installed.remove());

/** Compiles programs of a user who has the strictest settings, with the types that the package brings. */
function compile(...programs: string[]): string {
  const files = programs.map((program, i) => {
    // Each is a module, whatever it imports, for they use the same names.
    installed.write(`program-${i}.ts`, `${program}\nexport {};`);
    return `program-${i}.ts`;
  });
  const compilerOptions = {
    target: 'es2022',
    lib: ['es2022', 'esnext.disposable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
    typeRoots: [join(root, 'node_modules/@types')],
    types: ['node'],
  };
  installed.write('tsconfig.json', JSON.stringify({ compilerOptions, files }));
  return run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], installed.folder).stdout;
}

test('a program that goes through all three doors compiles against the installed types', () => {
  const output = compile(`
    import { AioContext, type AioFile, open, support } from 'kaio';
    import { IOCB_CMD_PREAD } from 'kaio/layout';
    import { Arena, io_setup } from 'kaio/raw';

    const supported = support();
    if (!supported.supported) throw new Error(supported.message);
    const context = new AioContext({ depth: 8 });
    const buffer: Buffer & Disposable = context.allocate(4096);
    const file: AioFile = await context.open('file', 'r');
    const { bytesRead }: { bytesRead: number } = await file.read(buffer, 0, 4096, 0);
    await (await open('file', 'r')).close();
    const ctx: bigint = io_setup(bytesRead + IOCB_CMD_PREAD);
    console.log(ctx, new Arena(1).address);
  `);
  expect(output).toBe('');
});

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
  expect(compile(...examples)).toBe('');
});

test('the installed types refuse what the package would', () => {
  expect(compile("import { io_setup } from 'kaio/raw'; io_setup('10');")).toContain('TS2345');
  expect(compile("import { binding } from 'kaio/raw/binding';")).toContain('TS2307');
});
