import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bindInputs, bindOutputs, ProgramError, type Bindable, type Tensor } from '#program';

const LIMITS = { maxRows: 4 };

const matrix: Bindable = {
  signature: {
    inputs: [{ name: 'X', dtype: 'FP32', shape: [-1, 2] }],
    outputs: [
      { name: 'predict', dtype: 'FP32', shape: [-1] },
      { name: 'margin', dtype: 'FP32', shape: [-1] },
    ],
    defaultOutputs: ['predict'],
  },
  binding: { kind: 'table', matrix: { dtype: 'FP32', columns: 2 }, finite: true },
};

const columns: Bindable = {
  signature: {
    inputs: [
      { name: 'age', dtype: 'FP64', shape: [-1] },
      { name: 'size', dtype: 'FP64', shape: [-1] },
    ],
    outputs: [],
  },
  binding: { kind: 'table', matrix: { dtype: 'FP64', columns: 2 } },
};

const mixed: Bindable = {
  signature: {
    inputs: [
      { name: 'age', dtype: 'FP32', shape: [-1] },
      { name: 'colour', dtype: 'BYTES', shape: [-1] },
    ],
    outputs: [],
  },
  binding: { kind: 'table' },
};

const graph: Bindable = {
  signature: {
    inputs: [
      { name: 'x', dtype: 'FP32', shape: [-1, 3] },
      { name: 'seq', dtype: 'INT64', shape: [-1], sequence: true },
    ],
    outputs: [],
  },
  binding: { kind: 'tensors' },
};

function f64(name: string, shape: number[], data: number[]): Tensor {
  return { name, dtype: 'FP64', shape, data: Float64Array.from(data) };
}

function f32(name: string, shape: number[], data: number[]): Tensor {
  return { name, dtype: 'FP32', shape, data: Float32Array.from(data) };
}

