import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { constants } from 'node:os';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Engine, RequestOptions } from '../../src/engine/engine.ts';
import { Loop } from '../../src/engine/loop.ts';
import { PART_BYTES } from '../../src/engine/policy.ts';
import type { Target } from '../../src/engine/target.ts';
import {
  IOCB_CMD_FDSYNC,
  IOCB_CMD_POLL,
  IOCB_CMD_PREAD,
  IOCB_CMD_PWRITE,
  RWF_DSYNC,
  RWF_NOWAIT,
} from '../../src/layout/constants.ts';
import { fakeEngine, fakeTarget, type Submitted, turn } from '../support/fake-kernel.ts';
import { outcomeOf } from '../support/outcome.ts';

const { EAGAIN, EBADF, EIO, EOPNOTSUPP } = constants.errno;
const count = (bytes: number): unknown => bytes;
type Fake = ReturnType<typeof fakeEngine>;

/** Until the test ends, what the engine does after a pause it does when the function that this returns is called. */
function holdPauses(): () => void {
  const held: (() => void)[] = [];
  const spy = vi.spyOn(Loop.prototype, 'after').mockImplementation((_ms, callback) => {
    held.push(callback);
    return setTimeout(() => {}).unref();
  });
  onTestFinished(() => spy.mockRestore());
  return () => {
    for (const callback of held.splice(0)) callback();
  };
}

/** What is thrown and caught by nobody until the test ends: the messages. */
function caught(): string[] {
  const messages: string[] = [];
  const listeners = process.rawListeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', ({ message }) => messages.push(message));
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener as () => void);
  });
  return messages;
}

const transfer =
  (op: number) =>
  (engine: Engine, target: Target, position: number, view: Uint8Array, options?: RequestOptions): Promise<number> => {
    const { byteLength } = view;
    return engine.transfer(
      op,
      target,
      view,
      0,
      byteLength,
      position,
      options,
      count,
      undefined,
      undefined,
    ) as Promise<number>;
  };

const read = transfer(IOCB_CMD_PREAD);
const write = transfer(IOCB_CMD_PWRITE);

function datasync(engine: Engine, target: Target) {
  return engine.command(IOCB_CMD_FDSYNC, target, 0, undefined, count, undefined) as Promise<number>;
}

