import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { introselect } from './introselect.js';

describe('introselect', () => {
  it('puts the least in front, whatever is equal', () => {
    const values = fc.array(fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constant(NaN)), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(values, fc.nat(), (list, seed) => {
        const kth = seed % list.length;
        const order = introselect(list, kth);
        expect([...order].sort((a, b) => a - b)).toEqual([...list.keys()]);
        const sorted = Float64Array.from(list).sort();
        const front = Float64Array.from(order.subarray(0, kth + 1), (i) => list[i] ?? NaN).sort();
        expect(front).toEqual(sorted.subarray(0, kth + 1));
      }),
    );
  });

  it('has the order of numpy 1.24', () => {
    // numpy.argpartition([5, 1, 5, 1, 5, 1, 5, 1, 5, 1], kth)
    const list = [5, 1, 5, 1, 5, 1, 5, 1, 5, 1];
    expect([...introselect(list, 2)]).toEqual([1, 3, 5, 0, 4, 2, 6, 7, 8, 9]);
    expect([...introselect(list, 6)]).toEqual([7, 9, 8, 3, 1, 5, 0, 6, 2, 4]);
  });
});
