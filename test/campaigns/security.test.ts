// What SECURITY.md promises.
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { AioContext, type AioFile } from '../../src/index.ts';
import { outcomeOf } from '../support/outcome.ts';
import { Random } from '../support/random.ts';
import { reapings, withReaping } from '../support/reaping.ts';
import { campaignCommand, keepResults } from '../support/results.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();
const root = fileURLToPath(new URL('../..', import.meta.url));
const SECRET = 0x5e;
const O_CLOEXEC = 0o2000000;
const options = { depth: 16, memory: 1 << 20 };

/** How often each was tried. */
const figures = { allocations: 0, shortReads: 0, abortedReads: 0, descriptors: 0, refused: 0, layouts: 0 };
afterAll(() => {
  const command = campaignCommand('security');
  if (Math.min(...Object.values(figures)) > 0) keepResults('security', { command, replay: command }, figures);
});

/** The descriptors of this process, and what they refer to. */
function openDescriptors(): Map<string, string> {
  const open = new Map<string, string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      open.set(fd, readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // What looked at the folder was in it, and is closed by now: its number is the next one's.
    }
  }
  return open;
}

/** Fills all of a context's memory, the part for copies too, with what nobody else may see. */
async function fillWithSecrets(context: AioContext, file: AioFile): Promise<void> {
  const all = context.allocate(context.stats().freeBytes).fill(SECRET);
  all[Symbol.dispose]();
  const outside = Buffer.alloc(65536, SECRET);
  await Promise.all(Array.from({ length: 64 }, (_, at) => file.write(outside, 0, outside.length, at * outside.length)));
}

describe.each(reapings.map((way, at) => ({ way, at })))('memory, with events read by $way', ({ at }) => {
  test('that is allocated is zero, whoever had it before', async () => {
    await withReaping(at, options, async (context) => {
      const random = new Random(1);
      for (let times = 0; times < 300; times++) {
        const buffers = Array.from({ length: random.between(1, 6) }, () => context.allocate(random.between(1, 50_000)));
        for (const buffer of buffers) {
          expect(buffer.every((byte) => byte === 0)).toBe(true);
          buffer.fill(SECRET);
        }
        figures.allocations += buffers.length;
        for (const buffer of buffers) buffer[Symbol.dispose]();
      }
    });
  });

  test('behind the end of a short read keeps what the caller had there', async () => {
    await withReaping(at, options, async (context) => {
      const path = `${folder}/short-${at}`;
      writeFileSync(path, '');
      for (const direct of [false, 'auto'] as const) {
        const file = await context.open(path, 'r+', { direct });
        await fillWithSecrets(context, file);
        truncateSync(path, 8192 + 100);
        const outside = Buffer.alloc(16384, 0xee);
        const { bytesRead } = await file.read(outside, 0, 16384, 8192);
        expect(bytesRead).toBe(100);
        expect(outside.subarray(100).every((byte) => byte === 0xee)).toBe(true);
        const pieces = [Buffer.alloc(4096, 0xee), Buffer.alloc(4096, 0xee), new Uint8Array(4096).fill(0xee)];
        expect((await file.readv(pieces, 8192)).bytesRead).toBe(100);
        expect(
          Buffer.concat(pieces)
            .subarray(100)
            .every((byte) => byte === 0xee),
        ).toBe(true);
        const { buffer } = await file.read({ position: 8192 });
        expect(buffer.subarray(100).every((byte) => byte === 0)).toBe(true);
        figures.shortReads += 3;
        await file.close();
      }
    });
  });

  test('that an aborted read still owned is zero for the next one', async () => {
    await withReaping(at, options, async (context) => {
      const path = `${folder}/aborted-${at}`;
      writeFileSync(path, Buffer.alloc(1 << 20, SECRET));
      const file = await context.open(path, 'r', { direct: 'auto' });
      for (let times = 0; times < 50; times++) {
        const controller = new AbortController();
        const memory = context.allocate(65536);
        const reading = outcomeOf(() =>
          file.read(memory, { position: 65536 * (times % 16), signal: controller.signal }),
        );
        setImmediate(() => controller.abort());
        await reading;
        memory[Symbol.dispose]();
        const next = context.allocate(65536);
        expect(next.every((byte) => byte === 0)).toBe(true);
        await file.drain();
        expect(next.every((byte) => byte === 0)).toBe(true);
        next[Symbol.dispose]();
        figures.abortedReads++;
      }
      await file.close();
    });
  });
});