describe('submitting', () => {
  test('requests of one turn go to the kernel together, in slices of up to 32', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const done = Promise.all(
      Array.from({ length: 100 }, (_, i) => read(engine, target, i * 4096, engine.pool.allocate(4096))),
    );
    expect(kernel.calls).toEqual([]);
    // The budget of time may spread the slices over several turns; it does not make them smaller.
    while (kernel.inFlight.length < 100) await turn();
    expect(kernel.calls).toEqual([32, 32, 32, 4]);
    kernel.completeAll();
    expect(await done).toEqual(new Array(100).fill(4096));
  });

  test('a short queue goes in slices of 8, so that an idle device starts with the first of them', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const done = Promise.all(
      Array.from({ length: 20 }, (_, i) => read(engine, target, i * 4096, engine.pool.allocate(4096))),
    );
    while (kernel.inFlight.length < 20) await turn();
    expect(kernel.calls).toEqual([8, 8, 4]);
    kernel.completeAll();
    await done;
  });

  test('what completes at once goes in slices of 64', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const views = Array.from({ length: 100 }, () => engine.pool.allocate(4096));
    kernel.prompt = true;
    await read(engine, target, 0, views[0]!);
    await Promise.all(views.map((view, i) => read(engine, target, i * 4096, view)));
    expect(kernel.calls).toEqual([1, 64, 36]);

    // No more than 4 MiB: io_submit may be what moves them.
    const large = Array.from({ length: 40 }, () => engine.pool.allocate(131072));
    kernel.calls.length = 0;
    await Promise.all(large.map((view, i) => write(engine, target, i * 131072, view)));
    expect(kernel.calls).toEqual([32, 8]);
  });

  test('while many wait, one request in eight wakes the loop, and the others are found with it or soon after', async () => {
    const endPause = holdPauses();
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const views = Array.from({ length: 70 }, () => engine.pool.allocate(4096));
    let settled = 0;
    const done = views.map((view, i) => read(engine, target, i * 4096, view).then(() => settled++));
    while (kernel.inFlight.length < 70) await turn();
    const heard = views.map((_, i) => i % 8 === 0 || i >= 64);
    expect(kernel.history.map(({ signals }) => signals)).toEqual(heard);

    const complete = async (...iocbs: Submitted[]): Promise<number> => {
      for (const iocb of iocbs) kernel.complete(iocb, 4096);
      await turn();
      return settled;
    };
    const [first, second, third] = kernel.inFlight as [Submitted, Submitted, Submitted];
    expect(await complete(second)).toBe(0);
    expect(await complete(first)).toBe(2);
    expect(await complete(third)).toBe(2);
    endPause();
    await turn();
    expect(settled).toBe(3);
    // With nothing in flight that would wake the loop, nobody waits for a timer.
    const loud = kernel.inFlight.filter(({ signals }) => signals);
    expect(await complete(...loud)).toBe(3 + loud.length);
    expect(await complete(...kernel.inFlight)).toBe(70);
    await Promise.all(done);
  });

  test('a slice that leaves something behind is not prompt, whatever else is in flight', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const views = Array.from({ length: 31 }, () => engine.pool.allocate(4096));
    kernel.prompt = true;
    await read(engine, target, 0, views[0]!);
    kernel.prompt = false;
    const other = read(engine, fakeTarget({ submit: 'offload' }), 0, views[0]!);
    await turn();
    kernel.calls.length = 0;
    const round = async (): Promise<void> => {
      const done = Promise.all(views.slice(1).map((view, i) => read(engine, target, i * 4096, view)));
      await turn();
      for (const iocb of kernel.inFlight.filter(({ offThread }) => !offThread)) kernel.complete(iocb, 4096);
      await done;
    };
    await round();
    await round();
    expect(kernel.calls).toEqual([30, 8, 8, 8, 6]);
    kernel.completeAll();
    await other;
  });

  test('a slice that leaves something behind is not prompt, whatever else completes meanwhile', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const views = Array.from({ length: 50 }, () => engine.pool.allocate(4096));
    kernel.prompt = true;
    await read(engine, target, 0, views[0]!);
    kernel.prompt = false;
    const files = [1, 2].map(() => fakeTarget({ submit: 'offload' }));
    const others = views.slice(20).map((view, i) => read(engine, files[i % 2]!, 0, view));
    while (kernel.inFlight.length < 30) await turn();
    kernel.calls.length = 0;
    kernel.rule = () => {
      for (const iocb of kernel.inFlight.filter(({ offThread }) => offThread)) kernel.complete(iocb, 4096);
      return undefined;
    };
    const round = async (): Promise<void> => {
      const done = views.slice(0, 20).map((view, i) => read(engine, target, i * 4096, view));
      await Promise.all(others);
      while (kernel.inFlight.length < 20) await turn();
      kernel.completeAll();
      await Promise.all(done);
    };
    await round();
    await round();
    expect(kernel.calls).toEqual([20, 8, 8, 4]);
  });

  test('requests that are refused at once are not prompt', async () => {
    const { engine, kernel } = fakeEngine();
    const views = Array.from({ length: 20 }, () => engine.pool.allocate(4096));
    kernel.prompt = () => -EAGAIN;
    const refused = read(engine, fakeTarget(), 0, views[0]!);
    while (kernel.inFlight.length < 1) await turn();
    kernel.completeAll();
    await refused;
    kernel.prompt = false;
    const target = fakeTarget();
    const done = views.map((view, i) => read(engine, target, i * 4096, view));
    while (kernel.inFlight.length < 20) await turn();
    expect(kernel.calls).toEqual([1, 8, 8, 4]);
    kernel.completeAll();
    await Promise.all(done);
  });

  test('a look for completions is in the context of whoever made the engine, not of the first request', async () => {
    const { engine, kernel } = fakeEngine();
    const storage = new AsyncLocalStorage<string>();
    const stores: unknown[] = [];
    const onComplete = (): number => stores.push(storage.getStore());
    subscribe('kaio:complete', onComplete);
    onTestFinished(() => void unsubscribe('kaio:complete', onComplete));
    const target = fakeTarget();
    const views = Array.from({ length: 40 }, () => engine.pool.allocate(4096));
    const done = storage.run('first', () => Promise.all(views.map((view, i) => read(engine, target, i * 4096, view))));
    while (kernel.inFlight.length < 40) await turn();
    kernel.complete(kernel.inFlight[1]!, 4096);
    await vi.waitFor(() => expect(stores).toEqual([undefined]));
    kernel.completeAll();
    await done;
  });

  test('requests made after awaits of different depth in one wake share a slice', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const views = Array.from({ length: 8 }, () => engine.pool.allocate(4096));
    const chain = async (view: Uint8Array, depth: number): Promise<void> => {
      await read(engine, target, 0, view);
      for (let i = 0; i < depth; i++) await undefined;
      await read(engine, target, 4096, view);
    };
    const done = Promise.all(views.map((view, i) => chain(view, i)));
    await turn();
    kernel.completeAll();
    await turn();
    await turn();
    expect(kernel.calls).toEqual([8, 8]);
    kernel.completeAll();
    await done;
  });

  test('once all slots are taken, the next go as a slice and not one for each that completes', async () => {
    const { engine, kernel } = fakeEngine({ depth: 128 });
    const target = fakeTarget();
    const views = Array.from({ length: 200 }, () => engine.pool.allocate(4096));
    const done = Promise.all(views.map((view, i) => read(engine, target, i * 4096, view)));
    while (kernel.inFlight.length < 128) await turn();
    const before = kernel.calls.length;
    // On a slow machine the pump would not wait for all of them. The first of a slice wakes the loop, so it comes last.
    const endPause = holdPauses();
    for (const iocb of kernel.inFlight.slice(0, 32).reverse()) {
      kernel.complete(iocb, 4096);
      await turn();
    }
    endPause();
    while (kernel.inFlight.length < 128) await turn();
    expect(kernel.calls.slice(before)).toEqual([32]);
    while (kernel.inFlight.length > 0) {
      kernel.completeAll();
      await turn();
    }
    await done;
  });

  test('a refusal among many completions does not submit before all of them are settled', async () => {
    const { engine, kernel } = fakeEngine({ depth: 64 });
    const target = fakeTarget();
    const views = Array.from({ length: 200 }, () => engine.pool.allocate(4096));
    const done = Promise.all(views.map((view, i) => read(engine, target, i * 4096, view)));
    while (kernel.inFlight.length < 64) await turn();
    kernel.prompt = true;
    for (const [i, iocb] of kernel.inFlight.slice(0, 30).entries())
      kernel.complete(iocb, i === 20 ? -EOPNOTSUPP : 4096);
    await turn();
    while (kernel.inFlight.length > 0) {
      kernel.completeAll();
      await turn();
    }
    expect(await done).toEqual(new Array(200).fill(4096));
  });

  test('polls that hold nearly all slots do not hold up who waits for one', async () => {
    const { engine, kernel } = fakeEngine({ depth: 8 });
    const target = fakeTarget();
    const polls = Array.from({ length: 7 }, () =>
      engine.command(IOCB_CMD_POLL, target, 1, undefined, count, undefined),
    );
    const done = [0, 512].map((position) => read(engine, target, position, engine.pool.allocate(512)));
    while (kernel.inFlight.length < 8) await turn();
    kernel.complete(kernel.inFlight[7]!, 512);
    await done[0];
    while (kernel.inFlight.length < 8) await new Promise((resolve) => setTimeout(resolve, 1));
    kernel.completeAll();
    await Promise.all([...polls, ...done]);
  });

  test('requests beyond the depth wait, and go in order', async () => {
    const { engine, kernel } = fakeEngine({ depth: 2 });
    const target = fakeTarget();
    const done = Promise.all(
      Array.from({ length: 6 }, (_, i) => read(engine, target, i * 4096, engine.pool.allocate(4096))),
    );
    for (let waves = 0; waves < 3; waves++) {
      await turn();
      await turn();
      expect(kernel.inFlight).toHaveLength(2);
      kernel.completeAll();
    }
    await done;
    expect(kernel.history.map(({ position }) => position / 4096)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('a bad request fails alone, wherever it stands', async () => {
    for (const bad of [0, 1, 15, 31]) {
      const { engine, kernel } = fakeEngine();
      const target = fakeTarget();
      kernel.rule = (batch) => {
        const at = batch.findIndex(({ position }) => position === bad * 4096);
        return at === -1 ? undefined : at === 0 ? -EBADF : at;
      };
      const done = Promise.allSettled(
        Array.from({ length: 32 }, (_, i) => read(engine, target, i * 4096, engine.pool.allocate(4096))),
      );
      await turn();
      kernel.completeAll();
      const results = await done;
      expect(results.map(({ status }) => status === 'rejected')).toEqual(results.map((_, i) => i === bad));
      expect(results[bad]).toMatchObject({
        reason: { code: 'EBADF', syscall: 'read', path: '/fake', offset: bad * 4096, length: 4096 },
      });
    }
  });

  test('partial submits of every size lose nothing', async () => {
    for (let taken = 1; taken <= 32; taken++) {
      const { engine, kernel } = fakeEngine();
      kernel.rule = (batch) => Math.min(batch.length, taken);
      const target = fakeTarget();
      const done = Promise.all(
        Array.from({ length: 32 }, (_, i) => read(engine, target, i * 4096, engine.pool.allocate(4096))),
      );
      await turn();
      expect(kernel.inFlight).toHaveLength(32);
      kernel.completeAll(true);
      await done;
    }
  });

  test('a ring without room makes requests wait for a completion', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget({ submit: 'inline' });
    kernel.rule = (batch) =>
      kernel.inFlight.length >= 10 ? -EAGAIN : Math.min(batch.length, 10 - kernel.inFlight.length);
    const done = Promise.all(
      Array.from({ length: 40 }, (_, i) => read(engine, target, i * 4096, engine.pool.allocate(4096))),
    );
    while (kernel.history.length < 40) {
      await turn();
      expect(kernel.inFlight.length).toBeLessThanOrEqual(10);
      kernel.completeAll();
    }
    await turn();
    expect(await done).toEqual(new Array(40).fill(4096));
    expect(engine.stats().noRoom).toBeGreaterThan(0);
  });

  test('an idle engine does not keep the process alive, a busy one does', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget(), 0, engine.pool.allocate(512));
    expect(kernel.referenced).toBe(false);
    await turn();
    expect(kernel.referenced).toBe(true);
    kernel.completeAll();
    await done;
    expect(kernel.referenced).toBe(false);
  });
});

