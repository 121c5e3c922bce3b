import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { scratchFolder } from '../support/scratch.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cli = `${root}dist/cli/main.js`;
const folder = scratchFolder();

const quick = ['--size', '8m', '--runtime', '0.5', '--depth', '8'];

function bench(...args: string[]): string {
  return execFileSync(process.execPath, [cli, 'bench', ...args], { encoding: 'utf8' });
}

test.each(['randread', 'randwrite', 'read', 'write', 'randrw'])(
  'kaio bench --rw %s measures and leaves nothing behind',
  (mode) => {
    const facts = JSON.parse(
      bench(folder, '--rw', mode, '--json', '--engine', 'kaio,kaio-callback,fs,fs-callback', ...quick),
    );
    expect(facts.engines.map(({ engine }: { engine: string }) => engine)).toEqual([
      'kaio',
      'kaio-callback',
      'fs',
      'fs-callback',
    ]);
    for (const { requests, latencyUs } of facts.engines) {
      expect(requests).toBeGreaterThan(0);
      expect(latencyUs.p99).toBeGreaterThanOrEqual(latencyUs.p50);
    }
    expect(readdirSync(folder)).toEqual([]);
  },
);

test('kaio bench prints a table and the latencies of each engine, in workers too', () => {
  const text = bench(folder, '--workers', '2', ...quick);
  expect(text).toMatch(/^engine +requests\/s/);
  expect(text).toMatch(/latency of kaio\n[\s\S]*%\n[\s\S]*latency of fs\n/);
});

const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version']).status === 0,
);

test.skipIf(chromium === undefined)('the page of --html draws its charts without a network', () => {
  const page = `${folder}/page.html`;
  try {
    bench(folder, '--html', page, ...quick);
    expect(readFileSync(page, 'utf8')).not.toMatch(/(src|href)="/);
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND'];
    const dom = execFileSync(chromium!, [...flags, '--virtual-time-budget=3000', '--dump-dom', `file://${page}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(dom.match(/<svg /g)).toHaveLength(2);
    expect(dom).toMatch(/<td>kaio<\/td>/);
  } finally {
    rmSync(page, { force: true });
  }
});
