import type { TrialSpec } from '../protocol.ts';
import type { Load } from './load.ts';

/** Opens the load of a peer. Only its own modules are loaded: no peer warms up another's code. */
export async function openLoad(spec: TrialSpec): Promise<Load> {
  if (spec.workers > 1) return (await import('./workers.ts')).workersLoad(spec);
  switch (spec.peer) {
    case 'kaio-promise':
      return (await import('./kaio.ts')).kaioLoad(spec, 'promise', 'auto');
    case 'kaio-callback':
      return (await import('./kaio.ts')).kaioLoad(spec, 'callback', 'auto');
    case 'kaio-inline-promise':
      return (await import('./kaio.ts')).kaioLoad(spec, 'promise', 'inline');
    case 'kaio-inline-callback':
      return (await import('./kaio.ts')).kaioLoad(spec, 'callback', 'inline');
    case 'kaio-offload-promise':
      return (await import('./kaio.ts')).kaioLoad(spec, 'promise', 'offload');
    case 'fake-promise':
      return (await import('./fake.ts')).fakeLoad(spec, 'promise');
    case 'fake-callback':
      return (await import('./fake.ts')).fakeLoad(spec, 'callback');
    case 'yardstick-promise':
      return (await import('./yardstick.ts')).yardstickLoad(spec, 'promise');
    case 'yardstick-callback':
      return (await import('./yardstick.ts')).yardstickLoad(spec, 'callback');
    case 'fs-promises':
      return (await import('./fs.ts')).fsPromisesLoad(spec);
    case 'fs-callback':
      return (await import('./fs.ts')).fsCallbackLoad(spec);
    default:
      throw new Error(`there is no load '${spec.peer}'`);
  }
}
