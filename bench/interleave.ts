import type { Counters, Slice } from './protocol.ts';
import { quantile } from './statistics.ts';
import type { Measured } from './trial.ts';

export interface Plan {
  readonly rounds: number;
  readonly sliceMs: number;
  readonly warmUpMs: number;
}

/** What the slices of one peer came to. */
export interface PeerResult {
  readonly name: string;
  /** One value a round, in the order in which they were measured. */
  readonly perSecond: number[];
  readonly cpuUs: number[];
  readonly userUs: number[];
  readonly systemUs: number[];
  /** kaio's counters, summed over the slices. */
  readonly counters: Counters;
  readonly latencyUs: { p50: number; p99: number; p999: number };
}

/** Measures the peers in turn, A B A B: what the machine does meanwhile meets them all. Says what it is at. */
export async function interleave(
  peers: readonly Measured[],
  plan: Plan,
  progress: (text: string) => void,
): Promise<PeerResult[]> {
  const results = new Map(peers.map((peer) => [peer, { slices: [] as Slice[] }]));
  for (const peer of peers) {
    progress(`warm-up of ${peer.name}`);
    await peer.slice(plan.warmUpMs);
  }
  for (let round = 1; round <= plan.rounds; round++) {
    for (const peer of peers) {
      progress(`round ${round} of ${plan.rounds}: ${peer.name}`);
      results.get(peer)!.slices.push(await peer.slice(plan.sliceMs));
    }
  }
  return peers.map((peer) => summarise(peer.name, results.get(peer)!.slices));
}

function summarise(name: string, slices: readonly Slice[]): PeerResult {
  const latencies = slices.flatMap((slice) => slice.samplesNs);
  const us = (share: number): number => quantile(latencies, share) / 1000;
  return {
    name,
    perSecond: slices.map(({ requests, wallMs }) => (requests / wallMs) * 1000),
    cpuUs: slices.map(({ requests, userUs, systemUs }) => (userUs + systemUs) / requests),
    userUs: slices.map(({ requests, userUs }) => userUs / requests),
    systemUs: slices.map(({ requests, systemUs }) => systemUs / requests),
    counters: total(slices.map(({ counters = {} }) => counters)),
    latencyUs: { p50: us(0.5), p99: us(0.99), p999: us(0.999) },
  };
}

function total(all: readonly Counters[]): Counters {
  const sum: Counters = {};
  for (const counters of all) {
    for (const [name, value] of Object.entries(counters)) sum[name] = (sum[name] ?? 0) + value;
  }
  return sum;
}
