import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type GuestOptions, type Kernel, obstacle, runTests, type TestReport } from '../support/guest.ts';
import { counts, differences, merged, type Results } from './kernels/table.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const resultsFile = join(root, 'test/campaigns/results/kernels.json');
const page = join(root, 'docs/kernels.md');

const { KAIO_LONG, KAIO_KERNELS, KAIO_GUEST_TESTS = '' } = process.env;
const long = KAIO_LONG === '1';

/** Debian's kernels: the newest of each release. The cloud ones have fewer drivers, which is all that they lack here. */
const kernels = JSON.parse(readFileSync(join(root, 'test/campaigns/kernels/kernels.json'), 'utf8')) as Readonly<
  Record<string, Kernel>
>;

/** One kernel, and what takes a moment of each part, where the long run is not asked for; KAIO_KERNELS picks by name. */
const chosen = Object.entries(kernels).filter(([name]) =>
  KAIO_KERNELS === undefined ? long || name === '6.1 x86_64' : name.includes(KAIO_KERNELS),
);

const testsIn = (folder: string) =>
  readdirSync(join(root, 'test', folder))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `test/${folder}/${name}`);

const CAMPAIGNS = ['kernels/answers', 'kernels/remote', 'devices/devices'].map(
  (name) => `test/campaigns/${name}.guest.ts`,
);
const QUICK = ['buffers', 'flags', 'fsync', 'ring', 'submit'].map((name) => `test/kernel/${name}.test.ts`);
/** KAIO_GUEST_TESTS picks by name: any of its parts, between commas, is in the path. */
const all = [...testsIn('kernel'), ...testsIn('fault'), ...testsIn('lifecycle'), ...CAMPAIGNS];
const files = long
  ? all.filter((file) => KAIO_GUEST_TESTS.split(',').some((part) => file.includes(part)))
  : [...QUICK, 'test/lifecycle/close.test.ts', 'test/campaigns/devices/devices.guest.ts'];

const TOOLS = ['btrfs-progs', 'dmsetup', 'xfsprogs'];
const MORE_TOOLS = ['bsdutils', 'fuse3', 'gcc', 'libc6-dev', 'libfuse3-dev', 'libseccomp-dev', 'nbd-client', 'nbdkit'];
const packages = long ? [...TOOLS, ...MORE_TOOLS, 'nfs-common', 'nfs-kernel-server', 'pkg-config', 'strace'] : TOOLS;

const options: Omit<GuestOptions, 'kernel' | 'script'> = {
  packages,
  // Where the tests make their files, and a disk that is the devices' alone.
  disks: [4096, 64],
  timeLimitMs: long ? 7_200_000 : 1_200_000,
};

const briefly = ({ file, name, note }: TestReport) => `${file} > ${name}: ${note}`;

function results(): Results {
  return existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, 'utf8')) as Results) : {};
}

describe.each(chosen)('Linux %s', (name, kernel) => {
  test('kaio passes its tests there, and the kernel does not complain', async ({ skip }) => {
    const reason = obstacle(kernel, packages);
    skip(reason !== undefined, reason);
    const { KAIO_GUEST_LOG: log } = process.env;
    // Each guest takes another share of what an emulated machine has no time for.
    const seed = Object.keys(kernels).indexOf(name) + 1;
    const run = await runTests(files, { ...options, kernel, seed, ...(log === undefined ? {} : { log }) });
    if (long) writeFileSync(resultsFile, `${JSON.stringify(merged(results(), name, run), undefined, 2)}\n`);
    const of = (state: TestReport['state']) => run.tests.filter((report) => report.state === state);
    expect(run.ended, run.output.slice(-4000)).toBe(true);
    expect(of('fail').map(briefly)).toEqual([]);
    expect(run.complaints).toEqual([]);
    // That there was nothing to do must not pass for success.
    expect(of('pass').length).toBeGreaterThanOrEqual(files.length);
  }, 7_300_000);
});

/** Puts a table between the marks of that name. */
function withTable(text: string, name: string, table: string): string {
  const [from, to] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`].map((mark) => text.indexOf(mark));
  return `${text.slice(0, from)}<!-- ${name} -->\n\n${table}\n${text.slice(to)}`;
}

test('docs/kernels.md says what was tested, and where the kernels differ', () => {
  const text = readFileSync(page, 'utf8');
  const expected = withTable(withTable(text, 'counts', counts(results())), 'answers', differences(results()));
  // A formatter may line the columns up.
  const bare = (table: string) => table.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
  if (long && bare(text) !== bare(expected)) writeFileSync(page, expected);
  expect(bare(readFileSync(page, 'utf8'))).toBe(bare(expected));
});