describe('what would wait', () => {
  test('a refusal sends the request off-thread without the flag, and the next ones after it', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const ways: boolean[] = [];
    for (let i = 0; i < 6; i++) {
      const done = read(engine, target, 0, engine.pool.allocate(512));
      await turn();
      const [first] = kernel.inFlight;
      if (!first!.offThread) {
        expect(first!.rwFlags & RWF_NOWAIT).toBe(RWF_NOWAIT);
        kernel.complete(first!, -EAGAIN);
        await turn();
        await turn();
      }
      ways.push(first!.offThread);
      expect(kernel.inFlight[0]).toMatchObject({ offThread: true, rwFlags: 0 });
      kernel.completeAll();
      await done;
    }
    // After the first refusal one attempt is skipped, after the next three are.
    expect(ways).toEqual([false, true, false, true, true, true]);
  });

  test('a file system without the flag is submitted to without it', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    kernel.rule = (batch) => (batch[0]!.rwFlags & RWF_NOWAIT ? -EOPNOTSUPP : undefined);
    const done = [
      read(engine, target, 0, engine.pool.allocate(512)),
      read(engine, target, 512, engine.pool.allocate(512)),
    ];
    await turn();
    await turn();
    expect(kernel.inFlight.map(({ rwFlags, offThread }) => [rwFlags, offThread])).toEqual([
      [0, false],
      [0, false],
    ]);
    kernel.completeAll();
    await Promise.all(done);
  });

  test('extending, appending and buffered writes go off-thread at once, reserved ones inline', async () => {
    const { engine, kernel } = fakeEngine();
    const offThread = async (target: Target, position: number): Promise<boolean> => {
      const done = write(engine, target, position, engine.pool.allocate(512));
      await turn();
      const [iocb] = kernel.inFlight;
      kernel.completeAll();
      await done;
      return iocb!.offThread;
    };
    const target = fakeTarget({ size: 4096 });
    expect(await offThread(target, 3584)).toBe(false);
    expect(await offThread(target, 4096)).toBe(true);
    // The file has grown by that.
    expect(await offThread(target, 4096)).toBe(false);
    expect(await offThread(fakeTarget({ append: true }), 0)).toBe(true);
    expect(await offThread(fakeTarget({ direct: false }), 0)).toBe(true);
    expect(await offThread(fakeTarget({ direct: false, storage: 'memory' }), 0)).toBe(false);
    expect(await offThread(fakeTarget({ submit: 'offload' }), 0)).toBe(true);
    expect(await offThread(fakeTarget({ submit: 'inline', size: 0 }), 0)).toBe(false);
  });

  test('where no thread can be made every request says so, and what waits for them goes on', async () => {
    const { engine, kernel } = fakeEngine();
    kernel.offloaded = -EAGAIN;
    const buffer = engine.pool.allocate(4096);
    const files = [fakeTarget({ submit: 'offload' }), fakeTarget({ submit: 'offload', append: true })];
    // Copies as well, for all of which there is no room at once.
    const views = Array.from({ length: 100 }, (_, i) => (i % 4 === 0 ? new Uint8Array(PART_BYTES) : buffer));
    const writes = views.map((view, i) => write(engine, files[i % 2]!, i * PART_BYTES, view));
    const syncs = files.map((target) => datasync(engine, target));
    const outcomes = Promise.allSettled(writes);
    for (let i = 0; i < 10; i++) await turn();
    expect(engine.stats()).toMatchObject({ queued: 0, inFlight: 2, failed: 100 });
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ reason: { code: 'EAGAIN', syscall: 'write' } });
    kernel.completeAll();
    await Promise.all(syncs);
    await Promise.all(files.map((target) => target.idle()));
    // The next one has a thread again.
    kernel.offloaded = 0;
    const later = write(engine, files[0]!, 0, buffer);
    while (kernel.inFlight.length === 0) await turn();
    kernel.completeAll();
    expect(await later).toBe(4096);
    await engine.close();
  });

  test.each(['auto', 'inline', 'offload'] as const)('appends go one after another, in order: %s', async (submit) => {
    const { engine, kernel } = fakeEngine({ depth: 16 });
    const target = fakeTarget({ append: true, submit });
    const done = Promise.all(Array.from({ length: 10 }, (_, i) => write(engine, target, 0, Buffer.alloc(i + 1))));
    const sizes: number[] = [];
    while (sizes.length < 10) {
      await turn();
      await turn();
      expect(kernel.inFlight.length).toBe(1);
      sizes.push(kernel.inFlight[0]!.nbytes);
      kernel.completeAll();
    }
    await done;
    expect(sizes).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test('an append that the kernel had no room for goes before those that came after it', async () => {
    const { engine, kernel } = fakeEngine({ depth: 16 });
    const target = fakeTarget({ append: true });
    const done = Promise.all([1, 2, 3].map((length) => write(engine, target, 0, Buffer.alloc(length))));
    await turn();
    await turn();
    // What a thread's io_submit answers comes as an event that says so (res2).
    kernel.complete(kernel.inFlight[0]!, -EAGAIN, 1);
    for (let appended = 0; appended < 3; ) {
      await turn();
      appended += kernel.inFlight.length;
      kernel.completeAll();
    }
    await done;
    expect(kernel.history.map(({ nbytes }) => nbytes)).toEqual([1, 1, 2, 3]);
  });

  test('an append goes whole, wherever its memory is, or another could come in between', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget({ append: true });
    const done: Promise<number>[] = [];
    for (const memory of [Buffer.alloc(700_000), engine.pool.allocate(700_000)]) {
      done.push(write(engine, target, 0, memory));
      await turn();
      await turn();
      expect(kernel.inFlight.map(({ nbytes }) => nbytes)).toEqual([700_000]);
      kernel.completeAll();
      await turn();
    }
    expect(await Promise.all(done)).toEqual([700_000, 700_000]);
  });

  test('of an append in parts nothing follows a part that was short', async () => {
    const { engine, kernel } = fakeEngine({ memory: 1 << 20 });
    const target = fakeTarget({ append: true });
    const done = write(engine, target, 0, Buffer.alloc(1 << 20));
    await turn();
    await turn();
    const { nbytes } = kernel.inFlight[0]!;
    expect(nbytes).toBeLessThan(1 << 20);
    kernel.complete(kernel.inFlight[0]!, 5000);
    expect(await done).toBe(5000);
    expect(kernel.history).toHaveLength(1);
  });

  test('a file whose submits sleep goes off-thread; one that is only slow does not', async () => {
    const stand = (ms: number): void => {
      for (const end = performance.now() + ms; performance.now() < end; );
    };
    for (const asleep of [true, false]) {
      const { engine, kernel } = fakeEngine();
      const target = fakeTarget();
      target.reads.flagOff = true;
      kernel.rule = () => {
        stand(2);
        if (asleep) kernel.sleeps++;
        return undefined;
      };
      const ways: boolean[] = [];
      for (let i = 0; i < 4; i++) {
        const done = read(engine, target, 0, engine.pool.allocate(512));
        await turn();
        ways.push(kernel.inFlight[0]!.offThread);
        kernel.completeAll();
        await done;
      }
      expect(ways).toEqual([false, false, asleep, asleep]);
    }
  });

  test('what makes the submit itself work goes off-thread: untouched memory once, and much of storage in memory', async () => {
    const offThread = async ({ engine, kernel }: Fake, target: Target, view: Uint8Array): Promise<boolean[]> => {
      const before = kernel.history.length;
      const done = read(engine, target, 0, view);
      while (kernel.inFlight.reduce((sum, { nbytes }) => sum + nbytes, 0) < view.length) await turn();
      kernel.completeAll();
      await done;
      return kernel.history.slice(before).map((iocb) => iocb.offThread);
    };
    const fake = fakeEngine();
    const view = fake.engine.pool.allocate(2 * PART_BYTES);
    expect(await offThread(fake, fakeTarget(), view)).toEqual([true, true]);
    expect(await offThread(fake, fakeTarget(), view)).toEqual([false, false]);
    expect(await offThread(fake, fakeTarget(), fake.engine.pool.allocate(4096))).toEqual([false]);
    const memory = { storage: 'memory', direct: false } as const;
    expect(await offThread(fake, fakeTarget(memory), view)).toEqual([true, true]);
    expect(await offThread(fake, fakeTarget(memory), view.subarray(0, 4096))).toEqual([false]);
  });

  test('with nowait a refusal is the answer', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget(), 0, engine.pool.allocate(512), { nowait: true });
    await turn();
    kernel.complete(kernel.inFlight[0]!, -EAGAIN);
    await expect(done).rejects.toMatchObject({ code: 'EAGAIN' });
    expect(kernel.history).toHaveLength(1);
  });
});

