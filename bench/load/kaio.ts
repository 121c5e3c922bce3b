import { AioContext, type AioFile, type AioStats } from 'kaio';
import type { Counters, TrialSpec } from '../protocol.ts';
import { type CallbackRead, callbackLoad, type Load, type Place, placeOf, promiseLoad } from './load.ts';

type Close = () => Promise<void>;
type SubmitMode = 'auto' | 'inline' | 'offload';

/** kaio with one context and one file. */
export async function kaioLoad(spec: TrialSpec, style: 'promise' | 'callback', submit: SubmitMode): Promise<Load> {
  const { depth, bytes, path } = spec;
  const memory = Math.max(64 * 1024 * 1024, depth * bytes * 2);
  const context = new AioContext({ depth: spec.extra?.contextDepth ?? Math.max(depth, 128), memory });
  const file = await context.open(path, 'r', { submit });
  const places = Array.from({ length: depth }, () => placeOf(context.allocate(bytes)));
  const close = async (): Promise<void> => {
    await context.close();
  };
  const load = style === 'promise' ? byPromise(spec, places, [file], close) : byCallback(spec, places, [file], close);
  return { ...load, counters: () => countersOf(context.stats()) };
}

/** The two ways to read through AioFiles, each in its turn; the fake kernel's files go the same ways. */
export function byPromise(spec: TrialSpec, places: readonly Place[], files: readonly AioFile[], close: Close): Load {
  const { bytes } = spec;
  const file = inTurn(files);
  return promiseLoad(spec, places, (place, position) => file().read(place.buffer, 0, bytes, position), close);
}

export function byCallback(spec: TrialSpec, places: readonly Place[], files: readonly AioFile[], close: Close): Load {
  const { bytes } = spec;
  const file = inTurn(files);
  const read: CallbackRead = (place, position, callback) => file().read(place.buffer, 0, bytes, position, callback);
  return callbackLoad(spec, places, read, close);
}

function inTurn(files: readonly AioFile[]): () => AioFile {
  const only = files[0]!;
  if (files.length === 1) return () => only;
  let next = 0;
  return () => {
    next = next + 1 === files.length ? 0 : next + 1;
    return files[next]!;
  };
}

/** How the requests went: without this nobody knows what was measured. */
export function countersOf(stats: AioStats): Counters {
  const { submits, submittedInline, submittedOffThread, guarded, yielded, wakes, completedInline, refusedAgain } =
    stats;
  return { submits, submittedInline, submittedOffThread, guarded, yielded, wakes, completedInline, refusedAgain };
}
