import {
  floatOf,
  floatsOf,
  hasAttribute,
  integerOf,
  integersOf,
  textOf,
  textsOf,
} from './onnx-attributes.js';
import type { CompileOperator, MlGraph, MlValue } from './onnx-ml-graph.js';
import type { OnnxNode } from './onnx-model.js';

/** Linear models of ai.onnx.ml and what scales, fills and normalises their columns. */
export const linearOperators: Record<string, CompileOperator> = {
  'ai.onnx.ml.LinearRegressor': (node, graph) => {
    const rows = graph.narrowRowsOf(node);
    const targets = integerOf(node, 'targets', 1);
    if (textOf(node, 'post_transform', 'NONE') !== 'NONE') graph.leave();
    graph.set(node, 0, () => addLinear(node, graph, rows, targets));
  },

  'ai.onnx.ml.LinearClassifier': (node, graph) => {
    const rows = graph.narrowRowsOf(node);
    const labels =
      textsOf(node, 'classlabels_strings') ?? integersOf(node, 'classlabels_ints') ?? [];
    const transform = textOf(node, 'post_transform', 'NONE');
    // With one row of coefficients exporters do not agree what the second class is.
    if (labels.length < 2) graph.leave();
    const scores = addLinear(node, graph, rows, labels.length);
    graph.set(node, 0, () => graph.labels(graph.kernel('arg-max', [scores.value]), labels));
    graph.set(node, 1, () => transformScores(graph, scores, transform));
  },

  'ai.onnx.ml.Scaler': (node, graph) => {
    const rows = graph.narrowRowsOf(node);
    const [offset, scale] = ['offset', 'scale'].map((name) =>
      perColumn(graph, floatsOf(node, name), rows.width),
    );
    graph.set(node, 0, () => {
      const weights = { offset: graph.floats(offset ?? []), scale: graph.floats(scale ?? []) };
      return { ...rows, value: graph.kernel('onnx-scale', [rows.value], { weights }) };
    });
  },

  'ai.onnx.ml.Imputer': (node, graph) => {
    const rows = graph.narrowRowsOf(node);
    if (hasAttribute(node, 'imputed_value_int64s')) graph.leave();
    const fill = perColumn(graph, floatsOf(node, 'imputed_value_floats'), rows.width);
    const missing = floatOf(node, 'replaced_value_float', 0);
    const nan = Number.isNaN(missing);
    if (!nan && !Number.isFinite(missing)) graph.leave();
    graph.set(node, 0, () => {
      const attributes = { nan, ...(!nan && { missing }) };
      const weights = { fill: graph.floats(fill) };
      return { ...rows, value: graph.kernel('onnx-impute', [rows.value], { attributes, weights }) };
    });
  },

  'ai.onnx.ml.Normalizer': (node, graph) => {
    const rows = graph.narrowRowsOf(node);
    if (textOf(node, 'norm', 'MAX') !== 'L1') graph.leave();
    graph.set(node, 0, () => ({ ...rows, value: graph.kernel('onnx-normalise', [rows.value]) }));
  },
};

/** What `post_transform` makes of scores, as FP32. */
export function transformScores(graph: MlGraph, scores: MlValue, transform: string): MlValue {
  switch (transform) {
    case 'NONE':
      return graph.narrow(scores);
    case 'LOGISTIC': {
      const narrow = graph.narrow(scores);
      return { ...narrow, value: graph.kernel('onnx-logistic', [narrow.value]) };
    }
    case 'SOFTMAX': {
      if (scores.width < 2) return graph.leave();
      const narrow = graph.narrow(scores);
      return { ...narrow, value: graph.kernel('onnx-softmax', [narrow.value]) };
    }
    default:
      return graph.leave();
  }
}

function addLinear(node: OnnxNode, graph: MlGraph, rows: MlValue, outputs: number): MlValue {
  const given = floatsOf(node, 'coefficients') ?? [];
  const intercepts = floatsOf(node, 'intercepts');
  const { width } = rows;
  if (given.length !== width * outputs) graph.leave();
  if (intercepts && intercepts.length !== outputs) graph.leave();
  const coefficients = new Float32Array(width * outputs);
  for (let output = 0; output < outputs; output++) {
    for (let i = 0; i < width; i++)
      coefficients[i * outputs + output] = given[output * width + i] ?? NaN;
  }
  const weights = {
    coefficients: graph.floats(coefficients, [width, outputs]),
    intercept: graph.floats(intercepts ?? new Float32Array(outputs)),
  };
  const value = graph.kernel('onnx-linear', [rows.value], { weights });
  return { value, dtype: 'FP32', rank: 2, width: outputs };
}

/** One number for each column, or one for all. */
function perColumn(graph: MlGraph, given: Float32Array | undefined, width: number): Float32Array {
  if (given?.length === width) return given;
  if (given?.length !== 1) return graph.leave();
  return new Float32Array(width).fill(given[0] ?? NaN);
}
