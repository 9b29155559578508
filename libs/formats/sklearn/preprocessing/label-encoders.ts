import type { CompileEstimator, Estimator } from '../estimator.js';
import type { Fitted } from '../fitted.js';
import type { SklearnGraph } from '../graph.js';
import type { Labels } from '../labels.js';
import type { Table } from '../table.js';

/**
 * Encoders of targets as models of their own (sklearn/preprocessing/_label.py, 0.22 to 1.8): one column of labels, texts or
 * numbers as they were fitted; MultiLabelBinarizer takes texts that are a JSON array of labels each.
 */
export const labelEncoders: Record<string, CompileEstimator> = {
  LabelEncoder: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    return {
      ...inputOf(classes),
      transformAnswer: (input) => {
        const codes = codesOf(fitted, graph, input, { classes, unseen: 'refuse' });
        const attributes = { dtype: 'INT64' };
        const value = graph.kernel('as-vector', [graph.kernel('cast', [codes], { attributes })]);
        return { value, dtype: 'INT64', shape: [-1] };
      },
    };
  },

  LabelBinarizer: (fitted, graph) => {
    const classes = fitted.labels('classes_');
    if (fitted.textOr('y_type_', 'multiclass').startsWith('multi')) {
      if (fitted.text('y_type_') !== 'multiclass') fitted.unsupported('has several labels a row');
    }
    const { length: count } = classes.values;
    const negative = fitted.number('neg_label');
    const positive = fitted.number('pos_label');
    // Of two classes one column says everything; of one class it is always the negative label.
    const columns = count <= 2 ? [count - 1] : classes.values.map((_, code) => code);
    return {
      ...inputOf(classes),
      transform: (input) => {
        const codes = codesOf(fitted, graph, input, { classes, unseen: 'pass' });
        const map = classes.values.map((_, code) => (count === 1 ? -1 : columns.indexOf(code)));
        const hot = graph.kernel('one-hot', [codes], {
          attributes: { width: columns.length },
          weights: {
            starts: graph.int32([0, count]),
            map: graph.int32(map),
            unseen: graph.int32([-1]),
          },
        });
        const all = (value: number) => graph.fp64(new Float64Array(columns.length).fill(value));
        const weights = { multiply: all(positive - negative), add: all(negative) };
        return graph.table(graph.kernel('scale-columns', [hot], { weights }), columns.length);
      },
    };
  },

  MultiLabelBinarizer: (fitted, graph) => {
    const { dtype, values } = fitted.labels('classes_');
    const keys = values.map((value) =>
      JSON.stringify(typeof value === 'bigint' ? Number(value) : value),
    );
    if (dtype === 'FP64') fitted.unsupported('has classes that are no integers and no texts');
    return {
      readsTexts: true,
      transform: (input) => {
        const value = graph.kernel('count-records', [graph.texts(input, 0, fitted)], {
          attributes: { form: 'set', keys },
        });
        return graph.table(value, values.length);
      },
    };
  },
};

function inputOf({ dtype }: Labels): Partial<Estimator> {
  return dtype === 'BYTES' ? { readsTexts: true } : { features: 1 };
}

/** The number of each label, FP64 `[rows, 1]` or `[rows]`. */
function codesOf(
  fitted: Fitted,
  graph: SklearnGraph,
  input: Table,
  { classes, unseen }: { classes: Labels; unseen: 'refuse' | 'pass' },
): string {
  const common = { unseen, owner: fitted.class, column: 0 };
  const { dtype, values } = classes;
  if (dtype === 'BYTES') {
    return graph.kernel('text-categories', [graph.texts(input, 0, fitted)], {
      attributes: { ...common, categories: values.map(String), missing: -1 },
    });
  }
  const weights = {
    starts: graph.int32([0, values.length]),
    categories: graph.fp64(values.map(Number)),
  };
  return graph.kernel('number-categories', [graph.unchecked(input, fitted)], {
    attributes: common,
    weights,
  });
}
