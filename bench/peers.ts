import { fileURLToPath } from 'node:url';
import { Fio } from './fio.ts';
import type { TrialSpec } from './protocol.ts';
import { type Command, type Measured, type NodeOptions, nodeCommand, Trial } from './trial.ts';

/** What a trial is about; the peer's own name comes from the list below. */
export type Workload = Omit<TrialSpec, 'peer'>;

/** Who is measured. `reference` is where the compiled C reference is, `node` the Node that runs the JavaScript peers. */
export interface Surroundings {
  readonly reference: string;
  readonly node: string;
  /** Where to leave CPU profiles of the JavaScript peers. */
  readonly profile?: string;
  /** A command that runs every peer, such as `nice -n -20` on a machine with other work. */
  readonly prefix?: readonly string[];
}

type Start = (name: string, load: Workload, around: Surroundings) => Promise<Measured>;

function javascript(peer: string, options: NodeOptions = {}): Start {
  return (name, load, { node, profile, prefix }) => {
    const flags =
      profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}.cpuprofile`];
    return Trial.start(nodeCommand(name, { ...load, peer }, { node, flags, ...options }), prefix);
  };
}

function threads(count: number): NodeOptions {
  return { env: { UV_THREADPOOL_SIZE: String(count) } };
}

function reference(...more: string[]): Start {
  return (name, load, around) => {
    const args = [
      ['--path', load.path],
      ['--bytes', load.bytes],
      ['--depth', load.depth],
      ['--blocks', Math.floor(load.targetBytes / load.bytes)],
      ['--pattern', load.pattern],
      ['--seed', load.seed],
      ['--threads', load.workers],
    ];
    const command: Command = { name, file: around.reference, args: [...args.flat().map(String), ...more] };
    return Trial.start(command, around.prefix);
  };
}

function fio(engine: 'libaio' | 'io_uring'): Start {
  return async (name, load, { prefix }) => new Fio(name, engine, load, prefix);
}

const PEERS: Readonly<Record<string, Start>> = {
  'c-eventfd': reference(),
  'c-eventfd-single': reference('--batch', '1'),
  'c-eventfd-4': reference('--batch', '4'),
  'c-eventfd-8': reference('--batch', '8'),
  'c-eventfd-16': reference('--batch', '16'),
  'c-eventfd-inline': reference('--rounds', '64'),
  'c-eventfd-huge': reference('--huge', '1'),
  'c-getevents': reference('--mode', 'getevents'),
  'kaio-promise': javascript('kaio-promise'),
  'kaio-callback': javascript('kaio-callback'),
  'kaio-inline-promise': javascript('kaio-inline-promise'),
  'kaio-inline-callback': javascript('kaio-inline-callback'),
  'kaio-offload-promise': javascript('kaio-offload-promise'),
  'fake-promise': javascript('fake-promise'),
  'fake-callback': javascript('fake-callback'),
  'yardstick-promise': javascript('yardstick-promise'),
  'yardstick-callback': javascript('yardstick-callback'),
  'fs-promises-4': javascript('fs-promises', threads(4)),
  'fs-promises-64': javascript('fs-promises', threads(64)),
  'fs-callback-4': javascript('fs-callback', threads(4)),
  'fs-callback-64': javascript('fs-callback', threads(64)),
  'fs-promises-uring': javascript('fs-promises', { env: { UV_USE_IO_URING: '1' } }),
  'fs-callback-uring': javascript('fs-callback', { env: { UV_USE_IO_URING: '1' } }),
  'fio-libaio': fio('libaio'),
  'fio-io_uring': fio('io_uring'),
};

export const PEER_NAMES: readonly string[] = Object.keys(PEERS);

/** Starts a peer; `kaio-promise@2` is kaio-promise in two workers, `c-eventfd@2` the reference in two threads. */
export function startPeer(name: string, load: Workload, around: Surroundings): Promise<Measured> {
  const [base, workers = load.workers] = name.split('@') as [string, string?];
  const start = PEERS[base];
  if (start === undefined) throw new Error(`there is no peer '${name}'; there are ${PEER_NAMES.join(', ')}`);
  return start(name, { ...load, workers: Number(workers) }, around);
}

export const REFERENCE_SOURCE: string = fileURLToPath(new URL('../reference/reference.c', import.meta.url));
