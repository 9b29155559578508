import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { shortestFloat32 } from './float32-text.js';

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function fromBits(word: number): number {
  bits[0] = word;
  return float[0] ?? 0;
}

/** The digits that the slow, plain way finds. */
function digitsByTrial(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value && readsBackExactly(text, value)) return digits;
  }
  return 9;
}

function digitsOf(value: number): number {
  const [mantissa = ''] = String(Math.abs(value)).split('e');
  return mantissa.replace('.', '').replace(/^0+/, '').replace(/0+$/, '').length;
}

/** Whether the decimal itself, not the float64 next to it, rounds to the float32: by exact integers. */
function readsBackExactly(text: string, value: number): boolean {
  float[0] = Math.abs(value);
  const word = bits[0] ?? 0;
  const decimal = rational(text.replace(/^-/, ''));
  const middle = (a: number, b: number): [bigint, bigint] => {
    const [p, q] = binary(a);
    const [r, s] = binary(b);
    return [p * s + r * q, 2n * q * s];
  };
  const above = word + 1 < 0x7f800000 ? fromBits(word + 1) : 2 ** 128;
  const below = word > 0 ? fromBits(word - 1) : 0;
  const value0 = Math.abs(value);
  const less = ([p, q]: [bigint, bigint], [r, s]: [bigint, bigint]) => p * s < r * q;
  return less(decimal, middle(value0, above)) && less(middle(value0, below), decimal);
}

function rational(text: string): [bigint, bigint] {
  const [mantissa = '0', exponent = '0'] = text.split('e');
  const [whole = '0', fraction = ''] = mantissa.split('.');
  const scale = Number(exponent) - fraction.length;
  const digits = BigInt(whole + fraction);
  return scale >= 0 ? [digits * 10n ** BigInt(scale), 1n] : [digits, 10n ** BigInt(-scale)];
}

function binary(value: number): [bigint, bigint] {
  let denominator = 1n;
  let numerator = value;
  while (!Number.isInteger(numerator)) {
    numerator *= 2;
    denominator *= 2n;
  }
  return [BigInt(numerator), denominator];
}

describe('shortestFloat32', () => {
  it.each([
    [0.1, '0.1'],
    [1 / 3, '0.33333334'],
    [16777216, '16777216'],
    [3.4028234663852886e38, '3.4028235e+38'],
    [1.401298464324817e-45, '1e-45'],
    [-0.2, '-0.2'],
    [123456.79, '123456.79'],
    [0, '0'],
    [9.5367431640625e-7, '9.536743e-7'],
  ])('prints the float32 of %s as %s', (value, text) => {
    expect(String(shortestFloat32(Math.fround(value)))).toBe(text);
  });

  it('leaves what has no digits', () => {
    expect(shortestFloat32(-0)).toBe(-0);
    expect(shortestFloat32(NaN)).toBeNaN();
    expect(shortestFloat32(-Infinity)).toBe(-Infinity);
  });

  it('reads back, with no more digits than needed', () => {
    const isRight = (word: number): boolean => {
      const value = fromBits(word);
      if (!Number.isFinite(value)) return true;
      const short = shortestFloat32(value);
      if (Math.fround(short) !== value) return false;
      if (value === 0) return true;
      return readsBackExactly(String(short), value) && digitsOf(short) <= digitsByTrial(value);
    };
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), isRight), { numRuns: 3000 });
    const edges: number[] = [];
    // Where the decimal or the binary exponent changes.
    for (let exponent = -45; exponent < 39; exponent++) {
      float[0] = Number(`1e${exponent}`);
      const word = bits[0] ?? 0;
      for (let near = Math.max(0, word - 20); near < word + 20; near++) edges.push(near);
    }
    for (let exponent = 1; exponent < 255; exponent++) {
      for (let near = -3; near < 4; near++) edges.push(exponent * 2 ** 23 + near);
    }
    expect(edges.filter((word) => !isRight(word))).toEqual([]);
  });
});
