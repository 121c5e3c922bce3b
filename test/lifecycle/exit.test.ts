// Whatever a process or a worker is doing when it ends, and however it ends: no crash, no hang, no write into freed memory, and the
// kernel's quota comes back.
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AioContext } from '../../src/index.ts';
import { type ChildResult, patience, runNode } from '../support/child.ts';
import { fuseSkip, withFuse } from '../support/fuse.ts';
import { aioMaxNr, aioNr, eventually, othersHaveContexts } from '../support/proc.ts';
import { scratchFolder } from '../support/scratch.ts';

const states = ['idle', 'queued', 'reads', 'writes', 'copies', 'polls', 'offthread', 'opening', 'closing'] as const;
const ends = {
  main: ['exit', 'throw', 'SIGTERM', 'SIGKILL', 'natural'],
  worker: ['exit', 'throw', 'SIGTERM', 'SIGKILL', 'natural', 'terminate', 'spin', 'mainExit'],
} as const;

type State = (typeof states)[number];
type End = (typeof ends)['worker'][number];

interface Cell {
  where: 'main' | 'worker';
  state: State;
  end: End;
  contexts: number;
}

/** The first line that a victim prints. */
interface Ready {
  pending: number;
  contexts: number;
}

/** The second: what the main thread finds when its worker has ended. */
interface Left {
  exitCode: number;
  error?: string;
  contexts: number;
  clean: boolean;
}

const { KAIO_LONG, KAIO_SEED = '1' } = process.env;
const RUNS = KAIO_LONG === undefined ? 1 : 25;
/** Where a process takes seconds to begin, one pair of a state and an end in so many; KAIO_SEED says which. */
const SHARE = patience === 1 ? 1 : 7;
/** What a victim's contexts are made for. Those of other processes are smaller, or do not stay. */
const QUOTA = 8192;
const SLOW_WRITE_MS = 200;

const folder = scratchFolder();
let slow = '';
let unmount: (() => void) | undefined;

beforeAll(async () => {
  for (const name of ['read', 'write']) writeFileSync(`${folder}/${name}`, Buffer.alloc(32 * 1024 * 1024, 0xaa));
  if (fuseSkip() !== false) return;
  await new Promise<void>((mounted, failed) => {
    const held = withFuse(async ({ dir, setRules }) => {
      slow = dir;
      setRules([{ operation: 'write', delayMs: SLOW_WRITE_MS }]);
      mounted();
      await new Promise<void>((resolve) => {
        unmount = resolve;
      });
    });
    held.catch(failed);
  });
});

afterAll(() => {
  unmount?.();
});

async function die(cell: Cell): Promise<void> {
  const files = { read: `${folder}/read`, write: `${folder}/write`, slow };
  // Other tests may have it all for a moment.
  expect(await eventually(() => aioMaxNr() - aioNr() > 2 * QUOTA), 'others have the quota').toBe(true);
  const before = aioNr();
  const child = await runNode(new URL('victim.js', import.meta.url), { args: [JSON.stringify({ ...cell, files })] });
  expect(child.timedOut, `it hangs: ${child.stdout}${child.stderr}`).toBe(false);
  const [ready, left] = child.stdout.split('\n', 2).map((line) => (line === '' ? undefined : JSON.parse(line)));
  expectState(cell, ready as Ready | undefined, child);
  if (endsProcess(cell)) expectProcessEnd(cell, child);
  else expectWorkerEnd(cell, left as Left | undefined, child);
  // What other tests have taken meanwhile looks the same, and ends after a while.
  const back = (): boolean => aioNr() < before + QUOTA / 2;
  if (!(await eventually(back)) && othersHaveContexts())
    await eventually(() => back() || !othersHaveContexts(), 30_000);
  expect(back(), 'the quota is not back').toBe(true);
}

function endsProcess({ where, end }: Cell): boolean {
  return where === 'main' || end === 'SIGTERM' || end === 'SIGKILL' || end === 'mainExit';
}

/** The victim really was in that state: or what follows would prove nothing. */
function expectState({ state, contexts }: Cell, ready: Ready | undefined, child: ChildResult): void {
  expect(ready, `it never got ready: ${child.stderr}`).toBeDefined();
  expect(ready?.contexts).toBe(contexts);
  if (state !== 'idle') expect(ready?.pending).toBeGreaterThan(0);
}

function expectProcessEnd({ end }: Cell, { code, signal, stderr }: ChildResult): void {
  const codes: Partial<Record<End, number>> = { exit: 7, throw: 1, natural: 0, mainExit: 7 };
  if (end === 'SIGTERM' || end === 'SIGKILL') expect({ code, signal }, stderr).toEqual({ code: null, signal: end });
  else expect({ code, signal }, stderr).toEqual({ code: codes[end], signal: null });
  // An uncaught error is all that anybody may say.
  if (end === 'throw') expect(stderr).toContain('on purpose');
  else expect(stderr).toBe('');
}

function expectWorkerEnd({ end }: Cell, left: Left | undefined, { code, signal, stderr }: ChildResult): void {
  expect({ code, signal }, stderr).toEqual({ code: 0, signal: null });
  const exitCode = end === 'exit' ? 7 : end === 'natural' ? 0 : 1;
  expect(left).toEqual({ exitCode, contexts: 0, clean: true, ...(end === 'throw' ? { error: 'on purpose' } : {}) });
  expect(stderr).toBe('');
}

function stateSkip(state: State): string | false {
  if (state === 'polls' && !('poll' in AioContext.prototype)) return 'this build has no context.poll';
  return state === 'offthread' && fuseSkip();
}

/** The pairs of a share go along the diagonals of their table: each has all ends, and with seven seeds in a row there are all pairs. */
function cells(contexts: number, which: readonly State[]): Cell[] {
  const places = ['main', 'worker'] as const;
  return places.flatMap((where) =>
    which.flatMap((state, row) =>
      ends[where].flatMap((end, column) =>
        (row + column + Number(KAIO_SEED)) % SHARE === 0 ? [{ where, state, end, contexts } satisfies Cell] : [],
      ),
    ),
  );
}

for (const cell of [...cells(1, states), ...cells(8, ['reads'])]) {
  const { where, state, end, contexts } = cell;
  for (let run = 1; run <= RUNS; run++) {
    test(`${where}, ${contexts} x ${state}: ${end}${RUNS > 1 ? `, run ${run}` : ''}`, async ({ skip }) => {
      const reason = stateSkip(state);
      skip(reason !== false, String(reason));
      await die(cell);
    });
  }
}

if (SHARE > 1) {
  test('the other pairs of a state and an end', ({ skip }) => {
    skip(true, `this machine is emulated and takes one pair in ${SHARE}; another KAIO_SEED takes others`);
  });
}
