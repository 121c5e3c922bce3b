import { type DebugLogger, debuglog } from 'node:util';

/** Says what kaio decides and why, where `NODE_DEBUG=kaio` asks for it; otherwise it costs a call of an empty function. */
export const debug: DebugLogger = debuglog('kaio');
