import { log64 } from '../math/logarithms.js';
import { exp64 } from './exp64.js';
import { interpolate } from './interpolate.js';
import { floatsOf, onlyInput, rowsOf, tableShape, type Kernel } from './kernel.js';
import { checkStarts } from './numbers.js';

/** Kernels that put the answers of several estimators together. All numbers are FP64. */
export const ensembles: Record<string, Kernel> = {
  /**
   * Tables of one shape added up in their order, each times its number of the attribute `weights` (absent: 1), divided by
   * the attribute `divisor` in the end.
   */
  combine: (given) => {
    const divisor = given.number('divisor');
    const weights = given.has('weights') ? given.numbers('weights') : undefined;
    return (inputs) => {
      const [first] = inputs;
      if (!first || (weights && weights.length !== inputs.length)) return given.fail('inputs');
      const data = new Float64Array(first.data.length);
      for (const [number, input] of inputs.entries()) {
        const source = floatsOf(input.data, 'input of combine');
        if (source.length !== data.length) given.fail('inputs of several shapes');
        const weight = weights?.[number] ?? 1;
        for (let i = 0; i < data.length; i++)
          data[i] = (data[i] ?? 0) + (source[i] ?? NaN) * weight;
      }
      if (divisor !== 1) for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? NaN) / divisor;
      return [{ dtype: 'FP64', shape: first.shape, data }];
    };
  },

  /**
   * Votes: inputs are classes INT32 `[rows]`; each adds its number of the attribute `weights` to its class, and its number
   * of the attribute `others` (absent: 0) to all others. Attribute `classes` = how many. Answers `[rows, classes]`.
   */
  votes: (given) => {
    const weights = given.numbers('weights');
    const others = given.has('others') ? given.numbers('others') : undefined;
    const classes = given.integer('classes', 1, 100_000);
    return (inputs) => {
      const rows = inputs[0]?.data.length ?? 0;
      const data = new Float64Array(rows * classes);
      for (const [number, { data: index }] of inputs.entries()) {
        if (!(index instanceof Int32Array) || index.length !== rows)
          return given.fail('takes INT32');
        const weight = weights[number] ?? 0;
        const other = others?.[number] ?? 0;
        for (let row = 0; row < rows; row++) {
          for (let k = 0; k < classes; k++) {
            const at = row * classes + k;
            data[at] = (data[at] ?? 0) + (index[row] === k ? weight : other);
          }
        }
      }
      return [{ dtype: 'FP64', shape: [rows, classes], data }];
    };
  },

  /** Each row divided by its sum; where that is 0, attribute `zero` = `uniform` makes all equal, `nan` divides all the same, `stay` does not. */
  'share-rows': (given) => {
    const zero = given.oneOf('zero', ['uniform', 'nan', 'stay']);
    return (inputs) => {
      const input = onlyInput(inputs);
      const { rows, columns } = tableShape(input);
      const data = new Float64Array(floatsOf(input.data, 'input of share-rows'));
      for (let row = 0; row < rows; row++) {
        const start = row * columns;
        let sum = 0;
        for (let i = start; i < start + columns; i++) sum += data[i] ?? NaN;
        if (sum === 0 && zero === 'stay') continue;
        for (let i = start; i < start + columns; i++) {
          data[i] = sum === 0 && zero === 'uniform' ? 1 / columns : (data[i] ?? NaN) / sum;
        }
      }
      return [{ dtype: 'FP64', shape: input.shape, data }];
    };
  },

  /** The logarithm of each row's sum of exponentials taken off the row (log probabilities from log likelihoods). */
  'subtract-log-sum': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const data = new Float64Array(floatsOf(input.data, 'input of subtract-log-sum'));
    for (let row = 0; row < rows; row++) {
      const start = row * columns;
      let most = -Infinity;
      for (let i = start; i < start + columns; i++) most = Math.max(most, data[i] ?? NaN);
      let sum = 0;
      for (let i = start; i < start + columns; i++) sum += exp64((data[i] ?? NaN) - most);
      const logSum = log64(sum) + most;
      for (let i = start; i < start + columns; i++) data[i] = (data[i] ?? NaN) - logSum;
    }
    return [{ dtype: 'FP64', shape: input.shape, data }];
  },

  /**
   * The columns of a table at other places: column i becomes `columns`[i] INT32 of `width`, the rest are 0, or with the
   * attribute `rest` = impossible −∞, the score of what cannot be.
   */
  'place-columns': (given) => {
    const columns = given.int32('columns');
    const width = given.integer('width', 1, 100_000);
    const rest = given.has('rest') ? given.oneOf('rest', ['zero', 'impossible']) : 'zero';
    if (columns.some((column) => column < 0 || column >= width)) given.fail('columns');
    const { length: count } = columns;
    return (inputs) => {
      const { source, rows } = rowsOf(given, inputs, count);
      const data = new Float64Array(rows * width).fill(rest === 'zero' ? 0 : -Infinity);
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < count; i++) {
          data[row * width + (columns[i] ?? 0)] = source[row * count + i] ?? NaN;
        }
      }
      return [{ dtype: 'FP64', shape: [rows, width], data }];
    };
  },

  /**
   * The weighted median of the inputs, each `[rows]` with its number of the attribute `weights` (AdaBoostRegressor,
   * sklearn/ensemble/_weight_boosting.py): the first in ascending order at which the weights reach half their sum.
   */
  'weighted-median': (given) => {
    const weights = given.numbers('weights');
    return (inputs) => {
      const sources = inputs.map(({ data }) => floatsOf(data, 'input of weighted-median'));
      if (sources.length !== weights.length) given.fail('inputs');
      const rows = sources[0]?.length ?? 0;
      const data = new Float64Array(rows);
      const order = sources.map((_, i) => i);
      for (let row = 0; row < rows; row++) {
        order.sort((a, b) => (sources[a]?.[row] ?? 0) - (sources[b]?.[row] ?? 0) || a - b);
        data[row] = sources[order[medianPlace(order, weights)] ?? 0]?.[row] ?? NaN;
      }
      return [{ dtype: 'FP64', shape: [rows], data }];
    };
  },

  /**
   * Piecewise linear functions, column by column: column c goes through the points (`x`, `y`) FP64 from `starts`[c] to
   * `starts`[c + 1]; beyond the ends it stays (numpy.interp).
   */
  interpolate: (given) => {
    const starts = given.int32('starts');
    const x = given.floats('x', 1).data;
    const y = given.floats('y', 1).data;
    if (x.length !== y.length) given.fail('points');
    checkStarts(given, starts, x.length);
    const interpolateColumn = (column: number, at: number): number => {
      const from = starts[column] ?? 0;
      return interpolate(
        x,
        y.subarray(from),
        { from, count: (starts[column + 1] ?? 0) - from },
        at,
      );
    };
    return (inputs) => {
      const input = onlyInput(inputs);
      const { columns } = tableShape(input);
      if (columns !== starts.length - 1) given.fail(`takes ${starts.length - 1} columns`);
      const data = new Float64Array(floatsOf(input.data, 'input of interpolate'));
      for (let i = 0; i < data.length; i++) {
        const column = i % columns;
        data[i] = interpolateColumn(column, data[i] ?? NaN);
      }
      return [{ dtype: 'FP64', shape: input.shape, data }];
    };
  },

  /**
   * `[rows, pairs]` of one-vs-one scores to `[rows, classes]`, as `_ovr_decision_function` (sklearn/utils/multiclass.py)
   * does: votes and, to break ties, a share of the confidences. Attribute `classes`. A score above 0 is a vote for the second
   * of the pair, unless a second input FP64 of the same shape says with 1 and 0 which are.
   */
  'pairs-to-classes': (given) => {
    const classes = given.integer('classes', 2, 10_000);
    return (inputs) => {
      const [input, second] = inputs;
      if (!input) return given.fail('takes scores');
      const { rows, columns } = tableShape(input);
      if (columns !== (classes * (classes - 1)) / 2) given.fail(`${columns} pairs`);
      const source = floatsOf(input.data, 'input of pairs-to-classes');
      const wins = second ? floatsOf(second.data, 'votes of pairs-to-classes') : source;
      if (wins.length !== source.length) given.fail('votes');
      const data = new Float64Array(rows * classes);
      const confidence = new Float64Array(classes);
      for (let row = 0, at = 0; row < rows; row++) {
        confidence.fill(0);
        const to = row * classes;
        for (let i = 0; i < classes; i++) {
          for (let j = i + 1; j < classes; j++, at++) {
            const x = source[at] ?? NaN;
            confidence[i] = (confidence[i] ?? 0) - x;
            confidence[j] = (confidence[j] ?? 0) + x;
            const winner = (wins[at] ?? NaN) > 0 ? j : i;
            data[to + winner] = (data[to + winner] ?? 0) + 1;
          }
        }
        for (let k = 0; k < classes; k++) {
          const c = confidence[k] ?? NaN;
          data[to + k] = (data[to + k] ?? 0) + c / (3 * (Math.abs(c) + 1));
        }
      }
      return [{ dtype: 'FP64', shape: [rows, classes], data }];
    };
  },

  /** AdaBoost's SAMME.R: probabilities of one member to (K − 1) · (log p − mean of log p), p at least 2^−52. */
  'samme-r': () => (inputs) => {
    const input = onlyInput(inputs);
    const { rows, columns } = tableShape(input);
    const data = new Float64Array(floatsOf(input.data, 'input of samme-r'));
    for (let row = 0; row < rows; row++) {
      const start = row * columns;
      let sum = 0;
      for (let i = start; i < start + columns; i++) {
        data[i] = log64(Math.max(data[i] ?? NaN, Number.EPSILON));
        sum += data[i] ?? NaN;
      }
      for (let i = start; i < start + columns; i++) {
        data[i] = (columns - 1) * ((data[i] ?? NaN) - (1 / columns) * sum);
      }
    }
    return [{ dtype: 'FP64', shape: input.shape, data }];
  },
};

function medianPlace(order: number[], weights: number[]): number {
  const sums: number[] = [];
  let sum = 0;
  for (const member of order) {
    sum += weights[member] ?? 0;
    sums.push(sum);
  }
  return Math.max(
    0,
    sums.findIndex((so) => so >= 0.5 * sum),
  );
}
