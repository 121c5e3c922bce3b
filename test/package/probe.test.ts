// kaio probe, where it takes no time; test/campaigns has it on every file system and under every policy.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { directSkip } from '../support/direct.ts';
import { fileSystemSkip, withFileSystem } from '../support/filesystems.ts';
import { factsOf, operation, probeCommand, runProbe, waysOf } from '../support/probe.ts';
import { aioMaxNr } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';
import { refusingLauncher, seccompSkip } from '../support/shim.ts';

const EPERM = 1;
const folder = scratchFolder();

test('a folder is tried with a scratch file that is gone afterwards', async ({ skip }) => {
  skip(directSkip() !== false, String(directSkip()));
  const facts = await factsOf(folder);
  expect(facts).toMatchObject({ kind: 'folder', aio: { allowed: true }, measured: { direct: { supported: true } } });
  expect(Object.keys(waysOf(facts))).toEqual([
    'read',
    'overwrite',
    'reserved write',
    'append',
    'buffered read',
    'buffered write',
  ]);
  expect(facts.quota).toMatchObject({ most: aioMaxNr() });
  expect(facts.code).toBe(facts.verdict.answer === 'no' ? 1 : 0);
  expect(readdirSync(folder)).toEqual([]);
});

test('a file is read, and neither its content nor its time of modification changes', async () => {
  const path = join(folder, 'precious');
  const content = Buffer.alloc(256 * 1024, 'precious ');
  writeFileSync(path, content);
  const { mtimeNs } = statSync(path, { bigint: true });
  expect(await factsOf(path)).toMatchObject({ kind: 'file', bytes: content.length });
  expect(statSync(path, { bigint: true }).mtimeNs).toBe(mtimeNs);
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(readdirSync(folder)).toEqual(['precious']);
});

test('of a tmpfs: everything is done before io_submit returns, the flag is not known, and the answer is no', async ({
  skip,
}) => {
  skip(fileSystemSkip('tmpfs') !== false, String(fileSystemSkip('tmpfs')));
  await withFileSystem('tmpfs', async (dir) => {
    const facts = await factsOf(dir);
    expect(facts).toMatchObject({ code: 1, fileSystem: { type: 'tmpfs', mountPoint: dir }, verdict: { answer: 'no' } });
    expect(facts.device).toBeUndefined();
    expect(new Set(Object.values(waysOf(facts)))).toEqual(new Set(['immediate']));
    expect(operation(facts, 'read').nowait).toMatchObject({ done: 0, refused: 0 });
    expect(facts.verdict.summary).toMatch(/memory/);
  });
});

test('where a seccomp profile denies io_uring, AIO is allowed all the same, and people are told both', async ({
  skip,
}) => {
  skip(seccompSkip() !== false, String(seccompSkip()));
  const { stdout } = await runProbe([folder], { launcher: refusingLauncher(EPERM, 'io_uring_setup') });
  expect(stdout).toMatch(/^kernel +\S+, Node\.js /);
  expect(stdout).toMatch(/^AIO +allowed$/m);
  expect(stdout).toMatch(/^io_uring +denied: io_uring_setup gives EPERM \(.*seccomp/m);
  expect(stdout).toMatch(/^overwrite +\S.* µs/m);
  expect(stdout).toMatch(/^(Yes|Partly|No)\. \S/m);
  expect(stdout).not.toContain('\x1b');
});

test('where it denies io_setup, the answer is no, and what to allow', async ({ skip }) => {
  skip(seccompSkip() !== false, String(seccompSkip()));
  const facts = await factsOf(folder, { launcher: refusingLauncher(EPERM, 'io_setup') });
  expect(facts).toMatchObject({ code: 1, aio: { allowed: false, call: 'io_setup' }, ioUring: { allowed: true } });
  expect(facts.verdict.advice.join()).toMatch(/io_setup, io_submit, io_getevents, io_cancel and io_destroy/);
});

const guide = readFileSync(new URL('../../docs/containers.md', import.meta.url), 'utf8');

/** The contents of its fenced blocks of one language. */
function blocks(language: string): string[] {
  return [...guide.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, found, text]) =>
    found === language ? text! : [],
  );
}

test('the commands of the guide run', () => {
  const commands = blocks('sh').map((text) => text.trim().replace('npx kaio probe', probeCommand));
  expect(commands).toHaveLength(2);
  for (const command of commands) expect(spawnSync('sh', ['-c', command], { cwd: folder }).stderr.toString()).toBe('');
});
