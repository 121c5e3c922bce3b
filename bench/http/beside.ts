import { pbkdf2 } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { promisify } from 'node:util';

const hash = promisify(pbkdf2);

/** A password hash of about 5 ms, four at a time as when four users log in, and a name that the server has to know. */
const HASH_ROUNDS = 10_000;
const HASHES_AT_ONCE = 4;
const HASHES_EVERY_MS = 100;
const LOOKUP_EVERY_MS = 10;

/** Other work of a server, all of which Node.js gives to the same threads as fs. It begins at once, or not at all. */
export class Beside {
  #lookups = 0;
  #hashes = 0;
  readonly #samplesNs: number[] = [];
  readonly #pending = new Set<Promise<void>>();
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(wanted: boolean) {
    if (!wanted) return;
    this.#timers.push(setInterval(() => this.#start(this.#lookUp()), LOOKUP_EVERY_MS));
    this.#timers.push(
      setInterval(() => {
        for (let i = 0; i < HASHES_AT_ONCE; i++) this.#start(this.#hash());
      }, HASHES_EVERY_MS),
    );
  }

  /** Ends it: how much was done, and how long each look-up took. */
  async end(): Promise<{ lookups: number; hashes: number; samplesNs: number[] }> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#pending);
    return { lookups: this.#lookups, hashes: this.#hashes, samplesNs: this.#samplesNs };
  }

  #start(work: Promise<void>): void {
    const pending = work.finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  }

  async #lookUp(): Promise<void> {
    const begin = performance.now();
    await lookup('localhost');
    this.#samplesNs.push(Math.round((performance.now() - begin) * 1e6));
    this.#lookups++;
  }

  async #hash(): Promise<void> {
    await hash('correct horse battery staple', 'salt', HASH_ROUNDS, 32, 'sha256');
    this.#hashes++;
  }
}
