import { log64 } from '../math/logarithms.js';
import { exp64 } from './exp64.js';
import { fmathExp } from './fmath-exp.js';
import { floatsOf, onlyInput, tableShape, type Kernel } from './kernel.js';

/** Answers of CatBoost's classifiers, step by step as `eval_helpers.cpp` of CatBoost 1.2 computes them. */
export const catboostLinks: Record<string, Kernel> = {
  /** The logarithm of the sigmoid of FP64, any shape: −log(1 + e^−x). */
  'catboost-log-sigmoid': () => (inputs) => {
    const { shape, data } = onlyInput(inputs);
    const answer = new Float64Array(floatsOf(data, 'input of catboost-log-sigmoid'));
    for (let i = 0; i < answer.length; i++) answer[i] = -log64(1 + exp64(-(answer[i] ?? NaN)));
    return [{ dtype: 'FP64', shape, data: answer }];
  },

  /** The logarithm of the softmax of each row of FP64, whose sum is of {@link fmathExp}. */
  'catboost-log-softmax': () => (inputs) => {
    const { shape, data: source, dtype } = onlyInput(inputs);
    const data = new Float64Array(floatsOf(source, 'input of catboost-log-softmax'));
    const { rows, columns } = tableShape({ dtype, shape, data });
    for (let start = 0; start < rows * columns; start += columns) {
      let largest = data[start] ?? NaN;
      for (let i = start + 1; i < start + columns; i++) {
        largest = Math.max(largest, data[i] ?? NaN);
      }
      let sum = 0;
      for (let i = start; i < start + columns; i++) sum += fmathExp((data[i] ?? NaN) - largest);
      const logSum = log64(sum);
      for (let i = start; i < start + columns; i++) data[i] = (data[i] ?? NaN) - largest - logSum;
    }
    return [{ dtype: 'FP64', shape, data }];
  },

  /** Opposite scores of both classes from that of the second: FP64 `[rows]` → `[rows, 2]`. */
  'catboost-both-scores': () => (inputs) => {
    const { shape, data } = onlyInput(inputs);
    const source = floatsOf(data, 'input of catboost-both-scores');
    const answer = new Float64Array(2 * source.length);
    for (let i = 0; i < source.length; i++) {
      answer[2 * i] = -(source[i] ?? NaN);
      answer[2 * i + 1] = source[i] ?? NaN;
    }
    return [{ dtype: 'FP64', shape: [shape[0] ?? source.length, 2], data: answer }];
  },
};
