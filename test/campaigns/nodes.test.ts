// One binary for every Node.js: the tests of what lies closest to Node itself, on each that is supported. With KAIO_LONG=1 all of them.
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { mustRun, root } from '../package/installed.ts';
import { nodeProgram, VERSIONS } from '../support/nodes.ts';
import { campaignCommand, keepResults } from '../support/results.ts';

const folder = (name: string, ...tests: string[]) => tests.map((test) => `test/${name}/${test}.test.ts`);
/** The system calls, the memory, the arguments and errors, the streams, and the ends of contexts and files. */
const ESSENTIALS = [
  ...folder('kernel', 'buffers', 'cancel', 'destroy', 'getevents', 'ring', 'submit', 'vectored'),
  ...folder('lifecycle', 'close', 'dropped', 'idle', 'reference', 'throw'),
  ...folder('unit', 'callbacks', 'poll', 'position', 'readstream', 'stacks', 'typed', 'webstream', 'writestream'),
];
/** What is about the package, which install.test.ts has on each Node.js, about other languages, or about figures that campaigns just keep. */
const ELSEWHERE = ['test/package/**', 'test/layout/**', 'test/unit/reliability.test.ts'];

const long = process.env['KAIO_LONG'] === '1';
const tests = long ? ['test'] : ESSENTIALS;
/** The version that runs this has all tests anyway. */
const [own] = process.versions.node.split('.');
const versions = VERSIONS.filter((version) => long || version.split('.')[0] !== own);

/** How many tests passed on each. */
const figures: Record<string, object> = {};
afterAll(() => {
  const command = campaignCommand('nodes');
  keepResults('nodes', { command: `KAIO_LONG=1 ${command}`, replay: `${command} -- -t 'on 22'` }, figures);
});

test.each(versions)('what lies closest to Node.js passes its tests on %s', (version) => {
  const node = nodeProgram(version);
  // Programs that tests start by name are of that version too. Each test in its short form.
  const env = { PATH: `${dirname(node)}:${process.env['PATH']}`, NO_COLOR: '1', KAIO_LONG: undefined };
  const options = ELSEWHERE.flatMap((tests) => ['--exclude', tests]);
  const output = mustRun(node, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...tests, ...options], root, env);
  // vitest takes a name that fits no file without a word.
  const files = Number(/Test Files +(\d+) passed/.exec(output)?.[1]);
  expect(files).toBeGreaterThanOrEqual(tests.length);
  figures[version] = { files, tests: Number(/Tests +.*?(\d+) passed/.exec(output)?.[1]) };
});
