import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { exp2Narrow, exp2Wide } from './exp2.js';
import { exp32 } from './exp32.js';
import { exp64 } from './exp64.js';

const WIDE: [number, number][] = [
  [-14.332774118932203, 4.846241687849084e-5],
  [-9.017413476008876, 0.001929692284540597],
  [-18.10794964244503, 3.539679964612026e-6],
  [0.8348693670217173, 1.783695521678681],
  [17.060274773167656, 136664.09853098402],
  [15.137594632066673, 36047.076354086195],
];

const EDGES = [NaN, Infinity, -Infinity, 0, -0, 1e-300, -1e-300, 1000, -1000];

describe('exp64', () => {
  // Where glibc 2.36 and Math.exp of V8 part.
  it.each([
    [4.661649186164141, 105.81043945609092],
    [-2.2079059667885303, 0.1099306060020999],
    [9.421790605410933, 12354.68479076048],
    [-7.706953063607216, 0.0004496895673420206],
    [7.8430503606796265, 2547.9652047179175],
    [-5.7905125338584185, 0.00305641525860297],
  ])('of %p is what the C library says', (x, y) => expect(exp64(x)).toBe(y));

  // Where glibc 2.36 answers otherwise if it multiplies and adds in two steps.
  it.each([
    [-2.3621612824010185, 0.0942163747959384],
    [0.06850672729913132, 1.070907829244056],
    [-9.750691342951225, 0.00005825437605390985],
    [-6.437853456549192, 0.001599837117390956],
  ])('of %p is what the C library says of today’s processors', (x, y) => expect(exp64(x)).toBe(y));

  it('is never far from the truth', () => {
    fc.assert(
      fc.property(fc.double({ min: -700, max: 700, noNaN: true }), (x) => {
        const truth = Math.exp(x);
        expect(Math.abs(exp64(x) - truth)).toBeLessThanOrEqual(truth * 2 ** -52);
      }),
      { numRuns: 1000 },
    );
  });

  it.each(EDGES)('of %p is that of Math.exp', (x) => expect(exp64(x)).toBe(Math.exp(x)));
});

describe('exp32', () => {
  // Where glibc 2.36 is not the nearest float32.
  it.each([
    [-3.295896053314209, 0.03703484684228897],
    [5.7093071937561035, 301.6620178222656],
    [-9.209423065185547, 0.00010009177640313283],
    [-5.300357341766357, 0.00498981075361371],
    [-19.177879333496094, 4.689784116607143e-9],
    [-6.809103488922119, 0.0011036819778382778],
  ])('of %p is what the C library says', (x, y) => expect(exp32(x)).toBe(y));

  it('is never far from the truth, and a float32', () => {
    fc.assert(
      fc.property(fc.float({ min: -80, max: 80, noNaN: true }), (x) => {
        const truth = Math.exp(x);
        expect(Math.abs(exp32(x) - truth)).toBeLessThanOrEqual(truth * 2 ** -23.9);
        expect(Math.fround(exp32(x))).toBe(exp32(x));
      }),
      { numRuns: 1000 },
    );
  });

  it('overflows and underflows where float32 does', () => {
    expect([88.72283, 88.73, -103.97, -104].map(exp32)).toEqual([
      Math.fround(Math.exp(88.72283)),
      Infinity,
      1.401298464324817e-45,
      0,
    ]);
  });

  it.each(EDGES)('of %p is that of Math.exp', (x) =>
    expect(exp32(x)).toBe(Math.fround(Math.exp(x))),
  );
});

describe('exp2Wide and exp2Narrow', () => {
  // Where `exp2` of glibc 2.36 and `2 ** x` part.
  it.each(WIDE)('of %p is what the C library says', (x, y) => expect(exp2Wide(x)).toBe(y));

  it('are never far from the truth', () => {
    fc.assert(
      fc.property(fc.double({ min: -120, max: 120, noNaN: true }), (x) => {
        expect(Math.abs(exp2Wide(x) - 2 ** x)).toBeLessThanOrEqual(2 ** x * 2 ** -51);
        expect(Math.abs(exp2Narrow(x) - 2 ** x)).toBeLessThanOrEqual(2 ** x * 2 ** -23.9);
        expect(Math.fround(exp2Narrow(x))).toBe(exp2Narrow(x));
      }),
      { numRuns: 1000 },
    );
  });

  it.each(EDGES)('of %p is that of **', (x) => {
    expect(exp2Wide(x)).toBe(2 ** x);
    expect(exp2Narrow(x)).toBe(Math.fround(2 ** x));
  });
});
