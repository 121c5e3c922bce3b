// What a rejection may be: Node's own argument errors, the kernel's, or ours. Anything else is a mistake that nobody expected.
import { Trap } from './values.js';

const OURS = /^ERR_(?!INTERNAL)[A-Z_]+$/;

export function isTyped(error) {
  if (error instanceof Trap) return true;
  if (!(error instanceof Error) || typeof error.code !== 'string') return false;
  if (OURS.test(error.code) || error.code === 'ABORT_ERR') return true;
  return typeof error.errno === 'number' && typeof error.syscall === 'string';
}

/** An argument as a failure shows it. */
export function show(value) {
  try {
    if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
    if (typeof value === 'bigint') return `${value}n`;
    if (Array.isArray(value)) return `[${value.map(show)}]`;
    if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${value.byteLength} at ${value.byteOffset})`;
    if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
      return `{${Object.entries(value).map(([name, one]) => `${name}: ${show(one)}`)}}`;
    }
    if (typeof value === 'object' && value !== null) return `a ${value.constructor?.name ?? 'null prototype'}`;
    return String(value);
  } catch {
    return 'a trap';
  }
}
