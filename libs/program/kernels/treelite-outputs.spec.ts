import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WeightsReader, WeightsWriter } from '../weights.js';
import { KernelArguments, type Value } from './kernel.js';
import { kernels } from './kernels.js';

function run(name: string, input: Value, attributes: Record<string, number>, divisors?: number[]) {
  const writer = new WeightsWriter();
  const weights = divisors && { divisors: writer.add('FP64', Float64Array.from(divisors)) };
  const node = { kind: 'kernel' as const, kernel: name, inputs: [], outputs: [], attributes };
  const reader = new WeightsReader(writer.toBytes());
  const given = new KernelArguments({ ...node, weights: weights ?? {} }, reader, '');
  return kernels.get(name)?.(given)([input])[0];
}

const count = fc.integer({ min: 1, max: 5 });

describe('answers of several targets', () => {
  it('are cut into rows and joined again', () => {
    fc.assert(
      fc.property(count, count, count, (rows, groups, columns) => {
        const data = Float32Array.from({ length: rows * groups * columns }, (_, i) => i);
        const input: Value = { dtype: 'FP32', shape: [rows, groups * columns], data };
        const cut = run('treelite-cut-rows', input, { groups });
        expect(cut).toEqual({ dtype: 'FP32', shape: [rows * groups, columns], data });
        const joined = run('treelite-join-rows', cut ?? input, { groups, columns });
        expect(joined).toEqual({ dtype: 'FP32', shape: [rows, groups, columns], data });
      }),
    );
  });

  it('are means over the trees of each column', () => {
    const divisor = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.float({ noNaN: true }), divisor), { minLength: 1 }),
        (all) => {
          const data = Float32Array.from(all, ([x]) => x);
          const input: Value = { dtype: 'FP32', shape: [1, all.length], data };
          const divisors = all.map(([, d]) => d);
          const expected = Float32Array.from(all, ([x, d]) => x / d);
          expect(run('treelite-means', input, {}, divisors)?.data).toEqual(expected);
        },
      ),
    );
  });
});
