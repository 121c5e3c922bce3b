import { invalidType } from './errors.ts';

/** hexdump -C: an offset, the bytes, and the characters between bars. */
const CANONICAL = /^[0-9a-f]{7,16} {2}([^|]*)(?:\|.*)?$/i;
/** gdb's `0x7ffe10 <name+8>:` or xxd's `00000010:` before the bytes; xxd has the characters behind two spaces. */
const ADDRESSED = /^\s*(?:0x)?[0-9a-f]+(?:\s*<[^>]*>)?:\s*(\S+(?:\s\S+)*)/i;
const TOKEN = /^(?:0x)?[0-9a-f]+$/i;

function bytesOfToken(token: string, bigEndian: boolean): number[] | undefined {
  if (!TOKEN.test(token)) return undefined;
  const isWord = /^0x/i.test(token);
  const digits = token.replace(/^0x/i, '');
  const even = digits.length % 2 === 0 ? digits : isWord ? `0${digits}` : undefined;
  const bytes = even?.match(/../g)?.map((pair) => Number.parseInt(pair, 16));
  return isWord && !bigEndian ? bytes?.reverse() : bytes;
}

/**
 * Bytes of a text of hexadecimal digits, as tools print memory; undefined where it is something else. A token that begins with 0x is a
 * number of that many digits in the ABI's byte order; without it digits are bytes in the order of memory.
 */
export function parseHex(text: string, bigEndian: boolean): Uint8Array | undefined {
  if (typeof text !== 'string') throw invalidType('text', 'of type string', text);
  const bytes: number[] = [];
  for (const line of text.split('\n')) {
    const [, body = line] = CANONICAL.exec(line) ?? ADDRESSED.exec(line) ?? [];
    for (const token of body.split(/[\s,:]+/).filter(Boolean)) {
      const part = bytesOfToken(token, bigEndian);
      if (part === undefined) return undefined;
      bytes.push(...part);
    }
  }
  return bytes.length === 0 ? undefined : Uint8Array.from(bytes);
}
