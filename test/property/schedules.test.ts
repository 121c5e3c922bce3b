import { constants } from 'node:os';
import fc from 'fast-check';
import { beforeAll, expect, test, vi } from 'vitest';
import type { Engine } from '../../src/engine/engine.ts';
import { Request, RequestPool } from '../../src/engine/request.ts';
import type { Target } from '../../src/engine/target.ts';
import { IOCB_CMD_FDSYNC, IOCB_CMD_PREAD, IOCB_CMD_PWRITE } from '../../src/layout/constants.ts';
import { type FakeKernel, fakeEngine, fakeTarget, type Submitted, turn } from '../support/fake-kernel.ts';

const { EAGAIN, EBADF, EIO, ENOSPC, EOPNOTSUPP } = constants.errno;
const FILES = 3;

/** What a user does, and what the kernel does; a schedule is any mixture of them. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('read', 'write'),
      file: fc.nat(FILES - 1),
      kib: fc.integer({ min: 1, max: 700 }),
      at: fc.nat(64),
      pool: fc.boolean(),
      abortable: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sync' as const), file: fc.nat(FILES - 1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('abort' as const), which: fc.nat() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('complete' as const),
      which: fc.nat(),
      how: fc.nat(9),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  // A while of requests that complete in the submit, after which they do not wake the loop.
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('prompt' as const), reads: fc.nat(12) }) },
  // More at once than one slice takes: few of them wake the loop.
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('burst' as const), reads: fc.integer({ min: 33, max: 100 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('rule' as const), rule: fc.nat(5), n: fc.integer({ min: 1, max: 5 }) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Answers of io_submit, from friendly to hostile; each lets something through now and then, or nothing could ever finish. */
function ruleOf(rule: number, n: number): FakeKernel['rule'] {
  let call = 0;
  switch (rule) {
    case 1:
      return (batch) => Math.min(batch.length, n);
    case 2:
      return () => (call++ % (n + 1) < n ? -EAGAIN : undefined);
    case 3:
      return (batch) => (batch[0]!.rwFlags & 8 ? -EOPNOTSUPP : undefined);
    case 4:
      return () => (call++ % (n + 2) === 0 ? -EBADF : undefined);
    default:
      return () => undefined;
  }
}

/** How an event ends a request: mostly well. */
function resultOf(how: number, share: number, { nbytes, rwFlags }: Submitted): number {
  const flagged = (rwFlags & 8) !== 0;
  if (how === 0) return -EIO;
  if (how === 1) return -ENOSPC;
  if (how === 2) return Math.floor(nbytes * share);
  if (how === 3 && flagged) return -EAGAIN;
  if (how === 4 && flagged) return -EOPNOTSUPP;
  return nbytes;
}

/** What every request sets anew; all else must be as in a new record, or the next request has what the last one asked for. */
const SET_ANEW = new Set(['op', 'target', 'position', 'length', 'pool', 'shape', 'epoch', 'waiting', 'limit', 'next']);
const stale: string[] = [];

beforeAll(() => {
  const { give } = RequestPool.prototype;
  vi.spyOn(RequestPool.prototype, 'give').mockImplementation(function (this: RequestPool, request) {
    give.call(this, request);
    for (const [name, value] of Object.entries(new Request())) {
      if (!SET_ANEW.has(name) && request[name as keyof Request] !== value) stale.push(name);
    }
  });
});

/** One run: everything that was asked must be answered exactly once, and nothing may be left. */
class Run {
  readonly #engine: Engine;
  readonly #kernel: FakeKernel;
  readonly #targets: Target[];
  readonly #controllers: AbortController[] = [];
  readonly #promises: Promise<unknown>[] = [];
  readonly #free: number;
  asked = 0;
  answered = 0;

