import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { WeightRef } from '../program.js';
import { WeightsReader, WeightsWriter } from '../weights.js';
import { KernelArguments } from './kernel.js';
import { kernels } from './kernels.js';

function run(name: string, rows: number[][], columns?: number[], width = 0): number[] {
  const writer = new WeightsWriter();
  const weights: Record<string, WeightRef> = columns
    ? { columns: writer.add('INT32', Int32Array.from(columns)) }
    : {};
  const node = { kind: 'kernel' as const, kernel: name, inputs: [], outputs: [] };
  const reader = new WeightsReader(writer.toBytes());
  const attributes = { width, rest: 'impossible' };
  const given = new KernelArguments({ ...node, attributes, weights }, reader, '');
  const shape = [rows.length, rows[0]?.length ?? 0];
  const data = Float64Array.from(rows.flat());
  const [answer] = kernels.get(name)?.(given)([{ dtype: 'FP64', shape, data }]) ?? [];
  return Array.from(answer?.data ?? [], Number);
}

const score = fc.double({ min: -30, max: 30, noNaN: true });
const rows = fc.array(fc.tuple(score, score, score).map(Array.from<number>), { minLength: 1 });

describe('logarithms of CatBoost', () => {
  it('of sigmoids are logarithms of sigmoids', () => {
    fc.assert(
      fc.property(rows, (given) => {
        for (const [i, x] of given.flat().entries()) {
          const expected = Math.log(1 / (1 + Math.exp(-x)));
          expect(run('catboost-log-sigmoid', given)[i]).toBeCloseTo(expected, 9);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('of softmaxes are logarithms of shares', () => {
    fc.assert(
      fc.property(rows, (given) => {
        const expected = given.flatMap((row) => {
          const sum = row.reduce((whole, x) => whole + Math.exp(x), 0);
          return row.map((x) => x - Math.log(sum));
        });
        for (const [i, x] of run('catboost-log-softmax', given).entries()) {
          expect(x).toBeCloseTo(expected[i] ?? NaN, 9);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('scores of classes', () => {
  it('of both are opposite', () => {
    expect(run('catboost-both-scores', [[2], [-3]])).toEqual([-2, 2, 3, -3]);
  });

  it('that training did not see are those of what cannot be', () => {
    const none = -Infinity;
    const answer = run(
      'place-columns',
      [
        [1, 2],
        [3, 4],
      ],
      [2, 0],
      4,
    );
    expect(answer).toEqual([2, none, 1, none, 4, none, 3, none]);
  });
});
