import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { transformSync } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as policy from '../../src/engine/policy.ts';
import { scratchFolder } from '../support/scratch.ts';
import { distantFolder, Installed, leftIn, mustRun, root, run } from './installed.ts';

const folder = scratchFolder();
let installed: Installed;

beforeAll(() => {
  installed = new Installed();
});

afterAll(() => installed.remove());

const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].concat(
  readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
);
/** The constants of the policy that are no numbers of it. */
const WAYS = ['INLINE', 'TRY', 'OFFLOAD'];

const read = (name: string) => readFileSync(join(root, name), 'utf8');

/** The contents of the fenced blocks of one language in a document. */
function blocks(name: string, language: string): string[] {
  return [...read(name).matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, found]) => found === language)
    .map(([, , text]) => text!);
}

const commands = (name: string) => blocks(name, 'sh').flatMap((text) => text.trim().split('\n'));

/** The repository as a fresh clone has it, with what is not committed yet. */
function freshClone(): string {
  const clone = distantFolder('clone');
  const files = mustRun('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard']);
  const existing = files.split('\0').filter((path) => path !== '' && existsSync(join(root, path)));
  mustRun('cp', ['--parents', ...existing, clone]);
  mustRun('git', ['init', '--quiet'], clone);
  mustRun('git', ['add', '--all'], clone);
  return clone;
}

test('a fresh clone has all that the build needs, and the main job runs in it', ({ skip }) => {
  skip(!existsSync(join(root, '.git')), 'this is not a git repository');
  const clone = freshClone();
  try {
    // What `npm ci` does, without the download: it refuses a lock file that does not fit, it installs, and it builds.
    mustRun('npm', ['ci', '--dry-run', '--ignore-scripts', '--prefer-offline'], clone);
    symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
    mustRun('npm', ['run', 'dependencies'], clone);
    const output = mustRun('npm', ['start'], clone, { TMPDIR: folder });
    expect(output).toMatch(/checksums right +100 of 100 +100 of 100 +100 of 100/);
  } finally {
    rmSync(clone, { recursive: true, force: true });
  }
}, 300_000);

test('every command of the documents is one that a test or .ci/run runs', () => {
  // The first above, `npm ci`, `npm test` and the checks by .ci/run, the build by both, the rest below or by Installed.
  expect(commands('README.md')).toEqual([
    'npm ci && npm start',
    'npm ci && npm test',
    'npm pack',
    'npm install ./kaio-0.1.0.tgz',
    'npx kaio layout iocb --abi s390x',
    'npx kaio layout --help',
    'seq 1000 | node examples/out/wal.js append /tmp/kaio-log',
    'node examples/out/wal.js list /tmp/kaio-log',
    'node examples/out/static-server.js docs --port 8080',
    'node examples/out/object-cache.js',
    'node examples/out/bare-metal.js',
  ]);
  expect(commands('CONTRIBUTING.md')).toEqual(['npm ci', 'npm run build', 'npm run check', 'npm test']);
  expect(read('.ci/run').split('\n')).toEqual(expect.arrayContaining(["sh -c 'npm ci && npm test'", 'npm run check']));
});

test('the command runs where the package is installed', () => {
  const ours = commands('README.md').filter((command) => command.startsWith('npx kaio '));
  for (const command of ours) expect(mustRun('sh', ['-c', command], installed.folder)).toMatch(/iocb/);
});

test('npm pack names the tarball as the README does', () => {
  expect(installed.tarball.path.endsWith('/kaio-0.1.0.tgz')).toBe(true);
});

test('every command of the guides is one that runs where the package is installed', () => {
  const all = documents.filter((name) => name.startsWith('docs/')).flatMap(commands);
  expect(all.length).toBeGreaterThan(2);
  for (const command of all) {
    expect(command).toMatch(/^(npx kaio|cat \/proc)/);
    if (command === 'npx kaio probe .') continue; // It takes its time, and has probe.test.ts.
    expect(mustRun('sh', ['-c', command], installed.folder)).not.toBe('');
  }
});

test('the index of the guides names each of them', () => {
  const links = [...read('docs/README.md').matchAll(/\]\((\S+\.md)\)/g)].map(([, link]) => link);
  const guides = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md') && name !== 'README.md');
  expect(links.sort()).toEqual(guides.sort());
});

/** The programs of a document, those in TypeScript as Node.js 20 runs them: without types, and with what `using` stands for. */
function programs(name: string): { name: string; number: number; text: string; program: string }[] {
  const typed = blocks(name, 'ts').map((text) => ({
    text,
    program: transformSync(text, { loader: 'ts', target: 'es2022' }).code,
  }));
  return [...blocks(name, 'js').map((text) => ({ text, program: text })), ...typed].map((program, i) => ({
    ...program,
    name,
    number: i + 1,
  }));
}

test.each(documents.flatMap(programs))(
  'program $number of $name runs with the installed package, and prints what its comments say',
  ({ text, program }) => {
    const printed = [...text.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, line]) => `${line}\n`);
    installed.write('program.js', program);
    expect(mustRun(process.execPath, [join(installed.folder, 'program.js')], folder)).toBe(printed.join(''));
  },
);

