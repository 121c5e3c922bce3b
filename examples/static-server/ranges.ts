/** A part of a file: bytes from `start` up to, and not with, `end`. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

/**
 * What a Range header asks for (RFC 9110, 14.2): a part, `'unsatisfiable'`, or undefined where the whole file is the answer. It also is
 * where several ranges are asked for, which a server is free to ignore: hundreds of overlapping ones are an old way to overload it.
 */
export function partOf(header: string | undefined, size: number): Part | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/i.exec(header?.trim() ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '')
    return Number(last) > 0 && size > 0 ? { start: Math.max(size - Number(last), 0), end: size } : 'unsatisfiable';
  if (last !== '' && Number(last) < Number(first)) return undefined;
  if (Number(first) >= size) return 'unsatisfiable';
  return { start: Number(first), end: last === '' ? size : Math.min(Number(last) + 1, size) };
}
