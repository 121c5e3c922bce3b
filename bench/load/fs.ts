import { close as closeFile, constants, open as openFile, read } from 'node:fs';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { Arena } from 'kaio/raw';
import type { TrialSpec } from '../protocol.ts';
import { callbackLoad, type Load, type Place, placeOf, promiseLoad } from './load.ts';

const FLAGS = constants.O_RDONLY | constants.O_DIRECT;

/** Node has no aligned memory of its own to offer, so fs gets ours. */
function placesOf({ depth, bytes }: TrialSpec): Place[] {
  const arena = new Arena(depth * bytes);
  return Array.from({ length: depth }, () => placeOf(arena.allocate(bytes)));
}

export async function fsPromisesLoad(spec: TrialSpec): Promise<Load> {
  const handle = await open(spec.path, FLAGS);
  const { bytes } = spec;
  return promiseLoad(
    spec,
    placesOf(spec),
    (place, position) => handle.read(place.buffer, 0, bytes, position),
    () => handle.close(),
  );
}

export async function fsCallbackLoad(spec: TrialSpec): Promise<Load> {
  const fd = await promisify(openFile)(spec.path, FLAGS);
  const { bytes } = spec;
  return callbackLoad(
    spec,
    placesOf(spec),
    (place, position, callback) => read(fd, place.buffer, 0, bytes, position, callback),
    () => promisify(closeFile)(fd),
  );
}
