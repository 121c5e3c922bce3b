// The laboratory itself: each tool really produces the fault that the other tests rely on.
import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { type ChildOptions, runNode, straceLauncher, straceSkip } from '../support/child.ts';
import { compile } from '../support/compile.ts';
import {
  deviceSkip,
  fullDeviceSkip,
  withFullDevice,
  withFullDeviceFileSystem,
  withTruncatedDevice,
} from '../support/devices.ts';
import { directSkip } from '../support/direct.ts';
import { fileSystemKinds, fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { fuseSkip, withFuse } from '../support/fuse.ts';
import { fileSystemMagic } from '../support/mounts.ts';
import { aioNr, contextCount, eventually, openDescriptors } from '../support/proc.ts';
import { Random } from '../support/random.ts';
import { scratchFolder } from '../support/scratch.ts';
import { readReport, refusingLauncher, seccompSkip, shimSkip, withFaults } from '../support/shim.ts';

const [EPERM, EIO, ENOSYS, ENOSPC] = [1, 5, 38, 28];
const KIBIBYTE = 1024;

interface Job {
  path: string;
  operation: 'read' | 'write';
  count: number;
  bytes: number;
  buffered?: boolean;
}

interface Answers {
  calls: (number | string)[];
  refused: Record<string, string>;
  results: Record<string, number | string>;
  order: number[];
  interrupted: number;
  longestSubmitMs: number;
  totalMs: number;
  signalled: number;
  incompat_features: number;
}

const folder = scratchFolder();

beforeAll(() => {
  writeFileSync(`${folder}/full`, Buffer.alloc(512 * KIBIBYTE, 'x'));
});

function need(context: TestContext, reason: string | false): void {
  context.skip(reason !== false, String(reason));
}

async function transfers(job: Job, options: ChildOptions = {}): Promise<Answers> {
  const child = await runNode(new URL('transfers.js', import.meta.url), { ...options, args: [JSON.stringify(job)] });
  expect(child, child.stderr).toMatchObject({ code: 0, signal: null });
  return JSON.parse(child.stdout) as Answers;
}

/** 64 direct reads of 4 KiB each, of a file that has them. */
function reads(options: ChildOptions = {}): Promise<Answers> {
  return transfers({ path: `${folder}/full`, operation: 'read', count: 64, bytes: 4096 }, options);
}

const every = (value: number) => Array.from({ length: 64 }, () => value);

describe('file systems', () => {
  /** As in <linux/magic.h>. */
  const MAGIC = {
    ext4: 0xef53,
    xfs: 0x58465342,
    btrfs: 0x9123683e,
    tmpfs: 0x01021994,
    overlay: 0x794c7630,
    fuse: 0x65735546,
  };

  for (const kind of fileSystemKinds) {
    test(`a folder on ${kind} is really on ${kind}, does direct I/O, and is gone afterwards`, async (context) => {
      need(context, fileSystemSkip(kind));
      const dir = await withFileSystem(kind, async (mounted) => {
        expect(fileSystemMagic(mounted)).toBe(MAGIC[kind]);
        need(context, directSkip(mounted));
        copyFileSync(`${folder}/full`, `${mounted}/full`);
        const { results } = await transfers({ path: `${mounted}/full`, operation: 'read', count: 4, bytes: 4096 });
        expect(Object.values(results)).toEqual([4096, 4096, 4096, 4096]);
        return mounted;
      });
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
    });
  }

  test('a file system goes away though the test fails with a file open on it', async (context) => {
    need(context, fileSystemSkip('ext4'));
    let [dir, fd] = ['', -1];
    const failing = withFileSystem('ext4', async (mounted) => {
      dir = mounted;
      fd = openSync(`${mounted}/left-open`, 'w');
      throw new Error('on purpose');
    });
    await expect(failing).rejects.toThrow('on purpose');
    closeSync(fd);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
  });
});

describe('devices', () => {
  test('a full device gives ENOSPC in the event', async (context) => {
    need(context, fullDeviceSkip());
    const { results } = await withFullDevice((path) =>
      transfers({ path, operation: 'write', count: 64, bytes: 128 * KIBIBYTE }),
    );
    expect(Object.values(results)).toContain(128 * KIBIBYTE);
    expect(Object.values(results)).toContain(-ENOSPC);
  });

  test('a full device gives ENOSPC through a file system that believes it has room', async (context) => {
    need(context, fullDeviceSkip());
    const { results } = await withFullDeviceFileSystem((dir) =>
      transfers({ path: `${dir}/a`, operation: 'write', count: 64, bytes: 128 * KIBIBYTE }),
    );
    expect(Object.values(results)).toContain(-ENOSPC);
  });

  test('a device whose backing file was cut gives EIO beyond the cut', async (context) => {
    need(context, deviceSkip());
    const { results } = await withTruncatedDevice((path) =>
      transfers({ path, operation: 'read', count: 4, bytes: 1024 * KIBIBYTE }),
    );
    expect(results).toEqual({ 0: 1024 * KIBIBYTE, 1: 1024 * KIBIBYTE, 2: -EIO, 3: -EIO });
  });
});

describe('FUSE', () => {
  test('a rule makes reads fail, of the files it names', async (context) => {
    need(context, fuseSkip());
    await withFuse(async ({ dir, setRules }) => {
      for (const name of ['good', 'bad']) copyFileSync(`${folder}/full`, `${dir}/${name}`);
      setRules([{ file: 'b*', operation: 'read', errno: EIO }]);
      const job: Job = { path: `${dir}/good`, operation: 'read', count: 4, bytes: 4096 };
      expect((await transfers(job)).results).toEqual({ 0: 4096, 1: 4096, 2: 4096, 3: 4096 });
      expect((await transfers({ ...job, path: `${dir}/bad` })).results).toEqual({ 0: -EIO, 1: -EIO, 2: -EIO, 3: -EIO });
    });
  });

  test('a rule makes reads short', async (context) => {
    need(context, fuseSkip());
    await withFuse(async ({ dir, setRules }) => {
      copyFileSync(`${folder}/full`, `${dir}/a`);
      setRules([
        { operation: 'open', directIo: true },
        { operation: 'read', maxBytes: 1000 },
      ]);
      const { results } = await transfers({ path: `${dir}/a`, operation: 'read', count: 2, bytes: 4096 });
      expect(results).toEqual({ 0: 1000, 1: 1000 });
    });
  });

  test('slow reads are asynchronous and extending writes block io_submit', async (context) => {
    need(context, fuseSkip());
    await withFuse(async ({ dir, setRules }) => {
      copyFileSync(`${folder}/full`, `${dir}/a`);
      setRules([
        { operation: 'read', delayMs: 300 },
        { operation: 'write', delayMs: 300 },
      ]);
      const slowReads = await transfers({ path: `${dir}/a`, operation: 'read', count: 4, bytes: 4096 });
      expect(slowReads.totalMs).toBeGreaterThan(290);
      expect(slowReads.longestSubmitMs).toBeLessThan(200);
      const extending = await transfers({ path: `${dir}/new`, operation: 'write', count: 1, bytes: 4096 });
      expect(extending.longestSubmitMs).toBeGreaterThan(290);
    });
  });
});

describe('the preloaded library', () => {
  test('leaves everything as it is unless told otherwise', async (context) => {
    need(context, shimSkip());
    const report = `${folder}/untouched`;
    const plain = await reads();
    const { calls, results, signalled, incompat_features } = await reads({ env: withFaults({ report }) });
    expect({ calls, results, signalled, incompat_features }).toEqual({
      calls: plain.calls,
      results: plain.results,
      signalled: plain.signalled,
      incompat_features: 0,
    });
    expect(signalled).toBe(64);
    expect(readReport(report)).toMatchObject({ submits: 1, submitted: 64, delivered: 64, errors: 0, failed: 0 });
  });

  test('makes every third io_submit fail', async (context) => {
    need(context, shimSkip());
    const { calls, results } = await reads({ env: withFaults({ failEvery: 3, partial: 10 }) });
    expect(calls).toEqual([10, 10, 'EAGAIN', 10, 10, 'EAGAIN', 10, 10, 'EAGAIN', 4]);
    expect(Object.values(results)).toEqual(every(4096));
  });

  test('takes any part of a batch, the same for the same seed', async (context) => {
    need(context, shimSkip());
    const seeded = (seed: number) => reads({ env: withFaults({ partial: 'random', seed }) });
    const [one, again, other] = [await seeded(1), await seeded(1), await seeded(2)];
    expect(one.calls.length).toBeGreaterThan(1);
    expect(again.calls).toEqual(one.calls);
    expect(other.calls).not.toEqual(one.calls);
    expect(Object.values(one.results)).toEqual(every(4096));
  });

  test('refuses a request at any index, after those before it', async (context) => {
    need(context, shimSkip());
    const { calls, refused, results } = await reads({ env: withFaults({ refuseEvery: 20, refuseErrno: EIO }) });
    expect(calls).toEqual([19, 'EIO', 19, 'EIO', 19, 'EIO', 4]);
    expect(refused).toEqual({ 19: 'EIO', 39: 'EIO', 59: 'EIO' });
    expect(Object.values(results)).toEqual(every(4096).slice(3));
  });

  test('puts every errno into events, and then no data moves', async (context) => {
    need(context, shimSkip());
    const path = `${folder}/errors`;
    writeFileSync(path, '');
    const job: Job = { path, operation: 'write', count: 133, bytes: 512, buffered: true };
    const { results } = await transfers(job, { env: withFaults({ resEvery: 1, resErrno: 'all' }) });
    expect(Object.values(results)).toEqual(Array.from({ length: 133 }, (_, at) => -(at + 1)));
    expect(readFileSync(path)).toHaveLength(0);
  });

  test('makes transfers short', async (context) => {
    need(context, shimSkip());
    const job: Job = { path: `${folder}/full`, operation: 'read', count: 6, bytes: 12288 };
    const { results } = await transfers(job, { env: withFaults({ shortEvery: 3 }) });
    expect(Object.values(results)).toEqual([12288, 12288, 4096, 12288, 12288, 4096]);
  });

  test('holds io_submit up, before or after the kernel has the requests', async (context) => {
    need(context, shimSkip());
    for (const delay of [{ delayBeforeUs: 100_000 }, { delayAfterUs: 100_000 }]) {
      const { longestSubmitMs } = await reads({ env: withFaults({ delayEvery: 1, ...delay }) });
      expect(longestSubmitMs).toBeGreaterThan(99);
    }
  });

  test('delays and reorders completions', async (context) => {
    need(context, shimSkip());
    const { order, totalMs, results } = await reads({ env: withFaults({ reorder: 1, completeDelayUs: 50_000 }) });
    expect(totalMs).toBeGreaterThan(49);
    expect(order).not.toEqual([...order].sort((a, b) => a - b));
    expect(Object.values(results)).toEqual(every(4096));
  });

  test('makes the ring unreadable and interrupts io_getevents', async (context) => {
    need(context, shimSkip());
    const { incompat_features, interrupted, results } = await reads({
      env: withFaults({ ring: 0, eintrEvery: 1, completeDelayUs: 500_000 }),
    });
    expect(incompat_features).toBe(1);
    expect(interrupted).toBeGreaterThan(0);
    expect(Object.values(results)).toEqual(every(4096));
  });

  test('the end of a context does not wait for another that has got its number since', (context) => {
    need(context, shimSkip());
    const env = { ...process.env, ...withFaults({ reorder: 1, completeDelayUs: 3000 }) };
    const facts = execFileSync(compile('neighbours', ['-pthread', '-D_GNU_SOURCE']), { env, encoding: 'utf8' });
    expect(facts).toBe('some_rounds 1\nlate 0\n');
  });

  test('makes io_setup fail', async (context) => {
    need(context, shimSkip());
    const { code, stderr } = await runNode(new URL('transfers.js', import.meta.url), {
      env: withFaults({ setupErrno: EPERM }),
      args: [JSON.stringify({ path: `${folder}/full`, operation: 'read', count: 1, bytes: 4096 })],
    });
    expect(code).toBe(1);
    expect(stderr).toContain('EPERM');
  });
});

describe('system calls that are denied', () => {
  const setUp = "import { io_setup } from './dist/raw/index.js'; try { io_setup(1); console.log('made') } ";
  const program = `${setUp} catch (error) { console.log(error.code) }`;
  const here = new URL('../..', import.meta.url).pathname;

  function printed(launcher: string[]): Promise<string> {
    return runNode(program.replace('./dist', `${here}dist`), { launcher }).then(({ stdout }) => stdout.trim());
  }

  test('seccomp denies io_setup, as some containers do', async (context) => {
    need(context, seccompSkip());
    expect(await printed(refusingLauncher(EPERM, 'io_setup'))).toBe('EPERM');
    expect(await printed(refusingLauncher(ENOSYS, 'io_setup'))).toBe('ENOSYS');
  });

  test('without io_uring there is still asynchronous I/O', async (context) => {
    need(context, seccompSkip());
    const launcher = refusingLauncher(EPERM, 'io_uring_setup', 'io_uring_enter', 'io_uring_register');
    expect(await printed(launcher)).toBe('made');
  });

  test('strace injects an error into a call', async (context) => {
    need(context, straceSkip());
    const launcher = straceLauncher('/dev/null', '-e', 'trace=io_setup', '-e', 'inject=io_setup:error=EAGAIN');
    expect(await printed(launcher)).toBe('EAGAIN');
  });
});

describe('children', () => {
  test('a child tells how it ended', async () => {
    expect(await runNode("console.log('out'); console.error('err'); process.exit(3)")).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
      code: 3,
      signal: null,
      timedOut: false,
    });
    expect(await runNode("process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)")).toMatchObject({
      code: null,
      signal: 'SIGTERM',
      timedOut: false,
    });
    expect(await runNode('for (;;);', { timeLimitMs: 200 })).toMatchObject({ signal: 'SIGKILL', timedOut: true });
  });

  test('a context counts while its process lives, and no longer', async () => {
    const size = 20_000;
    const source = `import { io_setup } from '${new URL('../../dist/raw/index.js', import.meta.url).href}';
      io_setup(${size}); console.log('ready'); setInterval(() => {}, 1000);`;
    const before = openDescriptors();
    let during = { nr: 0, contexts: 0 };
    const { signal } = await runNode(source, {
      onOutput(_, child) {
        during = { nr: aioNr(), contexts: contextCount(child.pid) };
        child.kill('SIGKILL');
      },
    });
    expect(signal).toBe('SIGKILL');
    expect(during.contexts).toBe(1);
    // Other processes of the machine have contexts as well, which may end at any time.
    expect(during.nr).toBeGreaterThanOrEqual(size);
    expect(await eventually(() => aioNr() < during.nr - size / 2)).toBe(true);
    expect(openDescriptors()).toBeLessThanOrEqual(before);
  });

  test('a program is compiled once', (context) => {
    need(context, shimSkip());
    expect(compile('aio_shim', ['-shared', '-fPIC'])).toBe(compile('aio_shim', ['-shared', '-fPIC']));
    expect(compile('aio_shim', ['-shared', '-fPIC'])).not.toBe(compile('aio_shim', ['-shared', '-fPIC', '-O2']));
  });

  test('random numbers are the same for the same seed', () => {
    const [one, again, other] = [new Random(7), new Random(7), new Random(8)];
    const numbers = (random: Random) => Array.from({ length: 100 }, () => random.below(1000));
    const first = numbers(one);
    expect(numbers(again)).toEqual(first);
    expect(numbers(other)).not.toEqual(first);
    expect(new Set(first).size).toBeGreaterThan(80);
    expect(Math.min(...first)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...first)).toBeLessThan(1000);
  });
});
