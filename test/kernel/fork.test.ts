import { expect, test } from 'vitest';
import { pattern, temporaryFile } from '../support/raw-files.ts';
import { noCompiler, observe } from '../support/raw-observe.ts';

const file = (): string => temporaryFile({ content: pattern(1 << 20) }).path;

test('a forked child has no context, whether it has the ring in its memory or not', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  const { child_magic, ...facts } = observe('fork', file());
  expect([0xa10a_10a1, 0]).toContain(child_magic);
  expect(facts).toEqual({
    child_io_submit: 'EINVAL',
    child_io_getevents: 'EINVAL',
    child_io_cancel: 'EINVAL',
    child_io_destroy: 'EINVAL',
    parent_in_flight: 1 << 20,
    parent_after: 4096,
    parent_io_destroy: 0,
  });
});

test('a child that shares its memory submits into the context, and the parent reads the events', ({ skip }) => {
  skip(noCompiler !== undefined, noCompiler);
  expect(observe('clone', file())).toEqual({ child_submitted: 4, parent_events: 4, parent_full: 4 });
});