  constructor(depth: number, memory: number) {
    const { engine, kernel } = fakeEngine({ depth, memory });
    this.#engine = engine;
    this.#kernel = kernel;
    this.#free = engine.pool.freeBytes;
    this.#targets = [
      fakeTarget(),
      fakeTarget({ append: true, direct: false }),
      fakeTarget({ size: 1 << 20, storage: 'remote' }),
    ];
  }

  async take(one: Step): Promise<void> {
    if ('kib' in one) this.#request(one);
    else if (one.kind === 'sync') this.#answered(this.#command(this.#targets[one.file]!));
    else if (one.kind === 'abort') this.#controllers[one.which % Math.max(this.#controllers.length, 1)]?.abort();
    else if (one.kind === 'complete') this.#complete(one.which, one.how, one.share);
    else if (one.kind === 'rule') this.#kernel.rule = ruleOf(one.rule, one.n);
    else if (one.kind === 'prompt') await this.#prompt(one.reads);
    else if (one.kind === 'burst') this.#burst(one.reads);
    else await turn();
  }

  #burst(reads: number): void {
    for (let i = 0; i < reads; i++)
      this.#request({ kind: 'read', file: 0, kib: 1, at: i, pool: true, abortable: false });
  }

  async #prompt(reads: number): Promise<void> {
    this.#kernel.prompt = true;
    for (let i = 0; i < reads; i++) {
      this.#request({ kind: 'read', file: 0, kib: 1, at: i, pool: true, abortable: false });
      await turn();
    }
    this.#kernel.prompt = false;
  }

  #command(target: Target): Promise<unknown> {
    return this.#engine.command(IOCB_CMD_FDSYNC, target, 0, undefined, () => 0, undefined)!;
  }

  #request({ kind, file, kib, at, pool, abortable }: Extract<Step, { kib: number }>): void {
    const controller = new AbortController();
    if (abortable) this.#controllers.push(controller);
    const [view, release] = this.#memory(kib * 1024, pool);
    const op = kind === 'read' ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
    const options = abortable ? { signal: controller.signal } : undefined;
    const length = view.byteLength;
    const count = (bytes: number): number => bytes;
    const done = this.#engine.transfer(
      op,
      this.#targets[file]!,
      view,
      0,
      length,
      at * 65536,
      options,
      count,
      view,
      undefined,
    )!;
    this.#answered(
      done.then((bytes) => {
        expect(bytes).toBeGreaterThanOrEqual(0);
        expect(bytes).toBeLessThanOrEqual(length);
      }),
    );
    done.then(release, release);
  }

  #memory(length: number, pool: boolean): [Uint8Array, () => void] {
    try {
      if (!pool) return [Buffer.alloc(length), () => {}];
      const buffer = this.#engine.pool.allocate(length);
      return [buffer, () => buffer[Symbol.dispose]()];
    } catch {
      return [Buffer.alloc(length), () => {}];
    }
  }

  #answered(promise: Promise<unknown>): void {
    this.asked++;
    const known = new Set(['EIO', 'ENOSPC', 'EBADF', 'ABORT_ERR', 'EAGAIN']);
    this.#promises.push(
      promise.then(
        () => this.answered++,
        (error) => {
          this.answered++;
          if (!known.has(error.code)) throw error;
        },
      ),
    );
  }

  #complete(which: number, how: number, share: number): void {
    const { inFlight } = this.#kernel;
    const iocb = inFlight[which % Math.max(inFlight.length, 1)];
    if (iocb !== undefined) this.#kernel.complete(iocb, resultOf(how, share, iocb));
  }

  /** Lets the kernel become friendly and everything come to its end. */
  async finish(): Promise<void> {
    this.#kernel.rule = () => undefined;
    for (let turns = 0; this.answered < this.asked || this.#engine.stats().inFlight > 0; turns++) {
      if (turns > 5000) throw new Error(`${this.asked - this.answered} of ${this.asked} requests were never answered`);
      this.#kernel.completeAll(turns % 2 === 0);
      await turn();
    }
    await Promise.all(this.#promises);
    await Promise.all(this.#targets.map((target) => target.idle()));
    expect(this.#engine.stats()).toMatchObject({
      queued: 0,
      inFlight: 0,
      inFlightBytes: 0,
      buffers: 0,
      freeBytes: this.#free,
    });
    await this.#engine.close();
    expect(stale).toEqual([]);
  }
}

test('whatever the order of requests, aborts, refusals, errors and completions, each request is answered once and nothing is left', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(1, 2, 7, 64),
      fc.constantFrom(65536, 4 << 20),
      fc.array(step, { minLength: 1, maxLength: 120 }),
      async (depth, memory, steps) => {
        const run = new Run(depth, memory);
        for (const one of steps) await run.take(one);
        await run.finish();
        expect(run.answered).toBe(run.asked);
      },
    ),
    { numRuns: process.env.KAIO_LONG === '1' ? 5000 : 150 },
  );
});
