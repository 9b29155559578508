import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { concatRows, splitRows, type Tensor } from '#program';

const request = fc.integer({ min: 0, max: 4 }).chain((rows) =>
  fc.record({
    a: fc.array(fc.float({ noNaN: true }), { minLength: rows * 2, maxLength: rows * 2 }),
    b: fc.array(fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), { minLength: rows, maxLength: rows }),
    c: fc.array(fc.option(fc.string()), { minLength: rows, maxLength: rows }),
  }),
);

function tensorsOf({ a, b, c }: { a: number[]; b: bigint[]; c: (string | null)[] }): Tensor[] {
  return [
    { name: 'a', dtype: 'FP32', shape: [b.length, 2], data: Float32Array.from(a) },
    { name: 'b', dtype: 'INT64', shape: [b.length], data: BigInt64Array.from(b) },
    { name: 'c', dtype: 'BYTES', shape: [b.length, 1], data: c },
  ];
}

describe('batches', () => {
  it('are cut into what they were joined from', () => {
    fc.assert(
      fc.property(fc.array(request, { minLength: 1, maxLength: 5 }), (given) => {
        const requests = given.map(tensorsOf);
        const joined = concatRows(requests);
        expect(
          splitRows(
            joined,
            given.map(({ b }) => b.length),
          ),
        ).toEqual(requests);
      }),
    );
  });

  it('refuse requests that differ, and answers of another number of rows', () => {
    const [a] = tensorsOf({ a: [1, 2], b: [1n], c: ['x'] });
    if (!a) throw new Error('there is no tensor');
    expect(() => concatRows([[a], [{ ...a, dtype: 'FP64' }]])).toThrow(/differ in input "a"/);
    expect(() => splitRows([a], [1, 1])).toThrow(/2 rows were asked/);
  });
});
