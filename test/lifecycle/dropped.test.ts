// What is dropped without close is closed all the same, with a warning that says where it was opened.
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { dist, runNode } from '../support/child.ts';
import { scratchFolder } from '../support/scratch.ts';

const folder = scratchFolder();
const path = `${folder}/file`;
writeFileSync(path, Buffer.alloc(65536, 'x'));

/** Runs a program that ends with a list of its warnings, and of what it has open. */
async function run(
  body: string,
): Promise<{ warnings: string[]; descriptors: number; contexts: number; seen: unknown }> {
  const program = `${folder}/program${Math.random()}.mjs`;
  writeFileSync(
    program,
    `import { AioContext, open } from '${dist}index.js';
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const path = ${JSON.stringify(path)};
const warnings = [];
process.on('warning', (warning) => warnings.push(warning.code + ' ' + warning.message));
const contexts = () => fs.readFileSync('/proc/self/maps', 'utf8').split('/[aio]').length - 1;
const descriptors = () => fs.readdirSync('/proc/self/fd').length;
async function collect(until) {
  for (let i = 0; i < 200 && !until(); i++) { gc(); await sleep(10); }
}
let seen;
${body}
console.log(JSON.stringify({ warnings, seen, contexts: contexts(), descriptors: descriptors() }));`,
  );
  const result = await runNode(new URL(`file://${program}`), { execArgv: ['--expose-gc', '--no-warnings'] });
  expect(result).toMatchObject({ code: 0, signal: null, timedOut: false, stderr: '' });
  return JSON.parse(result.stdout);
}

test('a file', async () => {
  const { warnings, seen } = await run(`
    const context = new AioContext({ depth: 4, memory: 65536 });
    const before = descriptors();
    async function careless() {
      const file = await context.open(path, 'r', { direct: 'auto' });
      await file.read(Buffer.alloc(512), 0, 512, 0);
    }
    await careless();
    await collect(() => warnings.length > 0 && descriptors() === before);
    seen = descriptors() - before;
  `);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/^KAIO_DROPPED An AioFile of .*\/file was dropped without close\(\)/);
  expect(warnings[0]).toContain('at async careless');
  expect(seen).toBe(0);
});

test('a context', async () => {
  const { warnings, contexts } = await run(`
    function careless() {
      new AioContext({ depth: 4, memory: 65536 });
    }
    careless();
    await collect(() => warnings.length > 0 && contexts() === 0);
  `);
  expect(warnings).toEqual([expect.stringMatching(/^KAIO_DROPPED An AioContext was dropped.*at careless/s)]);
  expect(contexts).toBe(0);
});

test('a file with requests under way, whose requests are answered first', async () => {
  const { warnings, seen } = await run(`
    const context = new AioContext({ depth: 1, memory: 65536 });
    const before = descriptors();
    async function careless() {
      const file = await context.open(path, 'r', { direct: 'auto' });
      return Array.from({ length: 20 }, (_, i) => file.read(Buffer.alloc(512), 0, 512, i * 512));
    }
    seen = await careless().then((reads) => { gc(); return Promise.all(reads); }).then((results) => results.length);
    await collect(() => warnings.length > 0 && descriptors() === before);
  `);
  expect(seen).toBe(20);
  expect(warnings).toHaveLength(1);
});

test('not what was closed, nor what is still held', async () => {
  const { warnings } = await run(`
    async function careful() {
      const context = new AioContext({ depth: 4, memory: 65536 });
      const file = await context.open(path);
      await file.close();
      const other = await context.open(path);
      await context.close();
    }
    await careful();
    globalThis.held = await open(path);
    let i = 0;
    await collect(() => i++ > 20);
    globalThis.held.fd;
  `);
  expect(warnings).toEqual([]);
});

test('but not a file whose close is all that anybody waits for', async () => {
  const { warnings, seen } = await run(`
    const context = new AioContext({ depth: 4, memory: 65536 });
    let events = 0;
    let going = true;
    async function careful() {
      const file = await context.open(path, 'r', { direct: 'auto' });
      file.on('close', () => events++);
      return { closed: file.close() };
    }
    const closes = [];
    for (let i = 0; i < 20; i++) closes.push(careful().then(({ closed }) => closed));
    const all = Promise.all(closes).then(() => (going = false));
    while (going) {
      gc();
      await new Promise(setImmediate);
    }
    await all;
    await collect(() => events === 20);
    await context.close();
    seen = events;
  `);
  expect(warnings).toEqual([]);
  expect(seen).toBe(20);
});