describe('descriptors', () => {
  test('are closed in every program that is started', async () => {
    const before = openDescriptors();
    const context = new AioContext(options);
    const path = `${folder}/descriptors`;
    writeFileSync(path, Buffer.alloc(65536));
    const files = await Promise.all(
      (['auto', 'inline', 'offload'] as const).map((submit) => context.open(path, 'r+', { direct: 'auto', submit })),
    );
    // What is not whole blocks goes through a second descriptor.
    for (const file of files) await file.write(Buffer.alloc(4096), 0, 100, 65536);
    const ours = [...openDescriptors()].filter(([fd]) => !before.has(fd));
    const kept = ours.filter(([fd]) => {
      const [, flags] = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))!;
      return (Number.parseInt(flags!, 8) & O_CLOEXEC) === 0;
    });
    expect(kept).toEqual([]);
    const others = ours.filter(([, target]) => target !== path);
    expect(others.map(([, target]) => target)).toEqual(['anon_inode:[eventfd]']);
    const direct = files.filter((file) => file.direct).length;
    expect(ours.length - others.length).toBe(files.length + direct);
    figures.descriptors += ours.length;
    const inherited = execFileSync('sh', ['-c', 'ls -l /proc/$$/fd'], { encoding: 'utf8' });
    expect(inherited).not.toContain(folder);
    expect(inherited).not.toContain('eventfd');
    await context.close();
  });
});

describe('what an untrusted caller gives', () => {
  test('as an offset, a length or a path is an error, and moves nothing', async () => {
    const context = new AioContext(options);
    const path = `${folder}/untrusted`;
    const content = Buffer.alloc(8192, 1);
    writeFileSync(path, content);
    const file = await context.open(path, 'r+', { direct: false });
    const memory = context.allocate(4096).fill(2);
    const numbers = [-1, -4096, 0.5, Number.NaN, Infinity, 4097, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 64];
    for (const number of numbers) {
      expect(await outcomeOf(() => file.write(memory, number, 512, 0)), `offset ${number}`).toMatch(/^ERR_/);
      expect(await outcomeOf(() => file.write(memory, 0, number, 0)), `length ${number}`).toMatch(/^ERR_/);
    }
    const positions = [-2, 0.5, Number.NaN, 2 ** 53, 2 ** 63];
    for (const position of positions) {
      expect(await outcomeOf(() => file.write(memory, 0, 512, position)), `position ${position}`).toMatch(/^ERR_/);
    }
    // More than the buffer, though the memory of others lies behind it.
    expect(await outcomeOf(() => file.write(memory, 0, 8192, 0))).toBe('ERR_OUT_OF_RANGE');
    expect(await outcomeOf(() => file.read(memory, 4095, 2, 0))).toBe('ERR_OUT_OF_RANGE');
    const paths = ['a\0b', `${folder}/${'x'.repeat(5000)}`, '', `${folder}/missing/file`, folder];
    for (const odd of paths) {
      expect(await outcomeOf(() => context.open(odd, 'r+')), odd.slice(0, 40)).toMatch(/^(ERR_INVALID_ARG|E[A-Z]+$)/);
    }
    await file.close();
    await context.close();
    expect(readFileSync(path).equals(content)).toBe(true);
    figures.refused += 2 * numbers.length + positions.length + 2 + paths.length;
  });

  test('as a layout is an error with a message', () => {
    const hostile = [
      '{"__proto__": {"polluted": 1}, "constants": {"toString": 1}}',
      '{"name": "__proto__", "size": 1, "fields": []}',
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      '{"name": "iocb", "size": 1e308, "fields": [{"name": "aio_data", "offset": -1e308}]}',
      '{"structs": [{"name": "iocb", "fields": [null]}]}',
      '\0'.repeat(1000),
    ];
    for (const text of hostile) {
      const args = ['dist/cli/main.js', 'layout', 'check', '--file', '-'];
      const { status, stderr, signal } = spawnSync(process.execPath, args, {
        cwd: root,
        input: text,
        encoding: 'utf8',
      });
      expect({ status: [1, 2].includes(status ?? -1), signal }, text.slice(0, 60)).toEqual({
        status: true,
        signal: null,
      });
      expect(stderr, text.slice(0, 60)).not.toMatch(/\n\s+at /);
      figures.layouts++;
    }
    expect('polluted' in {}).toBe(false);
  });
});

describe('the supply chain', () => {
  const manifest = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as Record<string, Record<string, string>>;
  const lock = JSON.parse(readFileSync(`${root}/package-lock.json`, 'utf8')) as {
    packages: Record<string, { integrity?: string; dev?: boolean; hasInstallScript?: boolean }>;
  };

  test('is pinned: exact versions to develop with, and a hash of everything that any machine installs', () => {
    for (const [name, version] of Object.entries(manifest['devDependencies']!))
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
    const installed = Object.entries(lock.packages).filter(([path]) => path !== '');
    for (const [path, { integrity }] of installed) expect(integrity, path).toMatch(/^sha512-/);
  });

  test('runs no script of a dependency when a user installs kaio', () => {
    const scripts = Object.entries(lock.packages).filter(
      ([path, one]) => path !== '' && one.dev !== true && one.hasInstallScript === true,
    );
    expect(scripts).toEqual([]);
    for (const name of ['install', 'preinstall', 'postinstall']) expect(manifest['scripts']).not.toHaveProperty(name);
  });

  test('has no known vulnerability', ({ skip }) => {
    const { stdout, stderr, status } = spawnSync('npm', ['audit', '--json'], { cwd: root, encoding: 'utf8' });
    skip(
      /audit endpoint returned an error|ENOAUDIT|ENOTFOUND|EAI_AGAIN/.test(stdout + stderr),
      'the registry here has no audit',
    );
    expect(status, stdout).toBe(0);
  });
});
