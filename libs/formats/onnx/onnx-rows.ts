import type { GraphPorts } from './onnx-bridging.js';
import type { OnnxGraph, OnnxModel, OnnxNode } from './onnx-model.js';
import { integersOfTensor, rowRules, type Value } from './onnx-row-rules.js';

/** Below it, elementwise operators broadcast by attributes, and Softmax and others mean something else. */
const LEAST_OPSET = 7;

/**
 * Whether each row of the answer depends on the same row of the inputs alone, proven from the graph: the first dimension of
 * every input and output is free, and every node is of an operator that treats rows apart and keeps their number and order,
 * with attributes and constants that say so. What has no rule in `onnx-row-rules.ts` is not proven. Requests to a graph
 * that is proven may be run as one; see docs/decisions/0014-onnx-requests-are-joined.md.
 */
export function hasIndependentRows(
  model: OnnxModel & { graph: OnnxGraph },
  { inputs, outputs, bridge }: GraphPorts,
): boolean {
  const { graph, functions, opsets } = model;
  const opset = opsets.find(({ domain }) => domain === '')?.version;
  // A function of the model may stand for an operator of any name.
  if (functions.length > 0 || (opset !== undefined && opset < LEAST_OPSET)) return false;
  for (const spec of inputs) {
    if (spec.sequence || spec.optional || spec.anyShape || spec.shape[0] !== -1) return false;
  }
  if (outputs.some(({ anyShape, shape }) => !anyShape && shape[0] !== -1)) return false;
  const values = new Map<string, Value>(constantsOf(graph));
  for (const { name, shape } of inputs) values.set(name, { kind: 'rows', dims: shape });
  for (const node of graph.nodes) {
    // The bridge takes ZipMap out of the graph; what goes into it is the answer.
    if (node.domain === 'ai.onnx.ml' && node.opType === 'ZipMap') continue;
    const made = valuesOf(node, values, opset ?? 1);
    if (!made) return false;
    for (const [i, name] of node.outputs.entries()) {
      const value = made[i];
      if (name !== '' && value) values.set(name, value);
    }
  }
  return outputs.every(({ name }) => {
    const bridged = bridge.outputs[name];
    if (bridged?.kind === 'sequence') return false;
    return values.get(bridged?.kind === 'map' ? bridged.value : name)?.kind === 'rows';
  });
}

function* constantsOf(graph: OnnxGraph): Iterable<[string, Value]> {
  for (const tensor of graph.initializers) {
    yield [
      tensor.name,
      { kind: 'constant', dims: tensor.dims, integers: integersOfTensor(tensor) },
    ];
  }
  for (const { values, dims } of graph.sparseInitializers) {
    if (values) yield [values.name, { kind: 'constant', dims, integers: undefined }];
  }
}

/** What a node makes, where its operator has a rule; undefined for an output that nothing may use. */
function valuesOf(
  node: OnnxNode,
  values: ReadonlyMap<string, Value>,
  opset: number,
): (Value | undefined)[] | undefined {
  const { attributes, domain, opType } = node;
  if (attributes.some(({ graphs }) => graphs.length > 0)) return undefined;
  // Of two attributes with one name nobody can say which one counts.
  if (new Set(attributes.map(({ name }) => name)).size !== attributes.length) return undefined;
  const inputs: (Value | undefined)[] = [];
  for (const name of node.inputs) {
    const value = values.get(name);
    if (name !== '' && !value) return undefined;
    inputs.push(value);
  }
  const made = rowRules.get(domain ? `${domain}.${opType}` : opType)?.({ node, inputs, opset });
  return made && (Array.isArray(made) ? made : [made]);
}
