import { interleave, type PeerResult, type Plan } from './interleave.ts';
import { type Surroundings, startPeer, type Workload } from './peers.ts';
import type { Measured } from './trial.ts';

/** Starts these peers, measures them in turn and ends them. A peer that cannot start is left out, with its reason. */
export async function compare(
  names: readonly string[],
  load: Workload,
  plan: Plan,
  around: Surroundings,
  progress: (text: string) => void,
): Promise<PeerResult[]> {
  const peers: Measured[] = [];
  try {
    for (const name of names) peers.push(await startPeer(name, load, around));
    return await interleave(peers, plan, progress);
  } finally {
    await Promise.all(peers.map((peer) => peer.end()));
  }
}