test('what one request was given, another that uses its record does not have', async () => {
  const { engine, kernel } = fakeEngine();
  const target = fakeTarget({ submit: 'inline' });
  const ask = async (options?: RequestOptions): Promise<unknown> => {
    const done = write(engine, target, 0, engine.pool.allocate(512), options);
    await turn();
    const [iocb] = kernel.inFlight;
    // Only a first request fails: an error must not stay either.
    kernel.complete(iocb!, options === undefined ? 512 : -EIO);
    const { rwFlags, reqprio } = iocb!;
    return { rwFlags, reqprio, written: await done.catch(() => 'failed') };
  };
  const plain = { rwFlags: 0, reqprio: 0, written: 512 };
  expect(await ask()).toEqual(plain);
  expect(await ask({ dsync: true, ioprio: 5, nowait: true })).toEqual({
    rwFlags: RWF_DSYNC | RWF_NOWAIT,
    reqprio: 5,
    written: 'failed',
  });
  expect(await ask()).toEqual(plain);
});

describe('large requests', () => {
  const WHOLE = 4 * PART_BYTES;

  test('that extend the file go whole: a second part could wait for the first', async () => {
    const { engine, kernel } = fakeEngine();
    const done = write(engine, fakeTarget({ size: 0 }), 0, engine.pool.allocate(2 * PART_BYTES));
    while (kernel.inFlight.length < 1) await turn();
    expect(kernel.inFlight.map(({ nbytes }) => nbytes)).toEqual([2 * PART_BYTES]);
    kernel.completeAll();
    expect(await done).toBe(2 * PART_BYTES);
  });

  test('through the page cache go in parts that meet between its pages, so that a loss of power tears no sector', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget({ direct: false });
    const view = engine.pool.allocate(2 * PART_BYTES);
    const done = write(engine, target, 4196, view);
    while (kernel.inFlight.length < 3) await turn();
    const parts = kernel.inFlight.map(({ position, nbytes }) => [position, nbytes]);
    expect(parts).toEqual([
      [4196, PART_BYTES - 100],
      [4096 + PART_BYTES, PART_BYTES],
      [4096 + 2 * PART_BYTES, 100],
    ]);
    expect(kernel.inFlight.map(({ buffer }) => buffer - view.byteOffset)).toEqual([
      0,
      PART_BYTES - 100,
      2 * PART_BYTES - 100,
    ]);
    kernel.completeAll();
    expect(await done).toBe(2 * PART_BYTES);
    // Direct I/O writes whole sectors.
    const direct = write(engine, fakeTarget(), 512, view);
    await turn();
    expect(kernel.inFlight.map(({ position }) => position)).toEqual([512, 512 + PART_BYTES]);
    kernel.completeAll();
    await direct;
  });

  test('go in parts of at most 512 KiB and come back as one', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget(), 4096, engine.pool.allocate(WHOLE));
    await turn();
    expect(kernel.inFlight.map(({ position, nbytes }) => [position, nbytes])).toEqual([
      [4096, PART_BYTES],
      [4096 + PART_BYTES, PART_BYTES],
      [4096 + 2 * PART_BYTES, PART_BYTES],
      [4096 + 3 * PART_BYTES, PART_BYTES],
    ]);
    kernel.completeAll(true);
    expect(await done).toBe(WHOLE);
  });

  test.each([
    ['the end of the file in the second part', [PART_BYTES, 1000, 0, 0], PART_BYTES + 1000],
    ['an error in the third part is a short transfer', [PART_BYTES, PART_BYTES, -EIO, PART_BYTES], 2 * PART_BYTES],
    ['a short part ends the transfer, whatever came after it', [PART_BYTES, 4097, PART_BYTES, -EIO], PART_BYTES + 4097],
  ])('%s', async (_name, results, total) => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget({ size: 0 }), 0, engine.pool.allocate(WHOLE));
    await turn();
    for (const [i, iocb] of [...kernel.inFlight].entries()) kernel.complete(iocb, results[i]!);
    expect(await done).toBe(total);
  });

  test('an error in the first part is the error of the whole', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget(), 0, engine.pool.allocate(WHOLE));
    await turn();
    for (const [i, iocb] of [...kernel.inFlight].entries()) kernel.complete(iocb, i === 0 ? -EIO : PART_BYTES);
    await expect(done).rejects.toMatchObject({ code: 'EIO', offset: 0, length: WHOLE });
  });

  test('a part that was cut short under NOWAIT goes on where it stopped', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget(), 0, engine.pool.allocate(8192));
    await turn();
    kernel.complete(kernel.inFlight[0]!, 4096);
    await turn();
    await turn();
    expect(kernel.inFlight[0]).toMatchObject({ position: 4096, nbytes: 4096, offThread: true });
    kernel.completeAll();
    expect(await done).toBe(8192);
  });
});

describe('a read that is short where the file was known to end', () => {
  test('goes on, for others may have extended the file', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget({ size: 4096 }), 0, engine.pool.allocate(16384));
    await turn();
    kernel.complete(kernel.inFlight[0]!, 4096);
    await turn();
    await turn();
    expect(kernel.inFlight[0]).toMatchObject({ position: 4096, nbytes: 12288, offThread: false });
    kernel.complete(kernel.inFlight[0]!, 12288);
    expect(await done).toBe(16384);
  });

  test('is over where the kernel has no more', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget({ size: 4096 }), 0, engine.pool.allocate(16384));
    await turn();
    kernel.complete(kernel.inFlight[0]!, 4096);
    await turn();
    await turn();
    kernel.complete(kernel.inFlight[0]!, 0);
    expect(await done).toBe(4096);
  });

  test('is over at once where no block ends', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget({ size: 100 }), 0, engine.pool.allocate(16384));
    await turn();
    kernel.complete(kernel.inFlight[0]!, 100);
    expect(await done).toBe(100);
  });
});

