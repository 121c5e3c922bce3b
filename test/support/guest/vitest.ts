/**
 * What `vitest` is in a guest. Its own runner and its own expect, without the bundler around them: that is built for few machines, and
 * an emulated one would spend minutes in it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  chai,
  customMatchers,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
} from '@vitest/expect';
import { type File, getCurrentTest, startTests, type Task, type VitestRunner } from '@vitest/runner';

export { afterAll, afterEach, beforeAll, beforeEach, describe, it, onTestFinished, test } from '@vitest/runner';

export const TestRunner: { getCurrentTest: typeof getCurrentTest } = { getCurrentTest };

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

type Assertion = Record<string, (...args: unknown[]) => unknown>;
interface PollOptions {
  timeout?: number;
  interval?: number;
}

function bareExpect(value: unknown, message?: string): Chai.Assertion {
  const assertion = chai.expect(value, message);
  const test = getCurrentTest();
  return test === undefined
    ? assertion
    : (assertion as unknown as { withTest(test: unknown): Chai.Assertion }).withTest(test);
}

/** Asks again until the assertion holds or the time is over. */
function poll(read: () => unknown, { timeout = 1000, interval = 50 }: PollOptions = {}): unknown {
  return new Proxy({} as Assertion, {
    get:
      (_, name: string) =>
      async (...args: unknown[]) => {
        for (const end = performance.now() + timeout; ; ) {
          const last = performance.now() > end;
          try {
            return (bareExpect(await read()) as unknown as Assertion)[name]!(...args);
          } catch (error) {
            if (last) throw error;
            await sleep(interval);
          }
        }
      },
  });
}

const matchers = (globalThis as unknown as Record<symbol, object>)[ASYMMETRIC_MATCHERS_OBJECT];
export const expect: object = Object.assign(bareExpect, chai.expect, matchers, { poll });
(chai.expect as unknown as { extend(expect: object, matchers: object): void }).extend(expect, customMatchers);

/** How one test ended, as the guest reports it. */
export interface TestReport {
  file: string;
  name: string;
  state: 'pass' | 'fail' | 'skip';
  /** Why it was skipped, or how it failed. */
  note?: string;
  durationMs: number;
}

/** Where objects are compared, the message alone does not say how they differ. */
function describeError({ message, stack, actual }: { message: string; stack?: string; actual?: unknown }): string {
  const found = typeof actual === 'string' ? `\nfound: ${actual}` : '';
  return (stack ?? message) + found;
}

function reportsOf(tasks: readonly Task[], file: string, prefix = ''): TestReport[] {
  return tasks.flatMap((task) => {
    const name = prefix + task.name;
    const error = task.result?.errors?.map(describeError).join('\n');
    if (task.type === 'suite') {
      const own: TestReport[] = error === undefined ? [] : [{ file, name, state: 'fail', note: error, durationMs: 0 }];
      return [...own, ...reportsOf(task.tasks, file, `${name} > `)];
    }
    const result = task.result?.state;
    const state = result === 'pass' || result === 'fail' ? result : 'skip';
    const skipped = task.result !== undefined && 'note' in task.result ? String(task.result.note) : undefined;
    const note = error ?? skipped;
    const durationMs = Math.round(task.result?.duration ?? 0);
    return [{ file, name, state, durationMs, ...(note === undefined ? {} : { note }) }];
  });
}

/** Runs the tests of one file in this process. */
export async function runFile(path: string, timeoutMs: number): Promise<TestReport[]> {
  const runner: VitestRunner = {
    config: {
      root: '/kaio',
      setupFiles: [],
      name: undefined,
      passWithNoTests: false,
      testNamePattern: undefined,
      allowOnly: true,
      sequence: { seed: 0, hooks: 'stack', setupFiles: 'list' },
      chaiConfig: undefined,
      maxConcurrency: 1,
      testTimeout: timeoutMs,
      hookTimeout: timeoutMs,
      retry: 0,
      includeTaskLocation: false,
      tags: [],
      tagsFilter: undefined,
      strictTags: false,
    },
    importFile: (file) => import(file),
    // If one hangs, the log says which.
    onBeforeRunTask: (test) => console.log(`@@begins ${test.name}`),
  };
  const files: File[] = await startTests([path], runner);
  return files.flatMap((file) => {
    const error = file.result?.errors?.map(describeError).join('\n');
    const own: TestReport[] =
      error === undefined ? [] : [{ file: path, name: '(file)', state: 'fail', note: error, durationMs: 0 }];
    return [...own, ...reportsOf(file.tasks, path)];
  });
}
