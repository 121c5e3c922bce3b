import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { interleave, type PeerResult, type Plan } from '../interleave.ts';
import { describeMachine, type Machine } from '../machine.ts';
import { groupText } from '../print.ts';
import type { Slice } from '../protocol.ts';
import { quantile } from '../statistics.ts';
import { type Measured, Trial } from '../trial.ts';
import { type HttpSpec, wordOf } from './spec.ts';

/** The peers: who reads, and how many pool threads Node.js has. `fs` as it is comes first, the others are held against it. */
const PEERS = [
  { name: 'fs', engine: 'fs', threads: 4 },
  { name: 'fs, 64 threads', engine: 'fs', threads: 64 },
  { name: 'kaio', engine: 'kaio', threads: 4 },
] as const;

const CONNECTIONS = 64;
const FILES = 1024;

/** What one peer came to; the CPU is that of the server alone. */
export interface HttpResult extends PeerResult {
  /** How long a dns.lookup of the server took, where there were any, in milliseconds. */
  readonly lookupMs?: { readonly p50: number; readonly p99: number };
}

export interface HttpGroup {
  readonly title: string;
  readonly bytes: number;
  readonly beside: boolean;
  readonly results: readonly HttpResult[];
}

export interface HttpTable {
  readonly machine: Machine;
  readonly plan: Plan;
  readonly prefix: string;
  readonly connections: number;
  readonly files: number;
  readonly groups: readonly HttpGroup[];
}

export interface HttpPlan extends Plan {
  readonly prefix: readonly string[];
  /** Only groups whose title has this. */
  readonly only: string;
  /** Of the results file. */
  readonly name: string;
}

/** Measures every group, prints what came out and writes the results. */
export async function http(scratch: string, plan: HttpPlan, progress: (text: string) => void): Promise<void> {
  const groups: HttpGroup[] = [];
  for (const bytes of [4096, 65536]) {
    for (const beside of [false, true]) {
      const title = `files of ${bytes / 1024} KiB${beside ? ', dns.lookup and pbkdf2 beside it' : ''}`;
      if (!title.includes(plan.only)) continue;
      const group = await measureGroup({ title, bytes, beside }, makeFiles(scratch, bytes), plan, progress);
      progress('');
      print(group);
      groups.push(group);
    }
  }
  const { rounds, sliceMs, warmUpMs, prefix } = plan;
  const table: HttpTable = {
    machine: describeMachine(scratch, process.execPath),
    plan: { rounds, sliceMs, warmUpMs },
    prefix: prefix.join(' '),
    connections: CONNECTIONS,
    files: FILES,
    groups,
  };
  writeFileSync(`${scratch}/${plan.name}.json`, `${JSON.stringify(table, undefined, 1)}\n`);
}

/** The files of one size, in a folder that is left for the next run. */
function makeFiles(scratch: string, bytes: number): string {
  const folder = `${scratch}/http-${bytes}`;
  mkdirSync(folder, { recursive: true });
  for (let file = 0; file < FILES; file++) {
    writeFileSync(`${folder}/${file}`, new Uint32Array(bytes / 4).fill(wordOf(file)), { flush: file === FILES - 1 });
  }
  return folder;
}

async function measureGroup(
  group: Omit<HttpGroup, 'results'>,
  folder: string,
  plan: HttpPlan,
  progress: (text: string) => void,
): Promise<HttpGroup> {
  const { bytes, beside } = group;
  const peers: Pair[] = [];
  try {
    for (const { name, engine, threads } of PEERS) {
      const port = await freePort();
      const spec: HttpSpec = { engine, port, folder, files: FILES, bytes, connections: CONNECTIONS, beside };
      peers.push(await Pair.start(name, spec, threads, plan.prefix));
    }
    const results = await interleave(peers, plan, (text) => progress(`${group.title}: ${text}`));
    return { ...group, results: results.map((result, i) => ({ ...result, ...peers[i]!.lookups() })) };
  } finally {
    await Promise.all(peers.map((peer) => peer.end()));
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

const program = (name: string): string => fileURLToPath(new URL(`${name}.js`, import.meta.url));

/** A server and its load, measured as one. */
class Pair implements Measured {
  readonly name: string;
  readonly #server: Trial;
  readonly #client: Trial;
  readonly #lookupsNs: number[] = [];

  private constructor(name: string, server: Trial, client: Trial) {
    this.name = name;
    this.#server = server;
    this.#client = client;
  }

  static async start(name: string, spec: HttpSpec, threads: number, prefix: readonly string[]): Promise<Pair> {
    const start = (part: string): Promise<Trial> => {
      const args = [program(part), JSON.stringify(spec)];
      const env = { UV_THREADPOOL_SIZE: String(threads) };
      return Trial.start({ name: `${name}: ${part}`, file: process.execPath, args, env }, prefix);
    };
    const server = await start('server');
    return new Pair(name, server, await start('client'));
  }

  /** Requests and latencies as the client saw them, CPU as the server took it. */
  async slice(milliseconds: number): Promise<Slice> {
    const [served, seen] = await Promise.all([this.#server.slice(milliseconds), this.#client.slice(milliseconds)]);
    this.#lookupsNs.push(...served.samplesNs);
    const { userUs, systemUs, counters } = served;
    return { ...seen, userUs, systemUs, ...(counters && { counters }) };
  }

  lookups(): Pick<HttpResult, 'lookupMs'> {
    if (this.#lookupsNs.length === 0) return {};
    const ms = (share: number): number => quantile(this.#lookupsNs, share) / 1e6;
    return { lookupMs: { p50: ms(0.5), p99: ms(0.99) } };
  }

  async end(): Promise<void> {
    await this.#client.end();
    await this.#server.end();
  }
}

function print({ title, results }: HttpGroup): void {
  console.log(groupText('HTTP server', title, results));
  for (const { name, lookupMs, counters } of results) {
    if (lookupMs === undefined) continue;
    const { p50, p99 } = lookupMs;
    console.log(`${name}: dns.lookup p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)} ms, ${counters.hashes} hashes`);
  }
}
