import {
  floatsOf,
  hasAttribute,
  integerOf,
  integersOf,
  tensorOf,
  textOf,
  textsOf,
} from './onnx-attributes.js';
import {
  addEnsemble,
  readNamedNodes,
  readNumberedNodes,
  type Ensemble,
} from './onnx-ml-ensemble.js';
import type { CompileOperator, MlGraph, MlValue } from './onnx-ml-graph.js';
import { transformScores } from './onnx-ml-linear.js';
import type { OnnxNode } from './onnx-model.js';

/** `aggregate_function` and `post_transform` of TreeEnsemble (5) by number. */
const AGGREGATES = ['AVERAGE', 'SUM', 'MIN', 'MAX'];
const TRANSFORMS = ['NONE', 'SOFTMAX', 'LOGISTIC', 'SOFTMAX_ZERO', 'PROBIT'];

/** Trees of ai.onnx.ml. Sums begin at 0 and run in the order of the trees in the dtype of the rows; `base_values` come last. */
export const treeOperators: Record<string, CompileOperator> = {
  'ai.onnx.ml.TreeEnsembleRegressor': (node, graph) => {
    graph.set(node, 0, () =>
      graph.narrow(
        addRegressor(readNamedNodes(node, 'target', graph), node, graph, {
          targets: integerOf(node, 'n_targets', 1),
          aggregate: textOf(node, 'aggregate_function', 'SUM'),
          transform: textOf(node, 'post_transform', 'NONE'),
        }),
      ),
    );
  },

  'ai.onnx.ml.TreeEnsemble': (node, graph) => {
    graph.set(node, 0, () =>
      addRegressor(readNumberedNodes(node, graph), node, graph, {
        targets: integerOf(node, 'n_targets', 1),
        aggregate: AGGREGATES[integerOf(node, 'aggregate_function', 1)] ?? '',
        transform: TRANSFORMS[integerOf(node, 'post_transform', 0)] ?? '',
      }),
    );
  },

  'ai.onnx.ml.TreeEnsembleClassifier': (node, graph) => {
    const labels =
      textsOf(node, 'classlabels_strings') ?? integersOf(node, 'classlabels_int64s') ?? [];
    const ensemble = readNamedNodes(node, 'class', graph);
    const classes = new Set(ensemble.leaves.flatMap((leaf) => leaf.map(({ column }) => column)));
    if (labels.length < 2) graph.leave();
    if (labels.length === 2 && classes.size === 1) addTwoClasses(ensemble, node, graph, labels);
    else addClasses(ensemble, node, graph, labels);
  },
};

function addRegressor(
  ensemble: Ensemble,
  node: OnnxNode,
  graph: MlGraph,
  given: { targets: number; aggregate: string; transform: string },
): MlValue {
  const { targets, aggregate, transform } = given;
  const base = baseOf(node, graph);
  if (aggregate !== 'SUM' && aggregate !== 'AVERAGE') graph.leave();
  if (targets < 1 || (base.length > 0 && base.length !== targets)) graph.leave();
  let { scores } = addEnsemble(ensemble, node, graph, targets);
  if (aggregate === 'AVERAGE') {
    const attributes = { divisor: ensemble.roots.length };
    scores = graph.kernel('divide', [scores], { attributes });
  }
  scores = addBase(scores, base, node, graph);
  const { dtype } = graph.rowsOf(node);
  const value = targets === 1 ? graph.kernel('as-matrix', [scores]) : scores;
  const sums: MlValue = { value, dtype, rank: 2, width: targets };
  // Of doubles it is not the same in all runtimes.
  if (transform === 'NONE') return sums;
  return dtype === 'FP32' ? transformScores(graph, sums, transform) : graph.leave();
}

/** Of two classes, leaves have numbers for one: a probability, or what is above 0 for the second class. */
function addTwoClasses(
  ensemble: Ensemble,
  node: OnnxNode,
  graph: MlGraph,
  labels: string[] | number[],
): void {
  const transform = textOf(node, 'post_transform', 'NONE');
  const base = baseOf(node, graph);
  const values = ensemble.leaves.flatMap((leaf) => leaf.map(({ value }) => value));
  const isProbability = values.every((value) => value >= 0);
  // Other combinations are answered otherwise from release to release, or the second class has an answer of 0.
  const known = isProbability ? transform === 'NONE' : transform === 'LOGISTIC';
  const first = ensemble.leaves.every((leaf) => leaf.every(({ column }) => column === 0));
  if (!known || !first || base.length > 1) graph.leave();
  const { dtype } = graph.rowsOf(node);
  const scores = addBase(addEnsemble(ensemble, node, graph, 1).scores, base, node, graph);
  const attributes = { than: isProbability ? 0.5 : 0, orEqual: false };
  graph.set(node, 0, () => graph.labels(graph.kernel('above', [scores], { attributes }), labels));
  graph.set(node, 1, () => {
    if (isProbability) {
      const value = graph.kernel('both-classes', [scores]);
      return graph.narrow({ value, dtype, rank: 2, width: 2 });
    }
    const { value } = graph.narrow({ value: scores, dtype, rank: 1, width: 1 });
    const both = graph.kernel('onnx-logistic', [value], { attributes: { both: true } });
    return { value: both, dtype: 'FP32', rank: 2, width: 2 };
  });
}

/**
 * Each class has numbers of its own; the label is that of the largest sum, the first of equals, also of two classes (where
 * ONNX Runtime answers the second whenever its sum is above 0).
 */
function addClasses(
  ensemble: Ensemble,
  node: OnnxNode,
  graph: MlGraph,
  labels: string[] | number[],
): void {
  const base = baseOf(node, graph);
  const { length: width } = labels;
  if (base.length > 0 && (base.length !== width || width === 2)) graph.leave();
  const { scores: sums, packing } = addEnsemble(ensemble, node, graph, width);
  // A class without a number cannot win.
  if (!packing.always.every(Boolean)) graph.leave();
  const scores = addBase(sums, base, node, graph);
  const { dtype } = graph.rowsOf(node);
  const transform = textOf(node, 'post_transform', 'NONE');
  graph.set(node, 0, () => graph.labels(graph.kernel('arg-max', [scores]), labels));
  graph.set(node, 1, () =>
    transformScores(graph, { value: scores, dtype, rank: 2, width }, transform),
  );
}

function baseOf(node: OnnxNode, graph: MlGraph): ArrayLike<number> {
  const tensor = tensorOf(node, 'base_values_as_tensor');
  if (tensor && tensor.dtype !== graph.rowsOf(node).dtype) graph.leave();
  if (!tensor && hasAttribute(node, 'base_values_as_tensor')) graph.leave();
  return tensor?.data ?? floatsOf(node, 'base_values') ?? [];
}

function addBase(scores: string, base: ArrayLike<number>, node: OnnxNode, graph: MlGraph): string {
  if (base.length === 0) return scores;
  const { dtype } = graph.rowsOf(node);
  const data = dtype === 'FP32' ? Float32Array.from(base) : Float64Array.from(base);
  const addend = graph.builder.weights.add(dtype, data);
  return graph.kernel('add', [scores], { weights: { addend } });
}
