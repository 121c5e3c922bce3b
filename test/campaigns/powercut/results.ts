import { keepResults, repetitionOf } from '../../support/results.ts';
import type { Outcome } from './run.ts';

export interface Tally {
  cuts: number;
  acknowledged: number;
  /** Runs in which something acknowledged was gone, or somebody else's bytes were there, or nothing could be read. */
  losses: number;
  /** What the disks had not made stable, and what they lost of it, in sectors. */
  unflushed: number;
  lost: number;
  reordered: number;
  /** Requests that were under way when the power went. */
  inFlight: number;
}

export function tally(outcomes: readonly Outcome[]): Tally {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  return {
    cuts: outcomes.length,
    acknowledged: sum(({ acknowledged }) => acknowledged),
    losses: sum(({ lost, foreign, unreadable }) =>
      Number(lost.length + foreign.length > 0 || unreadable !== undefined),
    ),
    unflushed: sum(({ loss }) => loss.unflushed),
    lost: sum(({ loss }) => loss.lost),
    reordered: sum(({ loss }) => loss.reordered),
    inFlight: sum(({ loss }) => loss.inFlight),
  };
}

/** Writes the figures of a long run, and a row for each power cut, for docs/reliability.md. */
export function keep(outcomes: readonly Outcome[], controls: Record<string, { cuts: number; losing: number }>): void {
  const by = (of: (outcome: Outcome) => string) => {
    const names = [...new Set(outcomes.map(of))];
    return Object.fromEntries(names.map((name) => [name, tally(outcomes.filter((outcome) => of(outcome) === name))]));
  };
  const figures = {
    all: tally(outcomes),
    storages: by(({ plan }) => plan.storage),
    writers: by(({ plan }) => (plan.log ? 'write-ahead log' : 'files')),
    reaping: by(({ plan }) => plan.reap),
    controls,
  };
  const rows = outcomes.map(({ plan, acknowledged, loss }) => {
    const { seed, storage, sectorBytes, log } = plan;
    const { unflushed, lost } = loss;
    return { seed, storage, sectorBytes, log, acknowledged, unflushed, lost };
  });
  keepResults('powercut', repetitionOf('npm run test:powercut'), figures, rows);
}