describe('order', () => {
  test('a sync waits for the writes requested earlier, and for no others', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const first = write(engine, target, 0, engine.pool.allocate(512));
    const sync = datasync(engine, target);
    const second = write(engine, target, 512, engine.pool.allocate(512));
    await turn();
    expect(kernel.inFlight.map(({ opcode }) => opcode)).toEqual([IOCB_CMD_PWRITE, IOCB_CMD_PWRITE]);
    const late = kernel.inFlight[1]!;
    kernel.complete(kernel.inFlight[0]!, 512);
    await first;
    await turn();
    await turn();
    expect(kernel.inFlight.map(({ opcode }) => opcode)).toEqual([IOCB_CMD_PWRITE, IOCB_CMD_FDSYNC]);
    kernel.complete(kernel.inFlight[1]!, 0);
    await sync;
    kernel.complete(late, 512);
    await second;
  });

  test('a later write that is done first does not let a sync go', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const first = write(engine, target, 0, engine.pool.allocate(512));
    const sync = datasync(engine, target);
    const second = write(engine, target, 512, engine.pool.allocate(512));
    await turn();
    const [early, late] = [...kernel.inFlight];
    kernel.complete(late!, 512);
    await second;
    await turn();
    await turn();
    expect(kernel.inFlight).toEqual([early]);
    kernel.completeAll();
    await first;
    await turn();
    await turn();
    expect(kernel.inFlight.map(({ opcode }) => opcode)).toEqual([IOCB_CMD_FDSYNC]);
    kernel.completeAll();
    await sync;
  });

  test('a write over an aborted one waits until that has landed', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const controller = new AbortController();
    const aborted = write(engine, target, 0, engine.pool.allocate(4096), { signal: controller.signal });
    await turn();
    const old = kernel.inFlight[0]!;
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    const over = write(engine, target, 2048, engine.pool.allocate(512));
    const beside = write(engine, target, 4096, engine.pool.allocate(512));
    await turn();
    expect(kernel.inFlight.map(({ position }) => position)).toEqual([0, 4096]);
    kernel.complete(old, 4096);
    await turn();
    await turn();
    expect(kernel.inFlight.map(({ position }) => position)).toEqual([4096, 2048]);
    kernel.completeAll();
    await Promise.all([over, beside]);
  });

  test('a write over one that went in parts and was aborted waits until the last of them has landed', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const controller = new AbortController();
    const aborted = write(engine, target, 0, engine.pool.allocate(4 * PART_BYTES), { signal: controller.signal });
    await turn();
    const parts = [...kernel.inFlight];
    expect(parts).toHaveLength(4);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ABORT_ERR' });
    const over = write(engine, target, 4 * PART_BYTES - 512, engine.pool.allocate(512));
    for (const part of parts) {
      await turn();
      expect(kernel.inFlight.some(({ nbytes }) => nbytes === 512)).toBe(false);
      kernel.complete(part, part.nbytes);
    }
    await turn();
    await turn();
    kernel.completeAll();
    expect(await over).toBe(512);
  });

  test('files take turns by bytes: large requests of one do not all go before a small one of another', async () => {
    const { engine, kernel } = fakeEngine();
    const flooded = fakeTarget();
    const quiet = fakeTarget();
    const large = Array.from({ length: 8 }, (_, i) => write(engine, flooded, i << 18, engine.pool.allocate(1 << 18)));
    const small = write(engine, quiet, 0, engine.pool.allocate(512));
    while (kernel.history.length < 9) await turn();
    expect(kernel.history.findIndex(({ fd }) => fd === quiet.fd)).toBe(1);
    kernel.completeAll();
    await Promise.all([...large, small]);
  });

  test('a flood on one file does not keep another waiting', async () => {
    const { engine, kernel } = fakeEngine({ depth: 8 });
    const flooded = fakeTarget();
    const quiet = fakeTarget();
    const flood = Array.from({ length: 500 }, (_, i) => read(engine, flooded, i * 512, engine.pool.allocate(512)));
    await turn();
    const single = read(engine, quiet, 0, engine.pool.allocate(512));
    let waves = 0;
    while (!kernel.history.some(({ fd }) => fd === quiet.fd)) {
      kernel.completeAll();
      await turn();
      await turn();
      waves++;
    }
    expect(waves).toBeLessThanOrEqual(2);
    while (engine.stats().inFlight > 0) {
      kernel.completeAll();
      await turn();
      await turn();
    }
    await Promise.all([...flood, single]);
  });
});

