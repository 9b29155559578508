import fc from 'fast-check';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { DenseSums, denseSums, exponentials, loadDense, positives, tangents } from './dense.js';

const numbers = (length: number) =>
  fc
    .array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), {
      minLength: length,
      maxLength: length,
    })
    .map((items) => Float64Array.from(items));

const tables = fc
  .record({
    kind: fc.constantFrom('affine' as const, 'squares' as const),
    rows: fc.integer({ min: 0, max: 11 }),
    width: fc.integer({ min: 1, max: 9 }),
    outputs: fc.integer({ min: 1, max: 13 }),
  })
  .chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      source: numbers(shape.rows * shape.width),
      weights: numbers(shape.width * shape.outputs),
      start: numbers(shape.outputs),
    }),
  );

describe('dense kernels', () => {
  beforeAll(loadDense);

  it('sum as a plain loop does, to the last bit, for any number of rows', () => {
    fc.assert(
      fc.property(tables, ({ shape, source, weights, start }) => {
        const { kind, rows, width, outputs } = shape;
        const at = (column: number, output: number) => weights[column * outputs + output] ?? NaN;
        const isAffine = kind === 'affine';
        const sums = new DenseSums({ kind, width, outputs, at, ...(isAffine && { start }) });
        const expected = Array.from({ length: rows * outputs }, (_, i) => {
          const row = Math.floor(i / outputs);
          let sum = isAffine ? (start[i % outputs] ?? NaN) : 0;
          for (let column = 0; column < width; column++) {
            const x = source[row * width + column] ?? NaN;
            const weight = at(column, i % outputs);
            sum += isAffine ? x * weight : (x - weight) ** 2;
          }
          return sum;
        });
        expect(Array.from(denseSums(sums, outputs, source, rows))).toEqual(expected);
      }),
    );
  });

  it('go on when weights had to make room for others', () => {
    const large = Array.from(
      { length: 12 },
      (_, k) => new DenseSums({ kind: 'affine', width: 1000, outputs: 500, at: () => k }),
    );
    const ones = new Float64Array(1000).fill(1);
    for (let pass = 0; pass < 2; pass++) {
      for (const [k, sums] of large.entries()) {
        expect(denseSums(sums, 500, ones, 1)[499]).toBe(1000 * k);
      }
    }
  });

  it('say where weights are too large for their memory', () => {
    const at = () => 0;
    expect(new DenseSums({ kind: 'affine', width: 1e6, outputs: 1, at }).fits).toBe(false);
    expect(new DenseSums({ kind: 'affine', width: 10_000, outputs: 1000, at }).fits).toBe(false);
  });

  it('raise e to any power up to 0', () => {
    const sums = new DenseSums({ kind: 'squares', width: 1, outputs: 1, at: () => 0 });
    const powerOf = (x: number): number => {
      let power = NaN;
      sums.run(Float64Array.of(Math.sqrt(-x)), 1, (squares, block) => {
        squares[0] = -x;
        exponentials(squares, block, -1);
        power = squares[0] ?? NaN;
      });
      return power;
    };
    fc.assert(
      fc.property(fc.double({ min: -708, max: 0, noNaN: true }), (x) => {
        expect(Math.abs(powerOf(x) / Math.exp(x) - 1)).toBeLessThan(4e-16);
      }),
    );
    expect(powerOf(0)).toBe(1);
    expect(powerOf(-800)).toBe(0);
    expect(powerOf(-Infinity)).toBe(0);
    expect(powerOf(NaN)).toBeNaN();
  });

  it('give the tangent of any number, precise near 0', () => {
    fc.assert(
      fc.property(fc.array(fc.double()), (items) => {
        const data = Float64Array.from(items);
        tangents(data);
        for (const [i, x] of items.entries()) {
          const expected = Math.tanh(x);
          const got = data[i] ?? 0;
          if (Number.isNaN(x) || expected === 0) expect(got).toBe(expected);
          else expect(Math.abs(got / expected - 1)).toBeLessThan(1e-15);
        }
      }),
    );
  });

  it('give 0 for what is below it', () => {
    fc.assert(
      fc.property(fc.array(fc.double()), (items) => {
        const data = Float64Array.from(items);
        positives(data);
        expect(Array.from(data)).toEqual(items.map((x) => Math.max(x, 0)));
      }),
    );
  });
});
