/** Machines with other kernels and other processors, emulated by qemu, that run the tests. */
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { missing } from './guest/apt.ts';
import { bootFiles, cache, type Kernel, LINKS, makeDisk, rootDisk } from './guest/image.ts';
import { machines } from './guest/machine.ts';
import { layOut } from './guest/payload.ts';
import type { TestReport } from './guest/vitest.ts';

export type { Kernel } from './guest/image.ts';
export type { TestReport } from './guest/vitest.ts';

export interface GuestOptions {
  kernel: Kernel;
  /** Debian's packages that it has besides a shell, mount, mke2fs and Node; with what they depend on. */
  packages?: readonly string[];
  /** Sizes of empty disks, in MiB: /dev/kaio/disk0 is the first, and mounted at /mnt. */
  disks?: readonly number[];
  /** Memory in MiB. */
  memory?: number;
  /** A file that gets what the guest prints while it prints it. */
  log?: string;
  /** The guest is ended after so long. */
  timeLimitMs: number;
  /** Files that it has beside the tests, in /kaio. */
  files?: Readonly<Record<string, string>>;
  /** A shell script that it runs, with the tests' folder /kaio as the current one. */
  script: string;
}

export interface GuestRun {
  /** The kernel's release (uname -r). */
  version: string;
  /** All that it printed. */
  output: string;
  /** Its script came to its end. */
  ended: boolean;
  durationMs: number;
}

/** Why no such guest can run here; undefined where it can. It fetches what is not there yet, which takes a moment. */
export function obstacle(kernel: Kernel, packages: readonly string[] = []): string | undefined {
  const { architecture } = kernel;
  const { qemu, node, triplet } = machines[architecture];
  const packs = { x86_64: 'qemu-system-x86', arm64: 'qemu-system-arm', s390x: 'qemu-system-misc' };
  const lacking = missing([
    [qemu[0]!, packs[architecture]],
    ['mke2fs', 'e2fsprogs'],
    ['depmod', 'kmod'],
    ['cpio', 'cpio'],
    ['xz', 'xz-utils'],
    ['zstd', 'zstd'],
    ['apt-get', 'apt'],
    ['dpkg-deb', 'dpkg'],
    ...(node === process.arch ? [] : ([[`${triplet}-g++`, `g++-${triplet}`]] as const)),
  ]);
  if (lacking.length > 0) return `not installed: ${lacking.join(', ')}`;
  try {
    bootFiles(kernel);
    rootDisk(architecture, packages);
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    return `its kernel and programs cannot be had from Debian: ${/E: .*/.exec(message)?.[0] ?? message.split('\n')[0]}`;
  }
}

const PROCESSORS = 2;

const SETUP = `
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root KAIO_TEST_DIR=/mnt/test TMPDIR=/mnt/tmp
/bin/busybox --install -s /opt/busybox
export PATH=$PATH:/opt/busybox
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
ifconfig lo 127.0.0.1 up
${LINKS}
if [ -b /dev/kaio/disk0 ]; then
  mke2fs -q -t ext4 /dev/kaio/disk0 && mount -t ext4 /dev/kaio/disk0 /mnt
  mkdir -p /mnt/test /mnt/tmp /var && rm -rf /tmp && ln -s /mnt/tmp /tmp
fi
for module in loop fuse; do modprobe $module; done
echo 1 > /proc/sys/debug/exception-trace
cd /kaio
if [ -e copy.so ]; then echo /kaio/copy.so > /etc/ld.so.preload; fi
if [ -e replaced ] && [ "$(./replaced)" != 0 ]; then
  echo "@@kernel The emulator runs code that was replaced: $(./replaced) of 1000 calls"
fi
/bin/dash ./script.sh
echo "@@exit $?"
sync
poweroff -f
`;

/** Boots a guest, runs its script and returns what it printed. One at a time: an emulated machine takes all the processor there is. */
export async function runGuest(options: GuestOptions): Promise<GuestRun> {
  const { kernel, packages = [], disks = [1024], memory = 2048, files = {}, script, timeLimitMs } = options;
  const { architecture } = kernel;
  const machine = machines[architecture];
  const boot = bootFiles(kernel);
  const rootImage = rootDisk(architecture, packages);
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'run-'));
  try {
    const payload = join(folder, 'kaio');
    mkdirSync(payload);
    layOut(payload, architecture);
    for (const [name, text] of Object.entries({ ...files, 'init.sh': SETUP, 'script.sh': script })) {
      writeFileSync(join(payload, name), text);
    }
    makeDisk(`${payload}.img`, payload, 16);
    const empty = disks.map((mebibytes, i) => {
      const path = join(folder, `disk${i}.img`);
      writeFileSync(path, '');
      truncateSync(path, mebibytes * 2 ** 20);
      return path;
    });
    const drives = [rootImage, boot.modules, `${payload}.img`, ...empty].flatMap((path, i) => [
      '-drive',
      `file=${path},if=none,id=d${i},format=raw,cache=${i < 3 ? 'unsafe,snapshot=on' : 'none'}`,
      '-device',
      `virtio-blk-${machine.bus},drive=d${i},serial=${['root', 'modules', 'kaio'][i] ?? `disk${i - 3}`}`,
    ]);
    const [command, ...arguments_] = [
      ...machine.qemu,
      ...['-accel', 'tcg,thread=multi', '-smp', String(PROCESSORS), '-m', String(memory)],
      ...['-nographic', '-no-reboot', '-nodefaults', '-serial', 'stdio'],
      ...['-kernel', boot.kernel, '-initrd', boot.initrd],
      ...['-append', `console=${machine.console} quiet loglevel=1 panic=-1`],
      ...drives,
    ];
    return { version: boot.version, ...(await emulate(command!, arguments_, timeLimitMs, options.log)) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function emulate(
  command: string,
  args: readonly string[],
  timeLimitMs: number,
  log: string | undefined,
): Promise<Omit<GuestRun, 'version'>> {
  const started = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  let ended = true;
  const timer = setTimeout(() => {
    ended = false;
    kill();
  }, timeLimitMs);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (log !== undefined) appendFileSync(log, text);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      process.off('exit', kill);
      resolve({
        output,
        ended: ended && output.includes('@@exit'),
        durationMs: Math.round(performance.now() - started),
      });
    });
  });
}