test("the numbers of the submit policy are the engine's", () => {
  const units: Record<string, number> = { KiB: 1024, MiB: 1024 ** 2 };
  const rows = [...read('docs/architecture.md').matchAll(/^\| `([A-Z_]+)` +\| ([\d.]+)(?: (\w+))? +\|/gm)];
  const numbers = rows.map(([, name, value, unit]) => [name, Number(value) * (unit === undefined ? 1 : units[unit]!)]);
  const constants = Object.entries(policy).filter(([name]) => /^[A-Z_]+$/.test(name) && !WAYS.includes(name));
  expect(Object.fromEntries(numbers)).toEqual(Object.fromEntries(constants));
});

test('the links in the documents lead to files that are there', () => {
  const links = documents.flatMap((name) =>
    [...read(name).matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map(([, link]) => join(dirname(name), link!)),
  );
  expect(links.length).toBeGreaterThan(0);
  expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([]);
});

test('every example has a test here', () => {
  const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'));
  expect(examples).toEqual(['bare-metal.ts', 'hundred-writes.ts', 'object-cache.ts', 'static-server.ts', 'wal.ts']);
});

test('bare-metal goes through its five steps with the installed package and leaves nothing behind', () => {
  const output = mustRun(process.execPath, ['examples/out/bare-metal.js', '--dir', folder], installed.folder);
  expect(output.match(/^\d\. /gm)).toEqual(['1. ', '2. ', '3. ', '4. ', '5. ']);
  expect(output).toContain('which is a multiple of 4096 (remainder 0)');
  expect(output).toContain('io_submit took 1 request: write 4096 bytes at offset 0');
  expect(output).toContain('io_getevents read 1 event: data 0xcafe, res 4096.');
  expect(leftIn(folder)).toEqual([]);
});

test('bare-metal says what is wrong and how to call it', () => {
  const bareMetal = (...args: string[]) =>
    run(process.execPath, ['examples/out/bare-metal.js', ...args], installed.folder);
  expect(bareMetal('--dir', '/does/not/exist')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^bare-metal: ENOENT/),
  });
  expect(bareMetal('--nonsense')).toMatchObject({ status: 2, stderr: expect.stringContaining('Usage: bare-metal') });
});

test('hundred-writes runs with the installed package and leaves nothing behind', () => {
  const args = ['examples/out/hundred-writes.js', '--files', '10', '--size', '64KiB', '--dir', folder];
  expect(mustRun(process.execPath, args, installed.folder)).toMatch(/checksums right +10 of 10 +10 of 10 +10 of 10/);
  expect(leftIn(folder)).toEqual([]);
});

test('wal keeps the lines that it was given, and lists them', () => {
  const log = join(folder, 'kaio-log');
  const wal = commands('README.md').filter((command) => command.includes('wal.js'));
  const [appended, listed] = wal.map((command) =>
    mustRun('sh', ['-c', command.replace('/tmp/kaio-log', log)], installed.folder),
  );
  const numbers = Array.from({ length: 1000 }, (_, number) => number);
  expect(appended).toBe(numbers.map((number) => `${number}\n`).join(''));
  expect(listed).toBe(numbers.map((number) => `${number}\t${number + 1}\n`).join(''));
  rmSync(log, { recursive: true });
});

test('wal says how to call it, and what is wrong', () => {
  const wal = (...args: string[]) => run(process.execPath, ['examples/out/wal.js', ...args], installed.folder);
  expect(wal('append')).toMatchObject({ status: 2, stderr: expect.stringContaining('Usage: wal append FOLDER') });
  expect(wal('list', '/does/not/exist')).toMatchObject({ status: 1, stderr: expect.stringMatching(/^wal: ENOENT/) });
});

test('object-cache finds every byte right and leaves nothing behind', () => {
  const output = mustRun(process.execPath, ['examples/out/object-cache.js', '--dir', folder], installed.folder);
  expect(output).toMatch(/gets of 2000 objects through a cache of 16 MiB: \d+ % hits\n.* 0 wrong\n$/);
  expect(leftIn(folder)).toEqual([]);
});

test('static-server serves the folder that it is given', async () => {
  const server = spawn(process.execPath, ['examples/out/static-server.js', join(root, 'docs'), '--port', '0'], {
    cwd: installed.folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [said] = await once(server.stdout.setEncoding('utf8'), 'data');
    const [url] = /http:\S+/.exec(said)!;
    const answer = await fetch(`${url}errors.md`, { headers: { range: 'bytes=2-7' } });
    expect([answer.status, await answer.text()]).toEqual([206, 'Errors']);
  } finally {
    server.kill();
    await once(server, 'exit');
  }
});

test('static-server says how to call it, and what is wrong', () => {
  const server = (...args: string[]) =>
    run(process.execPath, ['examples/out/static-server.js', ...args], installed.folder);
  expect(server()).toMatchObject({ status: 2, stderr: expect.stringContaining('Usage: static-server FOLDER') });
  expect(server('docs', '--port', 'x')).toMatchObject({ status: 2, stderr: expect.stringContaining("not 'x'") });
  expect(server('/does/not/exist')).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^static-server: ENOENT/),
  });
});
