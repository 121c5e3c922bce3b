import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/reliability.md');
const figuresOf = (campaign: string) => JSON.parse(read(`test/campaigns/results/${campaign}.json`));

test('every command of docs/reliability.md is a script that there is', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const names = [...page.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(0);
  expect(names.filter((name) => scripts[name] === undefined)).toEqual([]);
});

test('the figures of docs/reliability.md are those of the last long runs', () => {
  const cuts = figuresOf('powercut').all;
  expect(page).toContain(`${cuts.cuts} cuts, ${cuts.acknowledged} writes acknowledged, ${cuts.losses} lost`);
  const faults = figuresOf('device-faults').all;
  expect(page).toContain(`${faults.requests} requests, ${faults.failed} failed, ${faults.hangs} hangs`);
});
