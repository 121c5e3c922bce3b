import { describe, expect, it } from 'vitest';
import { parseHex } from '../../src/layout/index.ts';

/** The bytes in hexadecimal, or undefined. */
function read(...lines: string[]): string | undefined {
  const bytes = parseHex(lines.join('\n'), false);
  return bytes && Buffer.from(bytes).toString('hex');
}

const row = '00000000  01 02 03 04 05 06 07 08  09 0a 0b 0c 0d 0e 0f 10  |................|';
const zeros = (at: string): string => `${at}  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|`;

describe('parseHex', () => {
  it('takes the last line of hexdump -C for what it is', () => {
    expect(read(row, '00000010')).toBe('0102030405060708090a0b0c0d0e0f10');
    expect(read(row, '00000010', '')).toBe('0102030405060708090a0b0c0d0e0f10');
    expect(read('00000000  01 02                                             |..|', '00000002')).toBe('0102');
    expect(read(row, '00000020')).toBeUndefined();
    expect(read('00000010')).toBe('00000010');
  });

  it('repeats the row before a *, as often as the next offset says', () => {
    expect(read(zeros('00000000'), '*', '00000040')).toBe('00'.repeat(64));
    expect(read(zeros('00000000'), '*', row.replace('00000000', '00000030'))).toBe(
      `${'00'.repeat(48)}0102030405060708090a0b0c0d0e0f10`,
    );
    expect(read('00000000: 0000 0000', '*', '0000000c: 0102')).toBe(`${'00'.repeat(12)}0102`);
  });

  it.each([
    ['no row before it', ['*', '00000010']],
    ['no offset after it', [zeros('00000000'), '*']],
    ['an offset that is no end of a row', [zeros('00000000'), '*', '00000018']],
    ['an offset before it', [zeros('00000010'), '*', '00000000']],
    ['an offset that is further than memory', [zeros('00000000'), '*', 'fffffffffffffff0']],
    ['rows without offsets', ['01 02', '*', '03']],
  ])('repeats nothing where there is %s', (_, lines) => {
    expect(read(...lines)).toBeUndefined();
  });

  it('takes an address for one by its length and the space behind its colon', () => {
    expect(read('01:02:03:04')).toBe('01020304');
    expect(read('01: 02: 03')).toBe('010203');
    expect(read('0102:0304:0506')).toBe('010203040506');
    expect(read('0x7ffe10 <name+8>:\t0x01\t0x02')).toBe('0102');
    expect(read('0x7ffe10:\t0x01\t0x02')).toBe('0102');
    expect(read('00000010: 0102  ..')).toBe('0102');
    expect(read('[  12.3] 00000010: 0102')).toBeUndefined();
  });

  it('reads lines that end as on Windows', () => {
    expect(read(`${row}\r`, '00000010\r', '')).toBe('0102030405060708090a0b0c0d0e0f10');
  });
});
