import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { TensorSpec } from './resources.js';
import type { Nested } from './tensors.js';
import { decodeOutputs, encodeInputs } from './tensors.js';
import { SlipwayError } from './slipway-error.js';

const X: TensorSpec = { name: 'x', dtype: 'FP32', shape: [-1, 4] };

describe('encodeInputs', () => {
  it('takes shapes from the nesting and dtypes from the signature', () => {
    expect(encodeInputs({ x: [[5.1, 3.5, 1.4, 0.2]] }, [X])).toEqual([
      { name: 'x', datatype: 'FP32', shape: [1, 4], data: [5.1, 3.5, 1.4, 0.2] },
    ]);
    expect(encodeInputs({ other: [[1, 2, 3, 4]] }, [X])[0]?.datatype).toBe('FP32');
  });

  it('infers a dtype where no signature names the input', () => {
    const dtype = (values: Nested) => encodeInputs({ a: values, b: [1] }, [])[0]?.datatype;
    expect(dtype([1, 2.5])).toBe('FP64');
    expect(dtype([1n, 2n])).toBe('INT64');
    expect(dtype([true, false])).toBe('BOOL');
    expect(dtype(['a', null])).toBe('BYTES');
    expect(dtype([new Float32Array(2)])).toBe('FP32');
    expect(dtype(new Uint8Array(2))).toBe('UINT8');
  });

  it('names what JSON has no number for', () => {
    const [tensor] = encodeInputs({ x: [[Number.NaN, Infinity, -Infinity, null]] }, [X]);
    expect(tensor?.data).toEqual(['NaN', 'Infinity', '-Infinity', null]);
  });

  it('adds dimensions of one where the signature has them', () => {
    const column: TensorSpec = { name: 'age', dtype: 'FP32', shape: [-1, 1] };
    expect(encodeInputs({ age: [1, 2, 3] }, [column])[0]?.shape).toEqual([3, 1]);
    expect(encodeInputs({ age: 7 }, [column])[0]?.shape).toEqual([1, 1]);
    expect(encodeInputs({ x: [1, 2, 3, 4] }, [X])[0]?.shape).toEqual([4]);
  });

  it('sends bytes that are no text as base64', () => {
    const spec: TensorSpec = { name: 'image', dtype: 'BYTES', shape: [-1] };
    const inputs = { image: [new Uint8Array([255, 0]), 'é'] };
    expect(encodeInputs(inputs, [spec])).toEqual([
      {
        name: 'image',
        datatype: 'BYTES',
        shape: [2],
        data: ['/wA=', 'w6k='],
        parameters: { content_type: 'base64' },
      },
    ]);
  });

  it('says where arrays are ragged', () => {
    for (const [values, pointer] of [
      [[[1, 2], [3]], '/inputs/x/1'],
      [[[1], 2], '/inputs/x/1'],
      [[1, [2]], '/inputs/x/1'],
    ] as [Nested, string][]) {
      const encode = () => encodeInputs({ x: values }, []);
      expect(encode).toThrow(SlipwayError);
      expect(encode).toThrow(pointer);
    }
  });
});

describe('decodeOutputs', () => {
  it('undoes what encodeInputs does', () => {
    const shape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
    const number = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Infinity, -Infinity));
    fc.assert(
      fc.property(shape, fc.infiniteStream(number), (dimensions, numbers) => {
        const build = (depth: number): Nested =>
          depth === dimensions.length
            ? numbers.next().value
            : Array.from({ length: dimensions[depth] ?? 0 }, () => build(depth + 1));
        const values = build(0);
        const [tensor] = encodeInputs({ x: values }, []);
        const wired = tensor && { ...tensor, data: tensor.data };
        expect(wired?.shape).toEqual(dimensions);
        expect(decodeOutputs(wired ? [wired] : [])['x']).toEqual(values);
      }),
    );
  });

  it('keeps INT64, text and bytes', () => {
    const outputs = decodeOutputs([
      { name: 'id', datatype: 'INT64', shape: [2], data: [1, 2n ** 60n] },
      { name: 'label', datatype: 'BYTES', shape: [2], data: ['NaN', 'b'] },
      {
        name: 'raw',
        datatype: 'BYTES',
        shape: [1],
        data: ['/wA='],
        parameters: { content_type: 'base64' },
      },
      { name: 'none', datatype: 'FP32', shape: [0, 3], data: [] },
    ]);
    expect(outputs).toEqual({
      id: [1, 2n ** 60n],
      label: ['NaN', 'b'],
      raw: [new Uint8Array([255, 0])],
      none: [],
    });
  });
});