const RUN_FILE = `
import { runFile } from 'vitest';
const [path] = process.argv.slice(2);
const reports = await runFile(new URL(path, import.meta.url).pathname, Number(process.env.KAIO_TEST_TIMEOUT_MS));
for (const report of reports) console.log('@@test ' + JSON.stringify({ ...report, file: path }));
process.exit(0);
`;

/** What came of the tests in a guest. */
export interface TestRun extends GuestRun {
  tests: TestReport[];
  /** Complaints of the kernel: warnings, bugs, hung tasks, memory that was not enough. */
  complaints: string[];
  /** What tests reported in lines that begin with @@answers: a place, and what it answers to questions. */
  answers: Record<string, Record<string, string>>;
}

/** A file of tests that takes longer is ended. */
const FILE_SECONDS = 1200;

/**
 * Runs one file of tests, and prints what it said when it is done, for others run beside it. Where its process died, the kernel may say of
 * what. Of one that stands still it says where each of its threads is, before it ends it.
 */
const ONE_FILE = `
echo "@@file $1"
said=$(mktemp)
node run.js "./$1" < /dev/null > $said 2>&1 &
node=$!
{
  sleep ${FILE_SECONDS}
  for thread in /proc/$node/task/*; do (cd $thread && echo "$(cat comm): $(cat wchan) $(cat syscall)" && cat stack); done
  kill -KILL $node
} >> $said 2>&1 &
watch=$!
wait $node || { echo "@@failed $1 $?"; dmesg | tail -n 40; } >> $said
kill $watch 2> /dev/null
flock /run/printing cat $said
rm $said
`;

/**
 * Runs test files (paths from the repository's root, with .ts) in a guest, each in a process of its own as vitest does. `seed` is what
 * KAIO_SEED is in the guest, unless it is set here.
 */
export async function runTests(
  files: readonly string[],
  { script: before = '', seed = 1, ...options }: Omit<GuestOptions, 'script'> & { script?: string; seed?: number },
): Promise<TestRun> {
  const paths = files.map((file) => file.replace(/\.ts$/, '.js'));
  const inGuest = (path: string) => path.endsWith('.guest.js');
  // Those that only a guest can run disturb its devices. Of the others there are as many at a time as it has processors, as with vitest.
  const together = paths.filter((path) => !inGuest(path)).reverse();
  const alone = paths.filter(inGuest);
  const { preload = '' } = machines[options.kernel.architecture];
  // What replays a run, and how long it is; test/campaigns/devices.
  const { KAIO_SEED = String(seed), KAIO_LOAD = '100' } = process.env;
  const lines = [
    `export KAIO_TEST_TIMEOUT_MS=300000 KAIO_PATIENCE=8 KAIO_SEED=${KAIO_SEED} KAIO_LOAD=${KAIO_LOAD}`,
    preload === '' ? '' : 'export NODE_OPTIONS=--require=/kaio/preload.cjs',
    before,
    ...(together.length > 0
      ? [`printf '%s\\n' ${together.join(' ')} | busybox xargs -n 1 -P ${PROCESSORS} sh one.sh`]
      : []),
    ...alone.map((path) => `sh one.sh ${path}`),
    `dmesg | grep -E 'WARNING:|BUG:|Oops|blocked for more than|Call Trace|Out of memory' | sed 's/^/@@kernel /'`,
  ];
  const own = { 'run.js': RUN_FILE, 'one.sh': ONE_FILE, 'preload.cjs': preload };
  const run = await runGuest({ ...options, files: { ...options.files, ...own }, script: lines.join('\n') });
  const read = (word: string) =>
    [...run.output.matchAll(new RegExp(`@@${word} (.*?)\\r?$`, 'gm'))].map(([, text]) => text!);
  const tests = read('test').map((text) => JSON.parse(text) as TestReport);
  for (const text of read('failed')) {
    const [file, status] = text.split(' ') as [string, string];
    // As a shell has it: of a signal 128 more, so that 137 is SIGKILL.
    tests.push({ file, name: '(process)', state: 'fail', note: `its process ended with ${status}`, durationMs: 0 });
  }
  const answers: TestRun['answers'] = {};
  for (const text of read('answers')) {
    const { place, answers: given } = JSON.parse(text) as { place: string; answers: Record<string, string> };
    answers[place] = { ...answers[place], ...given };
  }
  return { ...run, tests, complaints: read('kernel'), answers };
}
