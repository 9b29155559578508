import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseExact, writeExact } from './exact-json.js';

/** Makes the own parser run instead of `JSON.parse`. */
const LONG = '12345678901234567890';

describe('exact JSON', () => {
  it('reads everything else as JSON.parse does', () => {
    const json = fc.json().filter((text) => !/\d{16}/.test(text));
    fc.assert(
      fc.property(json, fc.constantFrom('', ' ', '\n\t'), (text, space) => {
        const both = `[${space}${LONG},${text}${space}]`;
        const value = parseExact(both);
        expect(value).toEqual([BigInt(LONG), JSON.parse(text)]);
      }),
    );
  });

  it('refuses what JSON.parse refuses', () => {
    fc.assert(
      fc.property(
        fc.json(),
        fc.nat(),
        fc.string({ minLength: 1, maxLength: 2 }),
        (text, at, put) => {
          const place = at % (text.length + 1);
          const broken = `[${LONG},${text.slice(0, place)}${put}${text.slice(place)}]`;
          let valid = true;
          try {
            JSON.parse(broken);
          } catch {
            valid = false;
          }
          if (valid) parseExact(broken);
          else expect(() => parseExact(broken)).toThrow(SyntaxError);
        },
      ),
    );
  });

  it('keeps integers exact both ways', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (integer) => {
        const [value] = parseExact(`[${integer}]`) as [number | bigint];
        expect(BigInt(value)).toBe(integer);
        expect(typeof value).toBe(Number.isSafeInteger(Number(integer)) ? 'number' : 'bigint');
        expect(writeExact({ data: [value], more: { integer } })).toBe(
          `{"data":[${integer}],"more":{"integer":${integer}}}`,
        );
      }),
    );
  });

  it('writes everything else as JSON.stringify does', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(writeExact({ value })).toBe(JSON.stringify({ value }));
      }),
    );
    const date = new Date(0);
    expect(writeExact({ date, gone: undefined, list: [undefined] })).toBe(
      JSON.stringify({ date, gone: undefined, list: [undefined] }),
    );
  });

  it('takes members as data, whatever they are called', () => {
    const value = parseExact(`{"__proto__":{"a":${LONG}},"digest":"sha256:${LONG}"}`) as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value)).toEqual(['__proto__', 'digest']);
  });
});
