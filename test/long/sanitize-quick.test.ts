// The native module under AddressSanitizer and UndefinedBehaviorSanitizer: a few ends of a process and of a worker, for every
// change. All of it, and ThreadSanitizer, are in sanitize.test.ts.
import { expect, test } from 'vitest';
import { sanitize } from '../support/sanitize.ts';

test('a process or a worker that ends with requests in flight makes no mistake that a sanitizer sees', ({ skip }) => {
  const { missing, passed, output } = sanitize('address', ['--quick']);
  skip(missing !== undefined, missing);
  expect(passed, output).toBe(true);
}, 240_000);
