import { log64 } from '../math/logarithms.js';
import { exp64 } from './exp64.js';
import { ProgramError } from '../program-error.js';
import type { Kernel, Value } from './kernel.js';
import { floatsOf, onlyInput, tableShape } from './kernel.js';
import { checkStarts } from './numbers.js';

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

  /**
   * Adds to FP64 `[rows]` or `[rows, columns]` the numbers of the leaves INT32 `[rows, trees]` that were reached, tree after
   * tree: weights `starts` INT32 `[trees + 1]` where the nodes of each tree begin in `values` FP64, `columns` INT32 `[trees]`
   * what a tree adds to (sklearn/ensemble/_gradient_boosting.pyx).
   */
  'add-leaves': (given) => {
    const starts = given.int32('starts');
    const treeColumns = given.int32('columns');
    const values = given.floats('values', 1).data;
    checkStarts(given, starts, values.length);
    const { length: trees } = treeColumns;
    if (starts.length !== trees + 1) given.fail('starts');
    return (inputs) => {
      const [first, reached] = pair(inputs);
      const { rows, columns } = tableShape(first);
      const { data: leaf } = reached;
      if (!(leaf instanceof Int32Array) || leaf.length !== rows * trees) {
        return given.fail('takes leaves INT32');
      }
      if (treeColumns.some((column) => column < 0 || column >= columns)) given.fail('columns');
      const data = new Float64Array(floatsOf(first.data, 'sums'));
      for (let row = 0; row < rows; row++) {
        for (let tree = 0; tree < trees; tree++) {
          const at = row * columns + (treeColumns[tree] ?? 0);
          const node = (starts[tree] ?? 0) + (leaf[row * trees + tree] ?? 0);
          data[at] = (data[at] ?? 0) + (values[node] ?? NaN);
        }
      }
      return [{ dtype: 'FP64', shape: first.shape, data }];
    };
  },

  /**
   * Probabilities FP64 `[rows, classes]`, clipped by the attribute `epsilon`, as raw scores: attribute `link` = `logit` or
   * `half-logit` of the second class, `[rows]`; `log` of all, or `centred-log`, of each over their geometric mean
   * (sklearn/ensemble/_gb.py and sklearn/_loss/link.py).
   */
  'raw-shares': (given) => {
    const link = given.oneOf('link', ['logit', 'half-logit', 'log', 'centred-log']);
    const epsilon = given.number('epsilon');
    const clip = (p: number) => Math.min(Math.max(p, epsilon), 1 - epsilon);
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      const source = floatsOf(input.data, 'input of raw-shares');
      if (link === 'logit' || link === 'half-logit') {
        const data = new Float64Array(rows);
        for (let row = 0; row < rows; row++) {
          const p = clip(source[row * columns + 1] ?? NaN);
          data[row] = (link === 'logit' ? 1 : 0.5) * log64(p / (1 - p));
        }
        return [{ dtype: 'FP64', shape: [rows], data }];
      }
      const data = Float64Array.from(source, clip);
      for (let row = 0; row < rows; row++) {
        const own = data.subarray(row * columns, (row + 1) * columns);
        const logs = own.reduce((sum, p) => sum + log64(p), 0);
        const mean = link === 'log' ? 1 : exp64(logs / columns);
        for (let k = 0; k < columns; k++) own[k] = log64((own[k] ?? NaN) / mean);
      }
      return [{ dtype: 'FP64', shape: [rows, columns], data }];
    };
  },
};

function pair(inputs: Value[]): [Value, Value] {
  const [first, second] = inputs;
  if (first && second && inputs.length === 2) return [first, second];
  throw new ProgramError('INVALID_PROGRAM', 'linear-leaves takes rows and leaves');
}
