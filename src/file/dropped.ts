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
  registry.register(object, { what, opened: callers(), close }, object);
}

/** The lines of the program that led here; none where it has stacks made in another way (Error.prepareStackTrace), or not at all. */
function callers(): string {
  const holder: { stack?: unknown } = {};
  try {
    Error.captureStackTrace(holder, watchForDrop);
    const { stack } = holder;
    if (typeof stack !== 'string') return '';
    const lines = stack.replace(/^Error\n/, '').split('\n');
    return lines.filter((line) => !line.includes('/kaio/dist/')).join('\n');
  } catch {
    return '';
  }
}

/** It was closed in time. */
export function forget(object: WeakKey): void {
  registry.unregister(object);
}
