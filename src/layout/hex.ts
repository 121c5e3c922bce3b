import { invalidType } from './errors.ts';

/** hexdump -C: an offset, the bytes, and the characters between bars. */
const CANONICAL = /^([0-9a-f]{7,16}) {2}([^|]*)(?:\|.*)?$/i;
/** Its last line: the offset behind all bytes. */
const OFFSET = /^([0-9a-f]{7,16})\s*$/i;
/** The line that hexdump and xxd -a have in place of rows that are as the one before. The next offset tells how many. */
const SAME = /^\*\s*$/;
/**
 * gdb's `0x7ffe10 <name+8>:` or xxd's `00000010:` before the bytes; xxd has the characters behind two spaces. Two digits, or what has no space
 * behind its colon, are bytes between colons.
 */
const ADDRESSED = /^\s*(?:0x)?([0-9a-f]{3,16})(?:\s*<[^>]*>)?:\s+(\S+(?:\s\S+)*)/i;
const TOKEN = /^(?:0x)?[0-9a-f]+$/i;
/** An offset may be any: no more than so many bytes come from rows that were left out. */
const MOST_BYTES = 2 ** 20;

function bytesOfToken(token: string, bigEndian: boolean): number[] | undefined {
  if (!TOKEN.test(token)) return undefined;
  const isWord = /^0x/i.test(token);
  const digits = token.replace(/^0x/i, '');
  const even = digits.length % 2 === 0 ? digits : isWord ? `0${digits}` : undefined;
  const bytes = even?.match(/../g)?.map((pair) => Number.parseInt(pair, 16));
  return isWord && !bigEndian ? bytes?.reverse() : bytes;
}

function bytesOfTokens(text: string, bigEndian: boolean): number[] | undefined {
  const bytes: number[][] = [];
  for (const token of text.split(/[\s,:]+/).filter(Boolean)) {
    const part = bytesOfToken(token, bigEndian);
    if (part === undefined) return undefined;
    bytes.push(part);
  }
  return bytes.flat();
}

/** What has been read of a dump. */
class Dump {
  readonly #rows: number[][] = [];
  #length = 0;
  /** The address behind the last row, where its line had one. */
  #end: bigint | undefined;
  #leftOut = false;

  /** Reads a line; false where it is none of a dump. */
  add(line: string, bigEndian: boolean): boolean {
    if (SAME.test(line)) {
      this.#leftOut = true;
      return true;
    }
    const last = this.#end === undefined ? null : OFFSET.exec(line);
    const [, digits, body = last ? '' : line] = last ?? CANONICAL.exec(line) ?? ADDRESSED.exec(line) ?? [];
    const address = digits === undefined ? undefined : BigInt(`0x${digits}`);
    if ((this.#leftOut || last) && !this.#repeatUpTo(address)) return false;
    const row = bytesOfTokens(body, bigEndian);
    if (row === undefined) return false;
    this.#put(row);
    this.#end = address === undefined ? undefined : address + BigInt(row.length);
    return true;
  }

  /** The bytes, if there are any and the last row is not left out. */
  get bytes(): Uint8Array | undefined {
    return this.#leftOut || this.#length === 0 ? undefined : Uint8Array.from(this.#rows.flat());
  }

  #put(row: number[]): void {
    this.#rows.push(row);
    this.#length += row.length;
  }

  /** Puts the rows in that were left out before an address; false where they do not fit between, or are none. */
  #repeatUpTo(address: bigint | undefined): boolean {
    const row = this.#rows.at(-1);
    if (row === undefined || this.#end === undefined || address === undefined || address < this.#end) return false;
    const missing = Number(address - this.#end);
    const fits = this.#leftOut && missing % row.length === 0 && this.#length + missing <= MOST_BYTES;
    if (missing > 0 && !fits) return false;
    for (let at = 0; at < missing; at += row.length) this.#put(row);
    this.#leftOut = false;
    return true;
  }
}

/**
 * Bytes of a text of hexadecimal digits, as tools print memory; undefined where it is something else. A token that begins with 0x is a
 * number of that many digits in the ABI's byte order; without it digits are bytes in the order of memory. Rows that hexdump leaves out
 * (`*`) are put in again, up to a MiB.
 */
export function parseHex(text: string, bigEndian: boolean): Uint8Array | undefined {
  if (typeof text !== 'string') throw invalidType('text', 'of type string', text);
  const dump = new Dump();
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() !== '' && !dump.add(line, bigEndian)) return undefined;
  }
  return dump.bytes;
}
