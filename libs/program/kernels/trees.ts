import { ProgramError } from '../program-error.js';
import type { Kernel, Value } from './kernel.js';
import { floatsOf, tableShape } from './kernel.js';

/** Kernels beside the forest. */
export const trees: Record<string, Kernel> = {
  /**
   * Sums of linear models in the leaves of trees, as LightGBM computes them: each tree adds constant + Σ coefficient · x of
   * the leaf that was reached, or the leaf's value where one of these x is missing. Takes rows `[n, features]` and leaves
   * INT32 `[n, trees]`, answers FP64 like a forest does.
   *
   * Weights: `starts` INT32 `[trees + 1]` where the leaves of each tree begin; `columns` INT32 `[trees]` what a tree adds
   * to; `constants`, `values` FP64 `[leaves]`; `terms` INT32 `[leaves + 1]` where the terms of each leaf begin; `features`
   * INT32 and `coefficients` FP64 a term. Attributes: `columns`, and `zero`, up to which a number counts as 0.
   */
  'linear-leaves': (given) => {
    const int32 = (name: string) => {
      const { data } = given.weight(name, ['INT32'], 1);
      return data instanceof Int32Array ? data : given.fail(`weight ${name} must be INT32`);
    };
    const starts = int32('starts');
    const treeColumns = int32('columns');
    const terms = int32('terms');
    const features = int32('features');
    const constants = given.floats('constants', 1).data;
    const values = given.floats('values', 1).data;
    const coefficients = given.floats('coefficients', 1).data;
    const columns = given.integer('columns', 1, 100_000);
    const zero = given.number('zero');
    const { length: leaves } = constants;
    if (starts.length !== treeColumns.length + 1 || starts.at(-1) !== leaves) given.fail('starts');
    if (terms.length !== leaves + 1 || terms.at(-1) !== features.length) given.fail('terms');
    if (values.length !== leaves || coefficients.length !== features.length) given.fail('values');
    if (treeColumns.some((c) => c < 0 || c >= columns)) given.fail('columns');

    const answerOf = (row: Float32Array | Float64Array, leaf: number): number => {
      let sum = constants[leaf] ?? NaN;
      const end = terms[leaf + 1] ?? 0;
      for (let term = terms[leaf] ?? 0; term < end; term++) {
        const x = row[features[term] ?? -1] ?? NaN;
        if (Number.isNaN(x)) return values[leaf] ?? NaN;
        sum += (coefficients[term] ?? 0) * (Math.abs(x) <= zero ? 0 : x);
      }
      return sum;
    };

    return (inputs) => {
      const [table, reached] = pair(inputs);
      const { rows, columns: width } = tableShape(table);
      const source = floatsOf(table.data, 'rows');
      const { data: leaf } = reached;
      const { length: count } = treeColumns;
      if (!(leaf instanceof Int32Array) || leaf.length !== rows * count) {
        return given.fail('takes leaves INT32');
      }
      const data = new Float64Array(rows * columns);
      for (let r = 0; r < rows; r++) {
        const row = source.subarray(r * width, (r + 1) * width);
        for (let tree = 0; tree < count; tree++) {
          const at = r * columns + (treeColumns[tree] ?? 0);
          data[at] =
            (data[at] ?? 0) + answerOf(row, (starts[tree] ?? 0) + (leaf[r * count + tree] ?? 0));
        }
      }
      return [{ dtype: 'FP64', shape: columns === 1 ? [rows] : [rows, columns], data }];
    };
  },
};

function pair(inputs: Value[]): [Value, Value] {
  const [first, second] = inputs;
  if (first && second && inputs.length === 2) return [first, second];
  throw new ProgramError('INVALID_PROGRAM', 'linear-leaves takes rows and leaves');
}
