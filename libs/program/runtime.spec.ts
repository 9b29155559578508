import { describe, expect, it } from '@jest/globals';
import { loadProgram, type Program } from './index.js';

const COLUMNS = 3;
const ROWS = 1700;

const program: Program = {
  schemaVersion: 1,
  importer: 'test@1',
  format: 'test',
  signature: {
    inputs: [{ name: 'X', dtype: 'FP64', shape: [-1, COLUMNS] }],
    outputs: [{ name: 'y', dtype: 'FP64', shape: [-1, COLUMNS] }],
  },
  binding: { kind: 'table', matrix: { dtype: 'FP64', columns: COLUMNS } },
  rowwise: true,
  nodes: [
    {
      kind: 'kernel',
      kernel: 'check-finite',
      inputs: ['X'],
      outputs: ['checked'],
      attributes: { missing: 'refuse', dtype: 'FP64', owner: 'Scaler' },
    },
    { kind: 'kernel', kernel: 'tanh', inputs: ['checked'], outputs: ['y'] },
  ],
  weights: { size: 0 },
  files: [],
};

describe('a request of many rows', () => {
  const data = Float64Array.from({ length: ROWS * COLUMNS }, (_, i) => Math.sin(i));
  const request = (from: number, count: number) => ({
    name: 'X',
    dtype: 'FP64' as const,
    shape: [count, COLUMNS],
    data: data.slice(from * COLUMNS, (from + count) * COLUMNS),
  });

  it('gets what its rows get alone', async () => {
    const runtime = await loadProgram(program, new Uint8Array(0));
    const [whole] = await runtime.run([request(0, ROWS)], ['y']);
    expect(whole?.shape).toEqual([ROWS, COLUMNS]);
    const rows = await Promise.all(
      Array.from({ length: ROWS }, async (_, row) => {
        const [alone] = await runtime.run([request(row, 1)], ['y']);
        return Array.from(alone?.data ?? [], Number);
      }),
    );
    expect(Array.from(whole?.data ?? [], Number)).toEqual(rows.flat());
  });

  it('is told which of all rows is wrong', async () => {
    const runtime = await loadProgram(program, new Uint8Array(0));
    const wrong = request(0, ROWS);
    wrong.data[1234 * COLUMNS + 1] = NaN;
    expect(() => runtime.run([wrong], ['y'])).toThrow(/in row 1234, column 1/);
  });
});
