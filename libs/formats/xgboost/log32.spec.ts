import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { log32 } from './log32.js';

describe('log32', () => {
  it('of 0.9851707220077515 is what the C library says, which is not the nearest float32', () => {
    expect(-log32(0.9851707220077515)).toBe(0.014940331690013409);
  });

  it('is never far from the truth, and a float32', () => {
    fc.assert(
      fc.property(fc.float({ min: 2 ** -126, max: 2 ** 127, noNaN: true }), (x) => {
        const truth = Math.log(x);
        expect(Math.abs(log32(x) - truth)).toBeLessThanOrEqual(Math.abs(truth) * 2 ** -23);
        expect(Math.fround(log32(x))).toBe(log32(x));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([0, -0, -1, NaN, Infinity, 1])('of %p is that of Math.log', (x) =>
    expect(log32(x)).toBe(Math.log(x)),
  );
});
