import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { KernelNode, WeightRef } from '../program.js';
import { WeightsReader, WeightsWriter } from '../weights.js';
import { KernelArguments, type Value } from './kernel.js';
import { kernels } from './kernels.js';
import { dense, denseRows, sparseForms, SparseRows } from './sparse.js';

const WIDTH = 6;

const cell = fc.oneof(
  { weight: 2, arbitrary: fc.constant(0) },
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e3, max: 1e3 }),
);
const rows = fc.array(fc.array(cell, { minLength: WIDTH, maxLength: WIDTH }), { maxLength: 5 });

function sparseOf(table: number[][]): Value {
  const made = new SparseRows(WIDTH);
  for (const row of table) {
    made.add(new Map([...row.entries()].filter(([, x]) => x !== 0).toReversed()));
  }
  return made.value();
}

/** The kernel and its form for sparse tables, with the same arguments. */
function both(
  kernel: string,
  attributes: KernelNode['attributes'],
  numbers: Record<string, Float64Array | Int32Array>,
  shapes: Record<string, number[]> = {},
) {
  const writer = new WeightsWriter();
  const weights: Record<string, WeightRef> = {};
  for (const [name, data] of Object.entries(numbers)) {
    const dtype = data instanceof Int32Array ? 'INT32' : 'FP64';
    weights[name] = writer.add(dtype, data, shapes[name] ?? [data.length]);
  }
  const node: KernelNode = { kind: 'kernel', kernel, inputs: ['x'], outputs: ['y'], weights };
  if (attributes) node.attributes = attributes;
  const given = new KernelArguments(node, new WeightsReader(writer.toBytes()), '/nodes/0');
  const run = kernels.get(kernel)?.(given);
  const form = run && sparseForms.get(kernel)?.(given, run);
  if (!run || !form) throw new Error(`there is no ${kernel}`);
  return { run, form };
}

function plain(values: Value[] | undefined): unknown {
  const [value] = values ?? [];
  if (!value) return undefined;
  const { shape, data } = dense(value);
  // −0 is 0 where nothing is kept.
  return { shape, data: Array.from(data as Float64Array, (x) => x + 0) };
}

const steps = Float64Array.from({ length: WIDTH }, (_, i) => i + 0.5);

describe('kernels on sparse tables answer what they do on full ones', () => {
  it.each([
    [
      'affine',
      undefined,
      {
        coefficients: new Float64Array(12).map((_, i) => i - 3.3),
        intercept: Float64Array.of(0.5, -2),
      },
      { coefficients: [WIDTH, 2] },
    ],
    [
      'affine',
      undefined,
      { coefficients: steps, intercept: Float64Array.of(0) },
      { coefficients: [WIDTH, 1] },
    ],
    ['scale-columns', undefined, { divide: steps, multiply: steps.toReversed() }, {}],
    ['normalise-rows', { norm: 'l2' }, {}, {}],
    ['normalise-rows', { norm: 'l1' }, {}, {}],
    ['normalise-rows', { norm: 'max' }, {}, {}],
    ['take-columns', undefined, { columns: Int32Array.of(0, 2, 5) }, {}],
    ['check-finite', { missing: 'refuse', dtype: 'FP64', owner: 'Ridge' }, {}, {}],
    ['binarise', { than: 0.2 }, {}, {}],
    ['log1p', undefined, {}, {}],
    ['sublinear', undefined, {}, {}],
    ['narrow', undefined, {}, {}],
  ] as const)('%s', (kernel, attributes, numbers, shapes) => {
    const { run, form } = both(kernel, attributes, numbers, shapes as Record<string, number[]>);
    fc.assert(
      fc.property(rows, (table) => {
        const sparse = sparseOf(table);
        expect(plain(form([sparse]))).toEqual(plain(run([dense(sparse)])));
      }),
    );
  });

  it('join-tables', () => {
    const { run, form } = both('join-tables', undefined, {});
    fc.assert(
      fc.property(rows, (table) => {
        const sparse = sparseOf(table);
        const full = dense(sparse);
        expect(plain(form([sparse, full, sparse]))).toEqual(plain(run([full, full, full])));
      }),
    );
  });

  it('names the row and column of what is not finite', () => {
    const { form } = both('check-finite', { missing: 'refuse', dtype: 'FP64', owner: 'Ridge' }, {});
    const table = [
      [0, 0, 0, 0, 0, 1],
      [0, 0, 0, Infinity, 0, 0],
    ];
    expect(() => form([sparseOf(table)])).toThrow(/in row/);
  });

  it('rows can be made full one by one', () => {
    fc.assert(
      fc.property(rows, (table) => {
        const sparse = sparseOf(table);
        const all = table.flatMap((_, row) =>
          Array.from(denseRows(sparse, row, row + 1).data as Float64Array),
        );
        expect(all).toEqual(Array.from(dense(sparse).data as Float64Array));
      }),
    );
  });

  it('what is too large in full is refused', () => {
    const wide: Value = {
      dtype: 'FP64',
      shape: [200_000, 1_000_000],
      data: new Float64Array(0),
      sparse: { starts: new Int32Array(200_001), columns: new Int32Array(0) },
    };
    expect(() => dense(wide)).toThrow(/Send fewer rows/);
  });
});