describe('ownership', () => {
  test('memory that a read fills belongs to it alone; memory that is written from may be in several', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const buffer = engine.pool.allocate(4096);
    const done = [write(engine, target, 0, buffer), write(engine, target, 4096, buffer)];
    await expect(read(engine, target, 0, buffer)).rejects.toMatchObject({ code: 'ERR_AIO_BUFFER_BUSY' });
    await turn();
    kernel.completeAll();
    await Promise.all(done);
    const reading = [
      read(engine, target, 0, buffer.subarray(0, 512)),
      read(engine, target, 0, buffer.subarray(512, 1024)),
    ];
    await expect(write(engine, target, 0, buffer)).rejects.toMatchObject({ code: 'ERR_AIO_BUFFER_BUSY' });
    await turn();
    kernel.completeAll();
    await Promise.all(reading);
  });

  test('a buffer disposed in flight is given back at its event, not before', async () => {
    const { engine, kernel } = fakeEngine();
    const free = engine.pool.freeBytes;
    const buffer = engine.pool.allocate(4096);
    const done = read(engine, fakeTarget(), 0, buffer);
    await turn();
    buffer[Symbol.dispose]();
    buffer[Symbol.dispose]();
    expect(engine.pool.freeBytes).toBe(free - 4096);
    kernel.completeAll();
    await done;
    expect(engine.pool.freeBytes).toBe(free);
    await expect(read(engine, fakeTarget(), 0, buffer)).rejects.toMatchObject({ code: 'ERR_AIO_BUFFER_DISPOSED' });
  });

  test('an aborted read keeps its slot and its memory until the event', async () => {
    const { engine, kernel } = fakeEngine();
    const controller = new AbortController();
    const buffer = engine.pool.allocate(4096);
    const done = read(engine, fakeTarget(), 0, buffer, { signal: controller.signal });
    await turn();
    controller.abort(new Error('enough'));
    await expect(done).rejects.toMatchObject({ name: 'AbortError', cause: { message: 'enough' } });
    expect(engine.stats().inFlight).toBe(1);
    await expect(read(engine, fakeTarget(), 0, buffer)).rejects.toMatchObject({ code: 'ERR_AIO_BUFFER_BUSY' });
    kernel.completeAll();
    await turn();
    expect(engine.stats()).toMatchObject({ inFlight: 0, aborted: 1 });
  });

  test.each(['auto', 'offload'] as const)(
    'a request that is aborted in the queue is never submitted, with submit: %s',
    async (submit) => {
      const { engine, kernel } = fakeEngine({ depth: 1 });
      const target = fakeTarget({ submit });
      const controller = new AbortController();
      const first = read(engine, target, 0, engine.pool.allocate(512));
      const second = read(engine, target, 512, engine.pool.allocate(512), { signal: controller.signal });
      await turn();
      controller.abort();
      await expect(second).rejects.toMatchObject({ code: 'ABORT_ERR' });
      kernel.completeAll();
      await first;
      await turn();
      expect(kernel.history).toHaveLength(1);
      expect(engine.stats()).toMatchObject({ queued: 0, inFlight: 0 });
    },
  );

  test('a poll that is aborted is cancelled in the kernel', async () => {
    const { engine, kernel } = fakeEngine();
    const controller = new AbortController();
    const done = engine.command(IOCB_CMD_POLL, fakeTarget(), 1, { signal: controller.signal }, count, undefined);
    await turn();
    controller.abort();
    await expect(done).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect(kernel.cancelled).toHaveLength(1);
    kernel.completeAll();
  });

  test('polls that the kernel does not cancel keep nothing else waiting when the context closes', async () => {
    const { engine, kernel } = fakeEngine();
    const controller = new AbortController();
    const target = fakeTarget();
    const poll = (options?: RequestOptions) =>
      outcomeOf(() => engine.command(IOCB_CMD_POLL, target, 1, options, count, undefined) as Promise<unknown>);
    const polls = [poll(), poll({ signal: controller.signal })];
    const reading = read(engine, target, 0, engine.pool.allocate(4096));
    await turn();
    controller.abort();
    // And one for which it has no room.
    kernel.rule = () => -EAGAIN;
    polls.push(poll());
    await turn();
    let closed = false;
    const closing = engine.close().then(() => {
      closed = true;
    });
    expect(await Promise.all(polls)).toEqual(['ERR_AIO_CONTEXT_CLOSED', 'ABORT_ERR', 'ERR_AIO_CONTEXT_CLOSED']);
    await turn();
    // The read has its memory until its event.
    expect([closed, kernel.destroyed]).toEqual([false, false]);
    kernel.complete(kernel.inFlight.find(({ opcode }) => opcode === IOCB_CMD_PREAD)!, 4096);
    expect(await reading).toBe(4096);
    await closing;
    expect(kernel.history).toHaveLength(3);
    expect(engine.stats()).toMatchObject({ queued: 0, inFlight: 0, inFlightBytes: 0 });
    await target.idle();
  });

  test('a poll that a callback aborts while its slice is being submitted is cancelled once the kernel has it', async () => {
    const { engine, kernel } = fakeEngine();
    const controller = new AbortController();
    const [bad, watched] = [fakeTarget({ submit: 'inline' }), fakeTarget()];
    kernel.rule = ([first]) => (first!.opcode === IOCB_CMD_PREAD ? -EBADF : undefined);
    const view = engine.pool.allocate(4096);
    engine.transfer(IOCB_CMD_PREAD, bad, view, 0, 4096, 0, undefined, count, view, () => controller.abort());
    const poll = engine.command(IOCB_CMD_POLL, watched, 1, { signal: controller.signal }, count, undefined);
    await expect(poll).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect(kernel.calls).toEqual([2, 1]);
    expect(kernel.inFlight).toHaveLength(1);
    expect(kernel.cancelled).toEqual(kernel.inFlight);
    kernel.completeAll();
  });

  test('what the kernel had no room for is tried again while nothing but a poll is in flight', async () => {
    const { engine, kernel } = fakeEngine();
    const poll = engine.command(IOCB_CMD_POLL, fakeTarget(), 1, undefined, count, undefined);
    await turn();
    let refusals = 3;
    kernel.rule = () => (refusals-- > 0 ? -EAGAIN : undefined);
    const done = read(engine, fakeTarget({ submit: 'inline' }), 0, engine.pool.allocate(4096));
    while (kernel.inFlight.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    kernel.completeAll();
    await Promise.all([poll, done]);
  });

  test('what the kernel had no room for is tried again where all else completed within that submit', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget({ submit: 'inline' });
    const first = read(engine, target, 0, engine.pool.allocate(4096));
    await turn();
    kernel.rule = () => {
      kernel.rule = () => undefined;
      kernel.complete(kernel.inFlight[0]!, 4096);
      return -EAGAIN;
    };
    const second = read(engine, target, 4096, engine.pool.allocate(4096));
    await first;
    while (kernel.inFlight.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    kernel.completeAll();
    await second;
  });

  test('memory from elsewhere is copied, and waits for room where there is none', async () => {
    const { engine, kernel } = fakeEngine({ memory: 1 << 20 });
    const target = fakeTarget();
    const source = Buffer.alloc(600_000, 7);
    const done = [write(engine, target, 0, source), write(engine, target, 2 ** 20, source)];
    let written = 0;
    while (written < 1_200_000) {
      await turn();
      await turn();
      for (const iocb of [...kernel.inFlight]) {
        expect(kernel.bytesOf(iocb).every((byte) => byte === 7)).toBe(true);
        written += iocb.nbytes;
        kernel.complete(iocb, iocb.nbytes);
      }
    }
    expect(await Promise.all(done)).toEqual([600_000, 600_000]);
    expect(engine.stats().copyWaits).toBeGreaterThan(0);
  });

  test('a refused request does not keep the room to copy from those that stand before it', async () => {
    // A quarter of the memory is for copies, and each request wants all of that.
    const { engine, kernel } = fakeEngine({ memory: 65536 });
    const target = fakeTarget();
    const done = Promise.all([0, 1, 2].map((i) => read(engine, target, i * 16384, Buffer.alloc(16384))));
    for (let turns = 0; turns < 20; turns++) {
      await turn();
      for (const iocb of [...kernel.inFlight]) kernel.complete(iocb, iocb.offThread ? iocb.nbytes : -EAGAIN);
    }
    expect(engine.stats()).toMatchObject({ queued: 0, inFlight: 0, refusedAgain: 2 });
    expect(await done).toEqual([16384, 16384, 16384]);
  });

  test('what a read brings is copied to where it was wanted, and no more than it brought', async () => {
    const { engine, kernel } = fakeEngine();
    const into = Buffer.alloc(1024, 1);
    const done = read(engine, fakeTarget({ size: 100 }), 0, into);
    await turn();
    kernel.bytesOf(kernel.inFlight[0]!).fill(9);
    kernel.complete(kernel.inFlight[0]!, 100);
    expect(await done).toBe(100);
    expect(into.subarray(0, 100).every((byte) => byte === 9)).toBe(true);
    expect(into.subarray(100).every((byte) => byte === 1)).toBe(true);
  });
});

