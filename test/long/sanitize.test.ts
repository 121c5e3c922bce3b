// Everything that drives the native module, under the sanitizers. The exit matrix runs each cell once here.
import { expect, test } from 'vitest';
import { keepResults } from '../support/results.ts';
import { sanitize } from '../support/sanitize.ts';

const LIMIT_MS = 3_000_000;

test.for(['address', 'thread'] as const)(
  'the %s sanitizer sees no mistake',
  { timeout: LIMIT_MS },
  (kind, { skip }) => {
    const { missing, passed, tests, output } = sanitize(kind, [], LIMIT_MS);
    skip(missing !== undefined, missing);
    expect(passed, output).toBe(true);
    const repetition = { command: 'npm run test:long', replay: `npm run test:sanitize ${kind}` };
    keepResults('sanitizers', repetition, { [kind]: { tests } });
  },
);
