// Random requests, made of a real FileHandle and of an AioFile: results and contents must be equal, wherever they begin and end.
import { promises as fs, readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import type { AioContext, AioFile } from '../../src/index.ts';
import { Random } from './random.ts';

/** Longest file that the requests make, in bytes: some blocks and pages, not too many to compare. */
const MOST = 40_000;

const place = fc.nat(MOST);
/** Lengths of all kinds: single bytes, around a block and a page, anything. */
const size = fc.oneof(
  fc.nat(9),
  fc.integer({ min: 500, max: 520 }),
  fc.integer({ min: 4090, max: 4100 }),
  fc.nat(12_000),
);
const aligned = fc.record({ at: fc.nat(70).map((n) => n * 512), bytes: fc.nat(12).map((n) => n * 512) });
const anywhere = fc.record({ at: fc.option(place), bytes: size });
const range = fc.oneof({ weight: 3, arbitrary: anywhere }, { weight: 1, arbitrary: aligned });
const seed = fc.nat();

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read'), range, pool: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write'), range, seed, pool: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('readv'), range, cuts: fc.array(size, { maxLength: 4 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('writev'), range, cuts: fc.array(size, { maxLength: 4 }), seed }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('text'), range, seed }) },
  // Neighbours at once: none may touch what the others write.
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('crowd'),
      at: place,
      cuts: fc.array(size, { minLength: 2, maxLength: 12 }),
      seed,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('readFile') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('writeFile', 'appendFile'), bytes: size, seed }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate'), at: place }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('stat', 'stat', 'stat', 'stat', 'stat', 'datasync', 'sync') }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function bytesOf(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  new Random(seed).fill(bytes);
  return bytes;
}

/** Pieces of memory, one after another. */
function cut(memory: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const bytes of cuts) {
    pieces.push(memory.subarray(from, Math.min(from + bytes, memory.length)));
    from = Math.min(from + bytes, memory.length);
  }
  return [...pieces, memory.subarray(from)];
}

interface Twin {
  file: AioFile;
  /** Memory of the kind that the case asks for. */
  memory: (bytes: Buffer, pool: boolean) => Buffer;
  /** Positions only: an append does not leave both where the next read begins. */
  appends: boolean;
}

/** Makes one request of one of the two. Resolves to what can be compared. */
async function carryOut(twin: Twin, step: Step): Promise<unknown> {
  const { file, appends } = twin;
  const at = 'range' in step ? (step.range.at ?? (appends && step.kind.startsWith('read') ? 0 : null)) : 0;
  switch (step.kind) {
    case 'read': {
      const { bytesRead, buffer } = await file.read(
        twin.memory(Buffer.alloc(step.range.bytes + 3, 7), step.pool),
        2,
        step.range.bytes,
        at,
      );
      return { bytesRead, bytes: buffer.toString('latin1') };
    }
    case 'write': {
      const memory = twin.memory(bytesOf(step.seed, step.range.bytes), step.pool);
      return (await file.write(memory, 0, step.range.bytes, at)).bytesWritten;
    }
    case 'readv': {
      const memory = Buffer.alloc(step.range.bytes, 7);
      const { bytesRead } = await file.readv(cut(memory, step.cuts), at as number);
      return { bytesRead, bytes: memory.toString('latin1') };
    }
    case 'writev':
      return (await file.writev(cut(bytesOf(step.seed, step.range.bytes), step.cuts), at as number)).bytesWritten;
    case 'text':
      return (await file.write(bytesOf(step.seed, step.range.bytes).toString('latin1'), at)).bytesWritten;
    case 'crowd': {
      if (appends) return undefined;
      let from = step.at;
      const writes = cut(
        bytesOf(
          step.seed,
          step.cuts.reduce((sum, bytes) => sum + bytes, 0),
        ),
        step.cuts,
      ).map((piece) => {
        from += piece.length;
        return file.write(piece, 0, piece.length, from - piece.length);
      });
      return (await Promise.all(writes)).map(({ bytesWritten }) => bytesWritten);
    }
    case 'readFile':
      return appends ? undefined : await file.readFile('latin1');
    case 'writeFile':
    case 'appendFile':
      return await file[step.kind](bytesOf(step.seed, step.bytes));
    case 'truncate':
      return await file.truncate(step.at);
    case 'stat':
      return (await file.stat()).size;
    default:
      return await file[step.kind as 'sync']();
  }
}

/** How it ended, the error included. */
async function outcomeOf(twin: Twin, step: Step): Promise<unknown> {
  try {
    return await carryOut(twin, step);
  } catch (error) {
    return (error as { code?: string }).code ?? error;
  }
}

/** Makes `requests` random requests of both, in runs of up to 100 on files of their own; fails where they differ. Resolves to how many. */
export async function compareTwins(
  context: AioContext,
  folder: string,
  direct: boolean,
  requests: number,
  seed?: number,
): Promise<number> {
  const paths = [`${folder}/theirs`, `${folder}/ours`] as const;
  let made = 0;
  const property = fc.asyncProperty(
    fc.constantFrom('r+', 'w+', 'a+'),
    fc.nat(MOST),
    fc.array(step, { minLength: 60, maxLength: 100, size: 'max' }),
    async (flags, length, steps) => {
      for (const path of paths) writeFileSync(path, bytesOf(5, length));
      const theirs = await fs.open(paths[0], flags);
      const ours = await context.open(paths[1], flags, { direct });
      const pool: Disposable[] = [];
      const fromPool = (bytes: Buffer): Buffer => {
        const memory = context.allocate(Math.max(bytes.length, 1));
        pool.push(memory);
        memory.set(bytes);
        return memory.subarray(0, bytes.length);
      };
      const appends = flags === 'a+';
      try {
        for (const [i, one] of steps.entries()) {
          made++;
          const expected = await outcomeOf(
            { file: theirs as unknown as AioFile, memory: (bytes) => bytes, appends },
            one,
          );
          const actual = await outcomeOf(
            { file: ours, memory: (bytes, wanted) => (wanted ? fromPool(bytes) : bytes), appends },
            one,
          );
          for (const memory of pool.splice(0)) memory[Symbol.dispose]();
          if (show(expected) !== show(actual))
            throw new Error(`step ${i}, ${JSON.stringify(one)}: ${show(actual)} and not ${show(expected)}`);
        }
        if (!readFileSync(paths[0]).equals(readFileSync(paths[1]))) throw new Error('the contents differ');
      } finally {
        await theirs.close();
        await ours.close();
      }
    },
  );
  await fc.assert(property, {
    numRuns: Math.ceil(requests / 80),
    endOnFailure: false,
    ...(seed === undefined ? {} : { seed }),
  });
  return made;
}

const show = (value: unknown): string => JSON.stringify(value) ?? 'undefined';
