import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  abis,
  decode,
  encode,
  type Input,
  layoutOf,
  type Records,
  type StructName,
  structs,
  vectors,
  vectorsJson,
} from '../../src/layout/index.ts';

const published = readFileSync(new URL('../../vectors/layout.json', import.meta.url), 'utf8');

describe('the vectors', () => {
  it('are what the repository publishes, byte for byte', () => {
    expect(vectorsJson()).toBe(published);
    expect(JSON.parse(published)).toEqual(vectors());
  });

  it('have every structure on every ABI once', () => {
    const pairs = vectors().flatMap(({ struct, abis: on }) => on.map((abi) => `${struct} ${abi}`));
    expect(pairs.sort()).toEqual(structs.flatMap((struct) => abis.map(({ name }) => `${struct} ${name}`)).sort());
  });

  it('are what each of their ABIs encodes and decodes', () => {
    for (const { struct, abis: on, size, cases } of vectors()) {
      for (const abi of on) {
        expect(layoutOf(struct, abi).size).toBe(size);
        for (const { fields, bytes } of cases) {
          const record = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, BigInt(value)]));
          const buffer = Buffer.from(bytes, 'hex');
          expect(Buffer.from(encode(struct, record as Input<Records[StructName]>, abi)).equals(buffer)).toBe(true);
          const decoded = Object.entries(decode(struct, buffer, abi)).map(([name, value]) => [name, String(value)]);
          expect(Object.fromEntries(decoded)).toEqual(fields);
        }
      }
    }
  });

  it('take every field to its extremes', () => {
    for (const { struct, abis: on, cases } of vectors()) {
      for (const { name, size, signed } of layoutOf(struct, on[0]!).fields) {
        const bits = BigInt(size * 8);
        const extremes = signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
        const values = new Set(cases.map(({ fields }) => fields[name]));
        for (const extreme of extremes) expect(values, `${struct}.${name}`).toContain(String(extreme));
      }
    }
  });

  it('have one case a line, for programs without a JSON parser', () => {
    const lines = published.split('\n').filter((line) => line.includes('"bytes":'));
    expect(lines).toHaveLength(vectors().reduce((sum, { cases }) => sum + cases.length, 0));
    for (const line of lines) expect(() => JSON.parse(line.replace(/,$/, ''))).not.toThrow();
  });
});
