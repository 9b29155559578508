import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WeightsReader } from '../weights.js';
import { KernelArguments } from './kernel.js';
import { kernels } from './kernels.js';

/** What `integer-categories` of 9 values makes of some. */
function categoriesOf(data: Float64Array): unknown {
  const attributes = { values: 9, column: 'workclass' };
  const name = 'integer-categories';
  const node = { kind: 'kernel' as const, kernel: name, inputs: [], outputs: [], attributes };
  const given = new KernelArguments(
    { ...node, weights: {} },
    new WeightsReader(new Uint8Array(0)),
    '',
  );
  return kernels.get(name)?.(given)([{ dtype: 'FP64', shape: [data.length], data }])[0]?.data;
}

describe('integer-categories', () => {
  it('are codes, or missing', () => {
    const code = fc.oneof(fc.integer({ min: -1, max: 8 }), fc.constant(NaN));
    fc.assert(
      fc.property(fc.array(code), (codes) => {
        const expected = Float64Array.from(codes, (c) => (c >= 0 ? c : NaN));
        expect(categoriesOf(Float64Array.from(codes))).toEqual(expected);
      }),
    );
  });

  it.each([9, 1.5, -2, Infinity])('%p is refused where there are 9', (code) => {
    expect(() => categoriesOf(Float64Array.of(8, code))).toThrow(
      /"workclass" has .* in row 1.* from 0 to 8/,
    );
  });
});
