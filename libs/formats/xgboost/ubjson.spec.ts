import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DamagedModel } from '../importer.js';
import { parseUbjson } from './ubjson.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Writes UBJSON in one of the ways that there are; `choose` says which. */
function write(value: Json, choose: () => boolean): Uint8Array {
  if (value === null) return Buffer.from('Z');
  if (typeof value === 'boolean') return Buffer.from(value ? 'T' : 'F');
  if (typeof value === 'string') return Buffer.concat([Buffer.from('S'), text(value)]);
  if (typeof value === 'number') return number(value);
  if (Array.isArray(value)) return array(value, choose);
  const entries = Object.entries(value).map(([key, item]) =>
    Buffer.concat([text(key), write(item, choose)]),
  );
  return choose()
    ? Buffer.concat([Buffer.from('{'), ...entries, Buffer.from('}')])
    : Buffer.concat([Buffer.from('{#'), length(entries.length), ...entries]);
}

function array(value: Json[], choose: () => boolean): Uint8Array {
  if (value.length > 0 && value.every((item) => typeof item === 'number') && choose()) {
    const items = value.map((item) => number(Number(item)).subarray(1));
    return Buffer.concat([Buffer.from('[$D#'), length(items.length), ...items]);
  }
  const items = value.map((item) =>
    Buffer.concat([choose() ? Buffer.from('N') : Buffer.from(''), write(item, choose)]),
  );
  return choose()
    ? Buffer.concat([Buffer.from('['), ...items, Buffer.from(']')])
    : Buffer.concat([Buffer.from('[#'), length(items.length), ...items]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.write('D');
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function length(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.write('L');
  bytes.writeBigInt64BE(BigInt(value), 1);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([length(bytes.length), bytes]);
}

const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.double(),
    fc.string({ unit: 'grapheme' }),
    fc.array(fc.double()),
    fc.array(tie('value')),
    fc.dictionary(fc.string(), tie('value')),
  ),
})).value;

/** Typed arrays as lists. */
function plain(value: unknown): unknown {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return [...(value as Float64Array)];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

describe('parseUbjson', () => {
  it('reads what is written', () => {
    fc.assert(
      fc.property(json, fc.array(fc.boolean(), { minLength: 1 }), (value, choices) => {
        let at = 0;
        const choose = () => choices[at++ % choices.length] ?? false;
        const bytes = write(value, choose);
        expect(plain(parseUbjson(bytes))).toEqual(plain(value));
      }),
    );
  });

  it('reads numbers of every type', () => {
    const bytes = Buffer.from('5b69ff55ff49ff006cff0000004cff00000000000000643fc00000445d', 'hex');
    expect(() => parseUbjson(bytes)).toThrow(DamagedModel);
    const whole = Buffer.from(
      '5b69ff55ff49ff006cff0000004cffffffffffffff00643fc00000443ff80000000000005d',
      'hex',
    );
    expect(parseUbjson(whole)).toEqual([-1, 255, -256, -(2 ** 24), -256, 1.5, 1.5]);
  });

  it('refuses bytes at random, or reads them; nothing else happens', () => {
    const alphabet = fc.constantFrom(
      ...Buffer.from('[]{}$#iUIlLdDSCZTFNH\0\x01\x7f\xff', 'latin1'),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(alphabet, { maxLength: 60 }).map((list) => Uint8Array.from(list)),
    );
    fc.assert(
      fc.property(bytes, (given) => {
        try {
          parseUbjson(given);
        } catch (error) {
          expect(error).toBeInstanceOf(DamagedModel);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['a count that the bytes do not pay for', '[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff', /too many/],
    ['many values without bytes', '[$Z#l\x7f\xff\xff\xff', /too many/],
    ['a length below zero', 'SL\xff\xff\xff\xff\xff\xff\xff\xff', /cannot be/],
    ['a text that goes on behind the end', 'SU\xffabc', /cut off/],
    ['arrays without end', '['.repeat(100_000), /nested more than 64/],
    ['arrays of arrays', '[$[#U\x01'.repeat(1000), /nested more than 64|marker/],
    ['a second document', 'ZZ', /follows/],
    ['nothing', '', /cut off/],
  ])('refuses %s', (_, latin1, message) => {
    expect(() => parseUbjson(Buffer.from(latin1, 'latin1'))).toThrow(message);
  });
});
