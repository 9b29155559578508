import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Attribute, WeightRef } from '../program.js';
import type { TypedArray } from '../dtype.js';
import { WeightsReader, WeightsWriter } from '../weights.js';
import { KernelArguments, type Value } from './kernel.js';
import { kernels } from './kernels.js';

type Weights = Record<string, { dtype: WeightRef['dtype']; data: TypedArray; shape?: number[] }>;

/** Runs one kernel as a program would. */
function run(
  kernel: string,
  inputs: Value[],
  attributes: Record<string, Attribute> = {},
  given: Weights = {},
): Value {
  const writer = new WeightsWriter();
  const weights = Object.fromEntries(
    Object.entries(given).map(([name, { dtype, data, shape }]) => [
      name,
      writer.add(dtype, data, shape),
    ]),
  );
  const reader = new WeightsReader(writer.toBytes());
  const node = { kind: 'kernel' as const, kernel, inputs: [], outputs: [], attributes, weights };
  const [answer] = kernels.get(kernel)?.(new KernelArguments(node, reader, ''))(inputs) ?? [];
  if (!answer) throw new Error(`there is no kernel ${kernel}`);
  return answer;
}

function table(rows: number[][]): Value {
  const width = rows[0]?.length ?? 0;
  return { dtype: 'FP64', shape: [rows.length, width], data: Float64Array.from(rows.flat()) };
}

const cell = fc.integer({ min: -50, max: 50 }).map((x) => x / 4);
const width = 4;
const matrix = fc.array(fc.array(cell, { minLength: width, maxLength: width }), {
  minLength: 1,
  maxLength: 12,
});

describe('kernels for tables', () => {
  it('choose and join columns as a naive version does', () => {
    const columns = fc.array(fc.integer({ min: 0, max: width - 1 }), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(matrix, columns, (rows, chosen) => {
        const weights: Weights = { columns: { dtype: 'INT32', data: Int32Array.from(chosen) } };
        const taken = run('take-columns', [table(rows)], {}, weights);
        expect([...taken.data]).toEqual(rows.flatMap((row) => chosen.map((c) => row[c])));
        const joined = run('join-tables', [table(rows), taken]);
        expect([...joined.data]).toEqual(
          rows.flatMap((row) => [...row, ...chosen.map((c) => row[c])]),
        );
      }),
    );
  });

  it('find the largest of each row, the first or the last of equals', () => {
    fc.assert(
      fc.property(matrix, (rows) => {
        const most = rows.map((row) => Math.max(...row));
        expect([...run('largest-column', [table(rows)]).data]).toEqual(
          rows.map((row, i) => row.indexOf(most[i] ?? NaN)),
        );
        expect([...run('last-largest-column', [table(rows)]).data]).toEqual(
          rows.map((row, i) => row.lastIndexOf(most[i] ?? NaN)),
        );
      }),
    );
  });

  it('refuse what scikit-learn refuses', () => {
    const attributes = { missing: 'refuse', dtype: 'FP32', owner: 'Ridge' };
    for (const wrong of [NaN, Infinity, -Infinity, 1e39]) {
      expect(() =>
        run(
          'check-finite',
          [
            table([
              [1, 2],
              [3, wrong],
            ]),
          ],
          attributes,
        ),
      ).toThrow(/in row 1, column 1 of what Ridge reads/);
    }
    const passes = { ...attributes, missing: 'pass', dtype: 'FP64' };
    expect(run('check-finite', [table([[NaN, 1e39]])], passes).data).toHaveLength(2);
  });
});
