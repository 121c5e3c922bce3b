import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { campaigns, runsOf } from '../campaigns/figures.ts';

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const read = (name: string) => readFileSync(path(name), 'utf8');
const PAGE = 'docs/reliability.md';
const page = read(PAGE);
const COLUMNS = 6;
const RUNS = 2;

test('every command of docs/reliability.md is a script that there is, and names a campaign that there is', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const names = [...page.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(0);
  expect(names.filter((name) => scripts[name] === undefined)).toEqual([]);
  const files = [...page.matchAll(/npm run test:campaigns (\w+)/g)].map(([, file]) => `test/campaigns/${file}.test.ts`);
  expect(files.length).toBeGreaterThan(0);
  expect(files.filter((file) => !existsSync(path(file)))).toEqual([]);
});

test('every campaign of docs/reliability.md is one row of one table, and has a section', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| ['));
  const names = rows.map((row) => /^\| \[(.+?)\]/.exec(row)![1]!);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(campaigns.map(([name]) => name)));
  expect(page.match(/^\| --- /gm)).toHaveLength(1);
  const titles = [...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title!.toLowerCase());
  const anchors = titles.map((title) => `#${title.replaceAll('.', '').replaceAll(' ', '-')}`);
  for (const row of rows) {
    expect(row.split(' | ')).toHaveLength(COLUMNS);
    expect(anchors).toContain(/\]\((#.+?)\)/.exec(row)![1]);
  }
});

/** The page with the cells "runs" as the long runs have it; what is counted elsewhere stays. */
function withFigures(text: string): string {
  return text.replaceAll(/^\| \[(.+?)\].*$/gm, (row, campaign: string) => {
    const cells = row.split(' | ');
    return cells.with(RUNS, runsOf(campaign) ?? cells[RUNS]!).join(' | ');
  });
}

// KAIO_LONG=1, with which those runs write their figures, writes them here as well.
test('the figures of docs/reliability.md are those of the last long runs', () => {
  const expected = withFigures(page);
  if (process.env['KAIO_LONG'] === '1') writeFileSync(path(PAGE), expected);
  expect(read(PAGE)).toBe(expected);
});

test.each(campaigns)('what is kept of the campaign %s says how to repeat it, and where it was', (_name, file) => {
  if (!existsSync(file)) return;
  const { command, replay, machine } = JSON.parse(readFileSync(file, 'utf8'));
  expect(command).toMatch(/npm run test:/);
  expect(replay).toMatch(/npm run test:|^node /);
  expect(machine).toMatchObject({ node: expect.any(String), kernel: expect.any(String) });
});
