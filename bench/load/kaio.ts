import { AioContext, type AioFile, type AioStats } from 'kaio';
import type { Counters, TrialSpec } from '../protocol.ts';
import { callbackLoad, type Load, type Place, placeOf, promiseLoad } from './load.ts';

type SubmitMode = 'auto' | 'inline' | 'offload';

/** kaio with one context and one file. */
export async function kaioLoad(spec: TrialSpec, style: 'promise' | 'callback', submit: SubmitMode): Promise<Load> {
  const { depth, bytes, path } = spec;
  const memory = Math.max(64 * 1024 * 1024, depth * bytes * 2);
  const context = new AioContext({ depth: spec.extra?.contextDepth ?? Math.max(depth, 128), memory });
  const file = await context.open(path, 'r', { submit });
  const places = Array.from({ length: depth }, () => placeOf(context.allocate(bytes)));
  const close = async (): Promise<void> => {
    await file.close();
    await context.close();
  };
  const load = style === 'promise' ? byPromise(spec, places, file, close) : byCallback(spec, places, file, close);
  return { ...load, counters: () => countersOf(context.stats()) };
}

/** The two ways to read through an AioFile; the fake kernel's file goes the same ways. */
export function byPromise(
  spec: TrialSpec,
  places: readonly Place[],
  file: AioFile,
  close: () => Promise<void>,
): Load {
  const { bytes } = spec;
  return promiseLoad(spec, places, (place, position) => file.read(place.buffer, 0, bytes, position), close);
}

export function byCallback(
  spec: TrialSpec,
  places: readonly Place[],
  file: AioFile,
  close: () => Promise<void>,
): Load {
  const { bytes } = spec;
  return callbackLoad(
    spec,
    places,
    (place, position, callback) => file.read(place.buffer, 0, bytes, position, callback),
    close,
  );
}

/** How the requests went: without this nobody knows what was measured. */
export function countersOf(stats: AioStats): Counters {
  const { submits, submittedInline, submittedOffThread, guarded, yielded, wakes, completedInline, refusedAgain } = stats;
  return { submits, submittedInline, submittedOffThread, guarded, yielded, wakes, completedInline, refusedAgain };
}
