/**
 * The client: a process of its own, so that it shares neither the event loop nor the memory of what it measures. It keeps requests
 * under way on some keep-alive connections, and tells on demand how those of a span of time fared.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';

/** Each connection sends its next request as soon as the last one is answered. */
const CONNECTIONS = 32;

/** A span of the monotonic clock (`process.hrtime`), which all processes of a machine share. */
export interface Span {
  fromNs: bigint;
  toNs: bigint;
}

/** How the HTTP requests fared of which any part fell into a span. */
export interface Answers {
  answers: number;
  answersPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

interface Answered {
  sentNs: bigint;
  answeredNs: bigint;
}

// ---- In the process of the client -----------------------------------------------------------------------------------------

function request(port: number, agent: Agent): Promise<Answered> {
  const sentNs = process.hrtime.bigint();
  return new Promise((resolve, reject) => {
    get({ port, agent, host: '127.0.0.1' }, (response) => {
      response.resume();
      response.once('end', () => resolve({ sentNs, answeredNs: process.hrtime.bigint() }));
    }).once('error', reject);
  });
}

function percentile(sorted: number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function summarize(log: Answered[], { fromNs, toNs }: Span): Answers {
  const overlapping = log.filter(({ sentNs, answeredNs }) => sentNs < toNs && answeredNs > fromNs);
  const latenciesMs = overlapping
    .map(({ sentNs, answeredNs }) => Number(answeredNs - sentNs) / 1e6)
    .sort((one, other) => one - other);
  const answers = overlapping.filter(({ answeredNs }) => answeredNs <= toNs).length;
  return {
    answers,
    answersPerSecond: answers / (Number(toNs - fromNs) / 1e9),
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
    maxMs: latenciesMs.at(-1) ?? 0,
  };
}

/** What the forked process does until its parent disconnects. */
export async function runClient(port: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const log: Answered[] = [];
  const ask = async () => log.push(await request(port, agent));
  const underWay = Array.from({ length: CONNECTIONS }, ask);
  process.on('message', async ([fromNs, toNs]: [string, string]) => {
    // A request that was sent before the end of the span may still be waiting for its answer.
    await Promise.all(underWay);
    process.send?.(summarize(log.splice(0), { fromNs: BigInt(fromNs), toNs: BigInt(toNs) }));
  });
  // Ctrl-C reaches the whole group of processes; this one ends with its parent, by the disconnection.
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.exit());
  await Promise.all(underWay);
  process.send?.('ready');
  for (const connection of underWay.keys()) void keepAsking(underWay, connection, ask);
}

async function keepAsking(
  underWay: Promise<unknown>[],
  connection: number,
  ask: () => Promise<unknown>,
): Promise<never> {
  for (;;) {
    underWay[connection] = ask();
    await underWay[connection];
  }
}

// ---- In the process of the server -----------------------------------------------------------------------------------------

/** The client as its parent sees it. */
export class Client {
  readonly #process: ChildProcess;
  readonly #ended: Promise<never>;

  private constructor(child: ChildProcess) {
    this.#process = child;
    this.#ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`The HTTP client ended by itself (${signal ?? `exit code ${code}`})`);
    });
    // Only somebody who waits for a message minds.
    this.#ended.catch(() => {});
  }

  /** Starts `program` once more, as the client of the server at `port`, and waits until requests are flowing. */
  static async start(program: string, port: number): Promise<Client> {
    const client = new Client(fork(program, ['--client', String(port)]));
    await client.#message();
    return client;
  }

  /** How the requests of a span that has passed were answered. Forgets those before. */
  async answers({ fromNs, toNs }: Span): Promise<Answers> {
    this.#process.send([String(fromNs), String(toNs)]);
    return (await this.#message()) as Answers;
  }

  stop(): void {
    this.#process.kill('SIGKILL');
  }

  async #message(): Promise<unknown> {
    const [message] = await Promise.race([once(this.#process, 'message'), this.#ended]);
    return message;
  }
}