function fault(program: Bindable, tensors: Tensor[]): ProgramError {
  try {
    bindInputs(program, tensors, LIMITS);
  } catch (error) {
    if (error instanceof ProgramError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('bindInputs of a table', () => {
  it('takes a single matrix of any name and dtype as X', () => {
    const bound = [f32('X', [2, 2], [1, 2, 3, NaN])];
    const tensors: Tensor[] = [
      f64('anything', [2, 2], [1, 2, 3, NaN]),
      { name: 'X', dtype: 'INT64', shape: [2, 2], data: BigInt64Array.from([1n, 2n, 3n, 4n]) },
      { name: 'X', dtype: 'BOOL', shape: [2, 2], data: Uint8Array.from([1, 0, 0, 1]) },
      {
        name: 'X',
        dtype: 'FP16',
        shape: [2, 2],
        data: Uint16Array.from([0x3c00, 0xc000, 0x0001, 0x7e00]),
      },
      {
        name: 'X',
        dtype: 'BF16',
        shape: [2, 2],
        data: Uint16Array.from([0x3f80, 0xc000, 0x0000, 0x7fc0]),
      },
    ];
    const data = tensors.map((tensor) => [
      ...(bindInputs(matrix, [tensor], LIMITS)[0]?.data ?? []),
    ]);
    expect(bindInputs(matrix, [f64('anything', [2, 2], [1, 2, 3, NaN])], LIMITS)).toEqual(bound);
    expect(data).toEqual([
      [1, 2, 3, NaN],
      [1, 2, 3, 4],
      [1, 0, 0, 1],
      [1, -2, 2 ** -24, NaN],
      [1, -2, 0, NaN],
    ]);
  });

  it('does not copy what is right already', () => {
    const given = f32('X', [1, 2], [1, 2]);
    expect(bindInputs(matrix, [given], LIMITS)[0]?.data).toBe(given.data);
  });

  it('joins columns in the order of the signature, and takes X in their place', () => {
    const tensors = [f32('size', [2, 1], [10, 20]), f64('age', [2], [1, 2])];
    const joined = [f64('X', [2, 2], [1, 10, 2, 20])];
    expect(bindInputs(columns, tensors, LIMITS)).toEqual(joined);
    expect(bindInputs(columns, [f64('X', [2, 2], [1, 10, 2, 20])], LIMITS)).toEqual(joined);
  });

  it('keeps columns of texts beside numbers apart', () => {
    const colour: Tensor = { name: 'colour', dtype: 'BYTES', shape: [2, 1], data: ['red', null] };
    expect(bindInputs(mixed, [colour, f64('age', [2], [1, 2])], LIMITS)).toEqual([
      f32('age', [2], [1, 2]),
      { ...colour, shape: [2] },
    ]);
  });

  it.each<[string, Bindable, Tensor[], string, RegExp]>([
    [
      'a wrong width',
      matrix,
      [f32('X', [1, 3], [1, 2, 3])],
      '/inputs/0/shape',
      /has 3 columns and must have 2/,
    ],
    [
      'too many rows',
      matrix,
      [f32('X', [5, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0])],
      '/inputs/0/shape',
      /5 rows; a request may have 4/,
    ],
    ['a wrong rank', matrix, [f32('X', [2], [1, 2])], '/inputs/0/shape', /must be a matrix/],
    ['nothing', matrix, [], '/inputs', /"X" is missing.*"X" FP32 \[-1, 2\]/],
    ['too few elements', matrix, [f32('X', [2, 2], [1])], '/inputs/0/data', /1 elements/],
    ['a negative dimension', matrix, [f32('X', [-1, -1], [1])], '/inputs/0/shape', /from 0/],
    [
      'texts',
      matrix,
      [{ name: 'X', dtype: 'BYTES', shape: [1, 2], data: ['a', 'b'] }],
      '/inputs/0/datatype',
      /must be numeric/,
    ],
    ['infinity', matrix, [f32('X', [1, 2], [1, -Infinity])], '/inputs/0/data', /infinite.*row 0/],
    [
      'what float32 cannot hold',
      matrix,
      [f64('X', [1, 2], [1, 1e39])],
      '/inputs/0/data',
      /too large/,
    ],
    [
      'a missing column',
      columns,
      [f64('age', [1], [1])],
      '/inputs',
      /"size" is missing.*"age" FP64 \[-1\], "size"/,
    ],
    [
      'an unknown column',
      columns,
      [f64('age', [1], [1]), f64('size', [1], [1]), f64('x', [1], [1])],
      '/inputs/2/name',
      /no input "x"/,
    ],
    [
      'a column twice',
      columns,
      [f64('age', [1], [1]), f64('size', [1], [1]), f64('age', [1], [1])],
      '/inputs/2/name',
      /given twice/,
    ],
    [
      'uneven columns',
      columns,
      [f64('age', [1], [1]), f64('size', [2], [1, 2])],
      '/inputs/1/shape',
      /2 rows where .* 1/,
    ],
    [
      'a number for a text',
      mixed,
      [f64('age', [1], [1]), f64('colour', [1], [1])],
      '/inputs/1/datatype',
      /FP64 and must be BYTES/,
    ],
  ])('refuses %s', (_, program, tensors, pointer, message) => {
    const error = fault(program, tensors);
    expect(error).toMatchObject({ code: 'INVALID_INPUT', pointer });
    expect(error.message).toMatch(message);
  });

  it('answers or refuses whatever it is given', () => {
    const dimension = fc.integer({ min: -1, max: 3 });
    const tensor = fc
      .record({
        name: fc.constantFrom('X', 'age', 'size', 'colour', 'x', 'seq.0'),
        dtype: fc.constantFrom('FP32' as const, 'FP64' as const, 'BYTES' as const),
        shape: fc.array(dimension, { maxLength: 3 }),
        length: fc.nat(9),
      })
      .map(({ name, dtype, shape, length }): Tensor => {
        const data =
          dtype === 'BYTES' ? Array.from({ length }, () => 'a') : new Float64Array(length);
        return { name, dtype, shape, data: dtype === 'FP32' ? new Float32Array(length) : data };
      });
    const program = fc.constantFrom(matrix, columns, mixed, graph);
    fc.assert(
      fc.property(program, fc.array(tensor, { maxLength: 4 }), (bindable, tensors) => {
        try {
          bindInputs(bindable, tensors, LIMITS);
        } catch (error) {
          expect(error).toBeInstanceOf(ProgramError);
        }
      }),
    );
  });
});

describe('bindInputs of a graph of tensors', () => {
  const seq = (i: number): Tensor => ({
    name: `seq.${i}`,
    dtype: 'INT64',
    shape: [1],
    data: new BigInt64Array(1),
  });
  const x = f32('x', [1, 3], [1, 2, 3]);

  it('takes exactly what the signature says, and the items of a sequence', () => {
    expect(bindInputs(graph, [seq(1), x, seq(0)], LIMITS)).toEqual([x, seq(0), seq(1)]);
    expect(bindInputs(graph, [x], LIMITS)).toEqual([x]);
  });

  it.each<[string, Tensor[], string]>([
    ['another dtype', [f64('x', [1, 3], [1, 2, 3])], '/inputs/0/datatype'],
    ['another shape', [f32('x', [3, 1], [1, 2, 3])], '/inputs/0/shape'],
    ['a gap in a sequence', [x, seq(1)], '/inputs/1/name'],
  ])('refuses %s', (_, tensors, pointer) => {
    expect(fault(graph, tensors)).toMatchObject({ code: 'INVALID_INPUT', pointer });
  });
});

describe('bindOutputs', () => {
  it('answers the default, or what is asked for', () => {
    expect(bindOutputs(matrix)).toEqual(['predict']);
    expect(bindOutputs(matrix, ['margin', 'predict'])).toEqual(['margin', 'predict']);
  });

  it('refuses what the program does not have', () => {
    expect(() => bindOutputs(matrix, ['leaf'])).toThrow(/no output "leaf".*"predict" FP32/);
    expect(() => bindOutputs(matrix, ['margin', 'margin'])).toThrow(/twice/);
  });
});

describe('a matrix whose columns have names', () => {
  const named = (tensor: Tensor, ...names: unknown[]): Tensor => ({
    ...tensor,
    parameters: { columns: names },
  });
  const texts = (name: string, data: (string | null)[], width = 1): Tensor => ({
    name,
    dtype: 'BYTES',
    shape: [data.length / width, width],
    data,
  });

  it('stands for its columns, in any order', () => {
    const tensor = named(f32('rows', [2, 2], [1, 2, 3, 4]), 'size', 'age');
    expect(bindInputs(columns, [tensor], LIMITS)).toEqual([f64('X', [2, 2], [2, 1, 4, 3])]);
    const integers: Tensor = {
      ...tensor,
      dtype: 'INT64',
      data: BigInt64Array.of(1n, 2n, 3n, 4n),
    };
    expect(bindInputs(columns, [integers], LIMITS)).toEqual([f64('X', [2, 2], [2, 1, 4, 3])]);
  });

  it('may stand beside one of texts', () => {
    const request = [
      named(texts('t', ['red', null]), 'colour'),
      named(f32('n', [2, 1], [7, NaN]), 'age'),
    ];
    expect(bindInputs(mixed, request, LIMITS)).toEqual([
      f32('age', [2], [7, NaN]),
      { name: 'colour', dtype: 'BYTES', shape: [2], data: ['red', null] },
    ]);
  });

  it('goes by place where the model has no names', () => {
    const tensor = named(f32('X', [1, 2], [1, 2]), 'b', 'a');
    expect(bindInputs(matrix, [tensor], LIMITS)).toMatchObject([{ data: Float32Array.of(1, 2) }]);
  });

  it.each<[string, Tensor[], RegExp]>([
    ['too few names', [named(f32('n', [1, 2], [1, 2]), 'age')], /"columns" must be/],
    ['no names', [named(f32('n', [1, 2], [1, 2]), 1, 2)], /"columns" must be/],
    ['a column', [named(f32('n', [2], [1, 2]), 'age', 'size')], /"columns" must be/],
    ['an unknown name', [named(f32('n', [1, 3], [1, 2, 3]), 'age', 'size', 'x')], /"x"/],
    ['a name twice', [named(f32('n', [1, 3], [1, 2, 3]), 'age', 'size', 'age')], /twice/],
  ])('is refused with %s', (_, tensors, message) => {
    const { pointer, message: text } = fault(columns, tensors);
    expect([pointer, text]).toEqual([
      '/inputs/0/parameters/columns',
      expect.stringMatching(message),
    ]);
  });

  it('is refused with the place in the request', () => {
    const request = [f64('age', [1], [1]), named(texts('t', ['a', 'b'], 2), 'size', 'x')];
    expect(fault(columns, request).pointer).toBe('/inputs/1/parameters/columns');
    const other = [f64('age', [1], [1]), named(texts('t', ['a']), 'size')];
    expect(fault(columns, other).pointer).toBe('/inputs/1/datatype');
  });
});
