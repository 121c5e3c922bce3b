import { type Binding, binding } from '../internals.ts';

/** What the submits of the event loop's own thread did to it. */
export interface SubmitTimes {
  submits: number;
  /** Longest single io_submit, and the most that those of one turn of the event loop took together. */
  longestMs: number;
  longestTurnMs: number;
  /** Times the thread slept in an io_submit (voluntary context switches); counted only where that was asked for. */
  sleeps: number;
}

export const NO_SUBMITS: Readonly<SubmitTimes> = { submits: 0, longestMs: 0, longestTurnMs: 0, sleeps: 0 };

/** Measures every io_submit that contexts make on this thread. To be called before the first of them is made. */
export function watchSubmits(countSleeps: boolean): SubmitTimes {
  const times: SubmitTimes = { ...NO_SUBMITS };
  const native = binding() as { -readonly [K in keyof Binding]: Binding[K] };
  const create = native.createContext;
  let turnMs = 0;
  const newTurn = (): void => {
    turnMs = 0;
  };
  native.createContext = (...args) => {
    const context = create(...args);
    if ('errno' in context) return context;
    const submit = (first: number, count: number, most: number): void => {
      const sleeps = countSleeps ? context.sleeps() : 0;
      const begin = performance.now();
      context.submit(first, count, most);
      const tookMs = performance.now() - begin;
      if (countSleeps) times.sleeps += context.sleeps() - sleeps;
      if (turnMs === 0) setImmediate(newTurn);
      turnMs += tookMs;
      times.submits++;
      times.longestMs = Math.max(times.longestMs, tookMs);
      times.longestTurnMs = Math.max(times.longestTurnMs, turnMs);
    };
    return { ...context, submit };
  };
  return times;
}

/** The longest time between two turns of the event loop, which it keeps busy meanwhile. Returns what ends it. */
export function watchTurns(): () => number {
  let longestMs = 0;
  let last = performance.now();
  const look = (): void => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
    immediate = setImmediate(look);
  };
  let immediate = setImmediate(look);
  return () => {
    clearImmediate(immediate);
    return longestMs;
  };
}
