import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { WeightRef } from '../program.js';
import { WeightsReader, WeightsWriter } from '../weights.js';
import { KernelArguments } from './kernel.js';
import { boosters } from './boosters.js';

function run(data: Float64Array, attributes: Record<string, boolean | string>, missing?: number) {
  const writer = new WeightsWriter();
  const weights: Record<string, WeightRef> =
    missing === undefined ? {} : { missing: writer.add('FP32', Float32Array.of(missing)) };
  const node = {
    kind: 'kernel' as const,
    kernel: 'xgboost-rows',
    inputs: ['X'],
    outputs: ['Y'],
    attributes,
    weights,
  };
  const prepared = boosters['xgboost-rows']?.(
    new KernelArguments(node, new WeightsReader(writer.toBytes()), '/nodes/0'),
  );
  return prepared?.([{ dtype: 'FP64', shape: [data.length, 1], data }])[0]?.data;
}

describe('xgboost-rows', () => {
  it('rounds, and makes what is missing NaN', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.double(), fc.constantFrom(0, -0, 0.1, -999)), { minLength: 1 }),
        fc.boolean(),
        fc.option(fc.constantFrom(0, 0.1, -999, Infinity), { nil: undefined }),
        (numbers, sparse, missing) => {
          const attributes = { zeros: sparse ? 'missing' : 'stay', finite: false };
          const got = run(Float64Array.from(numbers), attributes, missing);
          const want = numbers.map((x) => {
            const rounded = Math.fround(x);
            const none = missing !== undefined && rounded === Math.fround(missing);
            return none || (sparse && rounded === 0) ? NaN : rounded;
          });
          expect(got).toEqual(Float32Array.from(want));
        },
      ),
    );
  });

  it('refuses infinities with their row where a DMatrix does', () => {
    const attributes = { zeros: 'stay', finite: true };
    expect(() => run(Float64Array.of(1, 1e300), attributes)).toThrow(/row 1/);
    expect(run(Float64Array.of(1, Infinity), attributes, Infinity)).toEqual(
      Float32Array.of(1, NaN),
    );
  });
});
