import type { CodedError } from '../../src/errors.ts';

/** How a call ended: the text it gave, `'ok'` for anything else, or the code of the error it threw or rejected with. */
export async function outcomeOf(run: () => unknown): Promise<string> {
  try {
    const result = await run();
    return typeof result === 'string' ? result : 'ok';
  } catch (error) {
    const { code, name, message } = error as Partial<CodedError>;
    return code ?? `${name}: ${message}`;
  }
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The end of this turn of the event loop, when what was requested in it has been submitted. */
export function submitted(): Promise<void> {
  return new Promise((resolve) => process.nextTick(() => process.nextTick(resolve)));
}
