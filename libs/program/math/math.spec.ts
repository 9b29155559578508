import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { exp64 } from '../kernels/exp64.js';
import { cbrt } from './cbrt.js';
import { acos, asin, atan, cos, sin, tan } from './circular.js';
import { fused } from './fused.js';
import { acosh, asinh, atanh, cosh, expm1, sinh, tanh } from './hyperbolic.js';
import { log1pOfC } from './log1p-of-c.js';
import { log10, log1p64, log2, log64, pow64 } from './logarithms.js';

const functions: [string, (x: number) => number, (x: number) => number][] = [
  ['exp', exp64, Math.exp],
  ['log', log64, Math.log],
  ['log1p', log1p64, Math.log1p],
  ['log2', log2, Math.log2],
  ['log10', log10, Math.log10],
  ['expm1', expm1, Math.expm1],
  ['sin', sin, Math.sin],
  ['cos', cos, Math.cos],
  ['tan', tan, Math.tan],
  ['asin', asin, Math.asin],
  ['acos', acos, Math.acos],
  ['atan', atan, Math.atan],
  ['sinh', sinh, Math.sinh],
  ['cosh', cosh, Math.cosh],
  ['tanh', tanh, Math.tanh],
  ['asinh', asinh, Math.asinh],
  ['acosh', acosh, Math.acosh],
  ['atanh', atanh, Math.atanh],
  ['cbrt', cbrt, Math.cbrt],
];

const SPECIAL = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  Infinity,
  -Infinity,
  NaN,
  5e-324,
  -5e-324,
  2 ** -1022,
  2 ** 1023,
  710,
  -745,
  1e22,
];
/** Units in the last place: the engine's functions are within one of the exact value, ours within two. */
const FAR = 3;

function expectNear(call: string, got: number, engine: number, ulps = FAR): void {
  // Below 2^-1022 numbers have fewer digits.
  const far = Math.max(ulps * 2 ** -52 * Math.abs(engine), 1e-323);
  const same = Object.is(got, engine) || Math.abs(got - engine) <= far;
  if (!same) throw new Error(`${call} is ${got} where the engine says ${engine}`);
}

describe.each(functions)('%s', (name, ours, engine) => {
  it.each(SPECIAL)('of %s', (x) => expectNear(`${name}(${x})`, ours(x), engine(x)));

  it('is near what the engine says', () => {
    const anything = fc.oneof(
      fc.double({ min: -1, max: 1 }),
      fc.double({ min: -30, max: 30 }),
      fc.double({ min: -750, max: 750 }),
      fc.double(),
    );
    fc.assert(
      fc.property(anything, (x) => expectNear(`${name}(${x})`, ours(x), engine(x))),
      { numRuns: 3000 },
    );
  });
});

describe('powers', () => {
  it('are near what the engine says', () => {
    const base = fc.oneof(
      fc.double({ min: 0, max: 30 }),
      fc.double({ min: -3, max: 3 }),
      fc.double(),
    );
    const exponent = fc.oneof(
      fc.double({ min: -10, max: 10 }),
      fc.integer({ min: -5, max: 5 }),
      fc.double(),
    );
    fc.assert(
      fc.property(base, exponent, (x, y) => {
        const engine = x ** y;
        // There a unit in the last place of the logarithm is several of the power.
        const large = Math.abs(Math.log(Math.abs(engine))) > 300;
        expectNear(`pow(${x}, ${y})`, pow64(x, y), engine, large ? 8 : FAR);
      }),
      { numRuns: 5000 },
    );
  });

  it.each([
    [3, 2, 9],
    [7, 3, 343],
    [2, -3, 0.125],
    [9, 0.5, 3],
    [-2, 3, -8],
    [10, 15, 1e15],
  ])('%s to the %s is exact', (x, y, power) => expect(pow64(x, y)).toBe(power));
});

it('whole logarithms and roots are exact', () => {
  for (let n = -1074; n <= 1023; n++) expect(log2(2 ** n)).toBe(n);
  for (let n = 0; n <= 22; n++) expect(log10(10 ** n)).toBe(n);
  for (let n = -500; n <= 500; n++) expect(cbrt(n * n * n)).toBe(n);
});

it("the C library's log1p is within one unit of the exact one", () => {
  fc.assert(
    fc.property(fc.oneof(fc.double({ min: 0, max: 3 }), fc.double({ min: 0 })), (x) =>
      expectNear(`log1p(${x})`, log1pOfC(x), log1p64(x)),
    ),
    { numRuns: 3000 },
  );
});

it('numbers are multiplied and added with one rounding', () => {
  // What is lost of a product comes back when the rounded product is taken off.
  expect(fused(1 + 2 ** -30, 1 + 2 ** -30, -(1 + 2 ** -29))).toBe(2 ** -60);
  fc.assert(
    fc.property(
      fc.integer({ min: -1e6, max: 1e6 }),
      fc.integer({ min: -1e6, max: 1e6 }),
      fc.integer(),
      (a, b, c) => {
        expect(fused(a, b, c)).toBe(a * b + c);
      },
    ),
  );
  expect(fused(1e300, 1e300, 1)).toBe(Infinity);
  expect(fused(Infinity, 1, 1)).toBe(Infinity);
});
