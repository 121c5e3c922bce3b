/** What warns of, and cleans up after, something that was dropped without being closed. */
interface Leftover {
  /** What it was, in words. */
  what: string;
  /** The stack of the line that opened it. */
  opened: string;
  close: () => Promise<void>;
}

const registry = new FinalizationRegistry<Leftover>(({ what, opened, close }) => {
  process.emitWarning(
    `${what} was dropped without close(). It is closed now, but when that happens is up to the garbage collector. Call close(), or ` +
      `declare it with "await using".\n${opened}`,
    { type: 'AioWarning', code: 'KAIO_DROPPED' },
  );
  // There is nobody to tell of an error; the descriptor is gone either way.
  close().catch(() => {});
});

/** Sees to it that an object which is dropped without `close` is closed, with a warning. `close` must not refer to the object. */
export function watchForDrop(object: WeakKey, what: string, close: () => Promise<void>): void {
  const holder = { stack: '' };
  Error.captureStackTrace(holder, watchForDrop);
  const opened = holder.stack
    .replace(/^Error\n/, '')
    .split('\n')
    .filter((line) => !line.includes('/kaio/dist/'))
    .join('\n');
  registry.register(object, { what, opened, close }, object);
}

/** It was closed in time. */
export function forget(object: WeakKey): void {
  registry.unregister(object);
}