describe('completions', () => {
  test('a callback that throws loses none of the others', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const seen: number[] = [];
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => thrown.push(error.message));
    for (let i = 0; i < 10; i++) {
      const callback = (): void => {
        seen.push(i);
        if (i % 3 === 0) throw new Error(`callback ${i}`);
      };
      const view = engine.pool.allocate(512);
      engine.transfer(IOCB_CMD_PREAD, target, view, 0, 512, i * 512, undefined, count, view, callback);
    }
    await turn();
    kernel.completeAll();
    await turn();
    await turn();
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(thrown).toEqual(['callback 0', 'callback 3', 'callback 6', 'callback 9']);
  });

  test('what the first callbacks ask for is with the kernel before the last are called', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const views = Array.from({ length: 32 }, () => engine.pool.allocate(512));
    const submitted: number[] = [];
    const done = views.map((view, i) =>
      read(engine, target, i * 512, view).then(() => {
        submitted.push(kernel.history.length);
        return read(engine, target, i * 512, view);
      }),
    );
    await turn();
    kernel.completeAll();
    await turn();
    expect(submitted.slice(0, 8)).toEqual(new Array(8).fill(32));
    expect(submitted.length).toBe(32);
    for (const so of submitted.slice(8)) expect(so).toBeGreaterThanOrEqual(40);
    expect(engine.stats().wakes).toBe(1);
    kernel.completeAll();
    await Promise.all(done);
  });

  test('the submits between them are all of one turn, and have its budget of time', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const views = Array.from({ length: 32 }, () => engine.pool.allocate(512));
    const done = views.map((view, i) =>
      read(engine, target, i * 512, view).then(() => read(engine, target, i * 512, view)),
    );
    await turn();
    kernel.completeAll();
    kernel.rule = () => {
      const until = performance.now() + 0.4;
      while (performance.now() < until);
      return undefined;
    };
    const before = engine.stats().yielded;
    await turn();
    await turn();
    expect(kernel.inFlight.length).toBe(32);
    expect(engine.stats().yielded).toBeGreaterThan(before);
    kernel.completeAll();
    await Promise.all(done);
  });

  test('where requests complete in the submit they do not wake the loop, and one that does not is found all the same', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const view = engine.pool.allocate(512);
    kernel.prompt = true;
    for (let i = 0; i < 20; i++) await read(engine, target, 0, view);
    expect(kernel.history.map(({ signals }) => signals)).toEqual([...Array(8).fill(true), ...Array(12).fill(false)]);
    expect(engine.stats().wakes).toBe(0);

    kernel.prompt = false;
    const late = read(engine, target, 0, view);
    const poll = engine.command(IOCB_CMD_POLL, target, 1, undefined, count, undefined) as Promise<number>;
    await turn();
    expect(kernel.history.slice(-2).map(({ signals }) => signals)).toEqual([false, true]);
    kernel.complete(kernel.inFlight[0]!, 512);
    expect(await late).toBe(512);
    kernel.completeAll();
    await poll;
    const after = read(engine, target, 0, view);
    await turn();
    expect(kernel.history.at(-1)!.signals).toBe(true);
    kernel.completeAll();
    await after;
  });

  test('what does not wake the loop and is late is found after a long time too, and keeps the loop alive meanwhile', async () => {
    const { engine, kernel } = fakeEngine();
    const view = engine.pool.allocate(512);
    kernel.prompt = true;
    for (let i = 0; i < 9; i++) await read(engine, fakeTarget(), 0, view);
    kernel.prompt = false;
    const late = read(engine, fakeTarget(), 0, view);
    await new Promise((resolve) => setTimeout(resolve, 20));
    kernel.complete(kernel.inFlight[0]!, 512);
    expect(await late).toBe(512);
  });

  test('a poll beside it, which may never complete, does not make it wait for a timer; a sync does', async () => {
    const endPause = holdPauses();
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const view = engine.pool.allocate(512);
    let settled = 0;
    /** Completes a read that does not wake the loop; returns whether it was found. */
    const completeUnheard = async (other: () => Promise<unknown> | undefined): Promise<boolean> => {
      kernel.prompt = true;
      for (let i = 0; i < 9; i++) await read(engine, target, 0, view);
      kernel.prompt = false;
      const before = settled;
      read(engine, target, 0, view).then(() => settled++);
      other();
      await turn();
      kernel.complete(kernel.inFlight[0]!, 512);
      await turn();
      return settled > before;
    };
    expect(await completeUnheard(() => engine.command(IOCB_CMD_POLL, target, 1, undefined, count, undefined))).toBe(
      true,
    );
    kernel.completeAll();
    await turn();
    expect(await completeUnheard(() => datasync(engine, target))).toBe(false);
    endPause();
    await turn();
    expect(settled).toBe(2);
    kernel.completeAll();
    await turn();
    expect(engine.stats()).toMatchObject({ inFlight: 0, completedByWake: 4, completedInline: 18 });
  });

  test.each([
    ['of no slot', (data: bigint) => data + 5000n, (obj: bigint) => obj],
    ['of an earlier generation', (data: bigint) => data - (1n << 32n), (obj: bigint) => obj],
    ['of another iocb', (data: bigint) => data, (obj: bigint) => obj + 64n],
  ])('an event %s poisons the context', async (_name, data, obj) => {
    const { engine, kernel } = fakeEngine();
    const warned = new Promise((resolve) => process.once('warning', resolve));
    const done = read(engine, fakeTarget(), 0, engine.pool.allocate(512));
    await turn();
    const [iocb] = kernel.inFlight;
    kernel.post(data(iocb!.data), obj(0x5500_0000_0000n + BigInt(iocb!.at)), 512);
    await expect(done).rejects.toMatchObject({ code: 'ERR_AIO_CORRUPTED' });
    await expect(read(engine, fakeTarget(), 0, engine.pool.allocate(512))).rejects.toMatchObject({
      code: 'ERR_AIO_CORRUPTED',
    });
    expect(await warned).toMatchObject({ code: 'ERR_AIO_CORRUPTED' });
    expect(kernel.destroyed).toBe(true);
    await engine.close();
  });

  test('a poisoned context rejects everything, whatever a program has in the place of emitWarning', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget(), 0, engine.pool.allocate(512));
    await turn();
    const spy = vi.spyOn(process, 'emitWarning').mockImplementation(() => {
      throw new Error('on purpose');
    });
    onTestFinished(() => spy.mockRestore());
    const thrown = caught();
    kernel.post(12345n, 0n, 512);
    await expect(done).rejects.toMatchObject({ code: 'ERR_AIO_CORRUPTED' });
    await engine.close();
    expect(thrown).toEqual(['on purpose']);
  });

  test('a context that is closing when it is poisoned closes all the same', async () => {
    const { engine, kernel } = fakeEngine();
    const warned = new Promise((resolve) => process.once('warning', resolve));
    const done = read(engine, fakeTarget(), 0, engine.pool.allocate(512));
    await turn();
    const closed = engine.close();
    kernel.post(12345n, 0n, 512);
    await expect(done).rejects.toMatchObject({ code: 'ERR_AIO_CORRUPTED' });
    await warned;
    await closed;
  });
});

