import { constants } from 'node:os';

/** What asks a process to end: Ctrl-C, kill(1), and a terminal that goes away. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type EndSignal = (typeof SIGNALS)[number];

/** What a shell has as the exit code of a process that a signal ended. */
export function exitCodeOf(signal: EndSignal): number {
  return 128 + constants.signals[signal];
}

/** Calls `listener` for every signal that asks to end, instead of ending. The function that comes back gives up again. */
export function onSignals(listener: (signal: EndSignal) => void): () => void {
  for (const signal of SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener);
  };
}

/** As {@link onSignals}: the process exits, and so does what it has to do at `exit`. */
export function exitOnSignals(): () => void {
  return onSignals((signal) => process.exit(exitCodeOf(signal)));
}
