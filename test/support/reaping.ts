import { AioContext, type AioContextOptions } from '../../src/index.ts';

/** The ways in which a context learns of its events. */
export const reapings = ['ring', 'io_getevents'] as const;

/** Calls `use` with a context that reaps in one of the ways, and closes it. Of a campaign's runs every other takes the second. */
export async function withReaping<T>(
  at: number,
  options: AioContextOptions,
  use: (context: AioContext) => Promise<T>,
): Promise<T> {
  const context = contextReaping(reapings[at % reapings.length]!, options);
  try {
    return await use(context);
  } finally {
    await context.close();
  }
}

function contextReaping(way: string, options: AioContextOptions): AioContext {
  const { KAIO_REAP } = process.env;
  process.env['KAIO_REAP'] = way;
  try {
    return new AioContext(options);
  } finally {
    if (KAIO_REAP === undefined) delete process.env['KAIO_REAP'];
    else process.env['KAIO_REAP'] = KAIO_REAP;
  }
}
