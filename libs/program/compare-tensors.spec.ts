import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compareTensors, type Tensor } from '#program';

const exact = { rtol: 0, atol: 0 };
const f64 = (data: number[], shape = [data.length]): Tensor => ({
  name: 'y',
  dtype: 'FP64',
  shape,
  data: Float64Array.from(data),
});
const f32 = (data: number[]): Tensor => ({
  name: 'y',
  dtype: 'FP32',
  shape: [data.length],
  data: Float32Array.from(data),
});
const i64 = (data: bigint[]): Tensor => ({
  name: 'y',
  dtype: 'INT64',
  shape: [data.length],
  data: BigInt64Array.from(data),
});
const i32 = (data: number[]): Tensor => ({
  name: 'y',
  dtype: 'INT32',
  shape: [data.length],
  data: Int32Array.from(data),
});
const texts = (data: (string | Uint8Array | null)[]): Tensor => ({
  name: 'y',
  dtype: 'BYTES',
  shape: [data.length],
  data,
});

describe('compareTensors', () => {
  it.each<[string, Tensor, Tensor, { rtol: number; atol: number }]>([
    ['the same numbers', f64([1, NaN, Infinity]), f64([1, NaN, Infinity]), exact],
    ['within rtol', f64([1.000001]), f64([1]), { rtol: 2e-6, atol: 0 }],
    ['within atol', f64([1e-9]), f64([0]), { rtol: 0, atol: 1e-8 }],
    ['float32 for float64', f32([0.5]), f64([0.5]), exact],
    ['integers of another width', i32([1, -2]), i64([1n, -2n]), exact],
    ['texts and their bytes', texts(['é', null]), texts([Uint8Array.of(0xc3, 0xa9), null]), exact],
  ])('takes %s', (_, got, expected, tolerance) => {
    expect(compareTensors([got], [expected], tolerance)).toMatchObject({ equal: true });
  });

  it.each<[string, Tensor, Tensor, { rtol: number; atol: number }, object]>([
    [
      'another number',
      f64([1, 2, 3, 5], [2, 2]),
      f64([1, 2, 3, 4], [2, 2]),
      exact,
      { at: [1, 1], message: 'is 5 at [1, 1] where 4 is expected' },
    ],
    ['a number for NaN', f64([1]), f64([NaN]), { rtol: 1, atol: 1 }, { at: [0] }],
    ['a number for infinity', f64([1e308]), f64([Infinity]), { rtol: 1, atol: 1 }, { at: [0] }],
    ['integers, whatever the tolerance', i64([2n]), i64([1n]), { rtol: 1, atol: 1 }, { at: [0] }],
    ['large integers that are near', i64([2n ** 62n + 1n]), i64([2n ** 62n]), exact, { at: [0] }],
    [
      'another shape',
      f64([1, 2], [2, 1]),
      f64([1, 2]),
      exact,
      { message: 'has shape [2, 1] where [2] is expected' },
    ],
    ['another kind', i64([1n]), f64([1]), exact, { message: 'is INT64 where FP64 is expected' }],
    ['a missing text', texts([null]), texts(['null']), exact, { at: [0] }],
  ])('finds %s', (_, got, expected, tolerance, difference) => {
    expect(compareTensors([got], [expected], tolerance)).toMatchObject({
      equal: false,
      greatest: { output: 'y', ...difference },
    });
  });

  it('misses an output that was not made', () => {
    expect(compareTensors([], [f64([1])], exact)).toMatchObject({
      equal: false,
      greatest: { output: 'y' },
    });
  });

  it('tells the greatest difference also where it is allowed, in parts of what is allowed', () => {
    const got = f64([1.5, 100.5, 3]);
    expect(compareTensors([got], [f64([1, 100, 3])], { rtol: 1, atol: 0 })).toEqual({
      equal: true,
      greatest: {
        output: 'y',
        at: [0],
        absolute: 0.5,
        relative: 0.5,
        message: 'is 1.5 at [0] where 1 is expected',
      },
    });
    expect(compareTensors([got], [got], exact)).toMatchObject({
      equal: true,
      greatest: { absolute: 0, relative: 0, message: 'is as expected' },
    });
    const labels = compareTensors([texts(['a', 'b'])], [texts(['a', 'b'])], exact);
    expect(labels).toEqual({
      equal: true,
      greatest: { output: 'y', at: [0], message: 'is as expected' },
    });
  });

  it('has nothing to tell where nothing is expected', () => {
    expect(compareTensors([f64([1])], [], exact)).toEqual({ equal: true });
    expect(compareTensors([f64([])], [f64([])], exact)).toEqual({ equal: true });
  });

  it('says the same of every element as the definition', () => {
    const number = fc.oneof(
      fc.double({ min: -2, max: 2 }),
      fc.constantFrom(NaN, Infinity, -Infinity, 0, -0),
    );
    const pairs = fc.array(fc.tuple(number, number), { minLength: 1, maxLength: 8 });
    const tolerance = fc.record({
      rtol: fc.constantFrom(0, 0.1, 1),
      atol: fc.constantFrom(0, 0.01, 1),
    });
    fc.assert(
      fc.property(pairs, tolerance, (elements, { rtol, atol }) => {
        const near = elements.every(
          ([is, should]) =>
            Object.is(is, should) ||
            is === should ||
            (Number.isFinite(is) &&
              Number.isFinite(should) &&
              Math.abs(is - should) / (atol + rtol * Math.abs(should)) <= 1),
        );
        const got = f64(elements.map(([is]) => is));
        const expected = f64(elements.map(([, should]) => should));
        expect(compareTensors([got], [expected], { rtol, atol }).equal).toBe(near);
      }),
    );
  });
});
