import { diskFile, ramDevice, type Target } from './target.ts';

/** The targets of a run; a text says why one is not there. */
export interface Targets {
  disk: Target | string;
  ram: Target | string;
  fake: Pick<Target, 'path' | 'bytes'>;
}

const DISK_BYTES = 2 ** 30;
const RAM_BYTES = 2 ** 29;
/** Nothing of this size exists: the fake kernel makes it up. Its block numbers are larger than a small integer's. */
const FAKE_BYTES = 2 ** 36;

/** Makes the targets that are asked for. */
export function makeTargets(names: ReadonlySet<string>, folder: string): Targets {
  return {
    disk: names.has('disk') ? diskFile(folder, DISK_BYTES) : 'not asked for',
    ram: names.has('ram') ? ramDevice(RAM_BYTES) : 'not asked for',
    fake: { path: '', bytes: FAKE_BYTES },
  };
}

/** Takes away what costs memory; the file stays for the next run. */
export function removeTargets({ ram }: Targets): void {
  if (typeof ram !== 'string') ram.remove();
}
