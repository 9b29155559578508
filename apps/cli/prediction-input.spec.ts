import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { TensorSpec } from '#sdk';
import { UsageError } from './failure.js';
import { parseCsv, readInput } from './prediction-input.js';

const matrix: TensorSpec[] = [{ name: 'X', dtype: 'FP32', shape: [-1, 2] }];
const columns: TensorSpec[] = [
  { name: 'age', dtype: 'FP64', shape: [-1] },
  { name: 'town', dtype: 'BYTES', shape: [-1] },
];

async function read(text: string, specs: TensorSpec[] = matrix) {
  return (await readInput(text, 'file', async () => specs)).values;
}

describe('readInput', () => {
  it('takes a V2 request with what it says beside its inputs', async () => {
    const inputs = [{ name: 'x', datatype: 'INT64', shape: [1], data: [1] }];
    const request = { id: 'a', inputs, outputs: [{ name: 'y' }], parameters: { k: 1 } };
    const read = await readInput(JSON.stringify(request), 'file', async () => []);
    expect(read).toEqual({
      values: inputs,
      options: { id: 'a', outputs: ['y'], parameters: { k: 1 } },
    });
    const example = await readInput(
      JSON.stringify({ inputExample: { inputs } }),
      'file',
      async () => [],
    );
    expect(example.values).toEqual(inputs);
  });

  it('takes values by input and bare arrays, INT64 exact', async () => {
    expect(await read('{"x": [[1, 9007199254740993]]}')).toEqual({ x: [[1, 9007199254740993n]] });
    expect(await read(' [[1, 2]]')).toEqual([[1, 2]]);
  });

  it('takes CSV as rows of the only input', async () => {
    expect(await read('a,b\n1,2.5\n,NaN\n')).toEqual({
      X: [
        [1, 2.5],
        [null, Number.NaN],
      ],
    });
  });

  it('takes CSV as columns of the same names', async () => {
    const text = '\uFEFFage,town\r\n41,"Paris, ""TX"""\r\n,12\r\n';
    expect(await read(text, columns)).toEqual({ age: [41, null], town: ['Paris, "TX"', '12'] });
  });

  it('says what is wrong', async () => {
    await expect(read('{"x": [1')).rejects.toThrow(UsageError);
    await expect(read('a,b\n1')).rejects.toThrow('row 1 has 1 cells, and the header 2');
    await expect(read('a,b')).rejects.toThrow('has no rows');
    await expect(read('a,b\n1,2"3')).rejects.toThrow('stray quote');
    await expect(read('age,wrong\n1,2', columns)).rejects.toThrow('no inputs of the model: wrong');
  });
});

describe('parseCsv', () => {
  it('reads what a writer of RFC 4180 wrote', () => {
    const cell = fc.string({
      maxLength: 6,
      unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', 'é'),
    });
    const table = fc.integer({ min: 2, max: 4 }).chain((width) =>
      fc.array(fc.array(cell, { minLength: width, maxLength: width }), {
        minLength: 2,
        maxLength: 5,
      }),
    );
    fc.assert(
      fc.property(table, fc.constantFrom('\n', '\r\n'), fc.boolean(), (rows, end, last) => {
        const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
        const text = rows.map((row) => row.map(quoted).join(',')).join(end) + (last ? end : '');
        const [head, ...body] = rows;
        expect(parseCsv(text, 'file')).toEqual({ columns: head, rows: body });
      }),
    );
  });
});
