/** An error of this module's argument checks; `code` says which. */
export interface LayoutError extends Error {
  code: 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE' | 'ERR_OUT_OF_RANGE';
}

function preview(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 60)}...` : value}'`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return `an instance of ${value.constructor?.name ?? 'Object'}`;
  return String(value);
}

/** The argument is of a type that cannot be used at all. */
export function invalidType(name: string, expected: string, actual: unknown): LayoutError {
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${preview(actual)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' as const });
}

/** The argument is of the right type and names nothing that there is. */
export function invalidValue(name: string, expected: string, actual: unknown): LayoutError {
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${preview(actual)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' as const });
}

/** The number does not fit where it should go: writing it would lose a part of it. */
export function outOfRange(name: string, range: string, actual: unknown): LayoutError {
  const error = new RangeError(
    `The value of "${name}" is out of range. It must be ${range}. Received ${preview(actual)}`,
  );
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' as const });
}
