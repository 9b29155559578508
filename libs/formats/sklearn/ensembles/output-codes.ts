import { labelled, type CompileEstimator } from '../estimator.js';
import type { Table } from '../table.js';
import { transposed } from '../linear/linear.js';
import { inputOf, membersOf } from './committees.js';
import { binaryScore } from './stacks.js';

/** Classes as words of a code, a classifier a bit (sklearn/multiclass.py, 0.22 to 1.8). */
export const outputCodes: Record<string, CompileEstimator> = {
  OutputCodeClassifier: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    const members = membersOf(fitted, graph);
    const book = fitted.matrix('code_book_', classes.values.length, members.length);
    const { rows: count, columns } = book;
    // The nearest word: |x − w|² without |x|², which all words share.
    const norms = Float64Array.from({ length: count }, (_, row) => {
      let sum = 0;
      for (let i = 0; i < columns; i++) sum -= (book.data[row * columns + i] ?? NaN) ** 2;
      return sum;
    });
    const predictIndex = (input: Table): string => {
      const scores = graph.kernel(
        'join-tables',
        members.map((member) => binaryScore(graph, member, input, fitted)),
      );
      const products = graph.kernel('affine', [scores], {
        weights: {
          coefficients: graph.fp64(transposed(book), [columns, count]),
          intercept: graph.fp64(new Float64Array(count)),
        },
      });
      const weights = {
        multiply: graph.fp64(new Float64Array(count).fill(2)),
        add: graph.fp64(norms),
      };
      return graph.largest(graph.kernel('scale-columns', [products], { weights }));
    };
    if (count < 2) fitted.unsupported('has one class');
    return {
      ...inputOf(fitted, members),
      ...labelled(graph, classes, predictIndex),
    };
  },
};