describe('callbacks that run ticks, or let the loop turn,', () => {
  /** Runs the ticks, as packages do that wait for something without returning. */
  const runTicks = (process as unknown as { _tickCallback(): void })._tickCallback;

  /** 16 requests that each make another when they are over, `left` times in all, and then call `within`. Resolves to all answers. */
  function chains(engine: Engine, left: number, within: () => void): Promise<unknown[]> {
    const target = fakeTarget();
    const answers: unknown[] = [];
    return new Promise((resolve) => {
      const next = (view: Uint8Array): void => {
        engine.transfer(IOCB_CMD_PREAD, target, view, 0, 512, 0, undefined, count, view, (error, bytes) => {
          answers.push(error ?? bytes);
          if (--left >= 16) next(view);
          else if (left === 0) resolve(answers);
          within();
        });
      };
      for (let i = 0; i < 16; i++) next(engine.pool.allocate(512));
    });
  }

  test.each([true, false])('lose no completion; what they submit has completed at once: %s', async (prompt) => {
    const { engine, kernel } = fakeEngine();
    const done = chains(engine, 500, runTicks);
    await turn();
    kernel.prompt = prompt;
    for (let i = 0; i < 200; i++) {
      kernel.completeAll();
      await turn();
    }
    expect(await done).toEqual(new Array(500).fill(512));
    expect(engine.stats()).toMatchObject({ inFlight: 0, queued: 0 });
  });

  test('lose no completion where others come meanwhile', async () => {
    const { engine, kernel } = fakeEngine();
    let depth = 0;
    const done = chains(engine, 500, () => {
      if (depth === 3) return;
      depth++;
      runTicks();
      if (kernel.inFlight.length > 0) kernel.complete(kernel.inFlight.at(-1)!, 512);
      kernel.turnNow();
      depth--;
    });
    await turn();
    for (let i = 0; i < 200; i++) {
      kernel.completeAll();
      await turn();
    }
    expect(await done).toEqual(new Array(500).fill(512));
    expect(engine.stats()).toMatchObject({ inFlight: 0, queued: 0 });
  });

  test('have no other request aborted than those of the signal', async () => {
    const { engine, kernel } = fakeEngine();
    const target = fakeTarget();
    const controller = new AbortController();
    const { signal } = controller;
    const views = Array.from({ length: 3 }, () => engine.pool.allocate(512));
    const answers: unknown[] = [];
    const begin = (view: Uint8Array, then: () => void, options?: RequestOptions): void => {
      engine.transfer(IOCB_CMD_PREAD, target, view, 0, 512, 0, options, count, view, (error) => {
        answers.push((error as { code?: string } | null)?.code);
        then();
      });
    };
    // The first to be aborted lets the second complete, and another request begin, which gets the record of the second.
    kernel.prompt = true;
    begin(
      views[0]!,
      () => {
        runTicks();
        kernel.prompt = false;
        begin(views[2]!, () => {});
        runTicks();
      },
      { signal },
    );
    begin(views[1]!, () => {}, { signal });
    controller.abort();
    await turn();
    kernel.completeAll();
    await turn();
    expect(answers).toEqual(['ABORT_ERR', undefined, undefined]);
    expect(engine.stats()).toMatchObject({ inFlight: 0, queued: 0, aborted: 1 });
  });
});

describe('a stack that overflows amid a request', () => {
  type Ask = (engine: Engine, target: Target, view: Uint8Array, callback: (error: Error | null) => void) => void;
  const ask =
    (op: number, options?: RequestOptions): Ask =>
    (engine, target, view, callback) => {
      engine.transfer(op, target, view, 0, view.byteLength, 0, options, count, view, callback);
    };
  const kinds: [string, Ask, number][] = [
    ['read', ask(IOCB_CMD_PREAD), 512],
    ['read of pages', ask(IOCB_CMD_PREAD), 8192],
    ['read in parts', ask(IOCB_CMD_PREAD), PART_BYTES * 2],
    ['read with a signal', ask(IOCB_CMD_PREAD, { signal: new AbortController().signal }), 512],
    ['write', ask(IOCB_CMD_PWRITE), 512],
    [
      'sync',
      (engine, target, _view, callback) => {
        engine.command(IOCB_CMD_FDSYNC, target, 0, undefined, count, callback);
      },
      512,
    ],
  ];

  const LEVELS = 60;

  /** Calls this at the end of the stack and at each of the levels above it; where that is depends on the words that a level takes. */
  function atTheEnd(words: number, call: (i: number) => void): void {
    let left = LEVELS;
    const deep = (...padding: number[]): void => {
      try {
        deep(...padding);
      } catch {}
      if (left > 0) call(--left);
    };
    deep(...new Array<number>(words).fill(0));
  }

  test.each(kinds)('fails that one alone: %s', async (_name, ask, bytes) => {
    const { engine, kernel } = fakeEngine({ memory: 128 << 20 });
    const target = fakeTarget();
    const { freeBytes } = engine.stats();
    const views = Array.from({ length: LEVELS + 1 }, () => engine.pool.allocate(bytes));
    let made = 0;
    let answers = 0;
    const answered = (error: Error | null): void => {
      if (error === null || error instanceof RangeError) answers++;
    };
    const attempt = (i: number): void => {
      try {
        ask(engine, target, views[i]!, answered);
        made++;
      } catch {}
    };
    const settleAll = async (): Promise<void> => {
      for (let i = 0; i < 500 && engine.stats().queued + engine.stats().inFlight > 0; i++) {
        await turn();
        kernel.completeAll();
      }
      expect(engine.stats()).toMatchObject({ queued: 0, inFlight: 0 });
    };
    // What is not compiled yet needs more of the stack than is there.
    attempt(0);
    await settleAll();
    for (let words = 0; words < 32; words++) {
      // In every other round the next submit is scheduled already, which takes the most of the stack.
      if (words % 2 === 1) attempt(LEVELS);
      atTheEnd(words >> 1, attempt);
      await settleAll();
    }
    expect(made).toBeGreaterThan(500);
    expect(answers).toBe(made);
    expect(target.open).toBe(0);
    for (const view of views) view[Symbol.dispose]();
    expect(engine.stats().freeBytes).toBe(freeBytes);
    await engine.close();
  });
});

test('what is thrown amid the completions loses none of the others, and is thrown on its own', async () => {
  const { engine, kernel } = fakeEngine();
  const target = fakeTarget();
  const failing = (): never => {
    throw new Error('on purpose');
  };
  const shapes = [count, failing, count, failing, count];
  const settled = shapes.map((shape) => {
    const view = engine.pool.allocate(512);
    return engine.transfer(IOCB_CMD_PREAD, target, view, 0, 512, 0, undefined, shape, undefined, undefined);
  });
  await turn();
  const thrown = caught();
  kernel.completeAll();
  expect(await Promise.all([0, 2, 4].map((i) => settled[i]))).toEqual([512, 512, 512]);
  await turn();
  expect(thrown).toEqual(['on purpose', 'on purpose']);
  expect(engine.stats()).toMatchObject({ inFlight: 0 });
});

describe('closing', () => {
  test('waits for what was requested and refuses what comes later', async () => {
    const { engine, kernel } = fakeEngine();
    const done = read(engine, fakeTarget(), 0, engine.pool.allocate(512));
    const closed = engine.close();
    await expect(read(engine, fakeTarget(), 0, engine.pool.allocate(512))).rejects.toMatchObject({
      code: 'ERR_AIO_CONTEXT_CLOSED',
    });
    await turn();
    expect(kernel.destroyed).toBe(false);
    kernel.completeAll();
    expect(await done).toBe(512);
    await closed;
    expect(kernel.destroyed).toBe(true);
    await engine.close();
  });
});
