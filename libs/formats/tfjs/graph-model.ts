import type { Part } from '../document.js';
import type { Verdict } from '../importer.js';
import { graphOf } from '../saved-model/graph-def.js';
import { askSignature, lowerSignature } from '../saved-model/lowered-signatures.js';
import type { SignatureDef, TensorInfo } from '../saved-model/meta-graph.js';
import { TensorGraph } from '../tensor-graph/tensor-graph.js';
import { writeGraph } from '../tensor-graph/write-graph.js';
import type { OpRule } from '../tensorflow/op-rule.js';
import { opRules } from '../tensorflow/ops/op-rules.js';
import type { TfTable } from '../tensorflow/table.js';
import type { TfGraph, TfNode } from '../tensorflow/tf-graph.js';
import { readGraphJson } from './graph-json.js';
import { readInitialTables } from './initial-tables.js';
import { readPort, type TfjsPort } from './port.js';
import type { TfjsWeight } from './weights.js';
import { withWeights } from './weighted-graph.js';

/**
 * Compiles a TF.js graph model, whose `model.json` is `document`: the operations of a SavedModel without its functions, with
 * constants among the weights. Its ports are those of its signature; without one, as TF.js has it, its placeholders and the
 * nodes that nothing needs.
 */
export function compileGraphModel(
  document: Part,
  weights: ReadonlyMap<string, TfjsWeight>,
  facts: { importer: string; format: string },
): Verdict {
  const topology = readGraphJson(document.field('modelTopology'));
  const graph = withWeights(graphOf(topology, new Map()), weights);
  const { inputs, outputs } = portsOf(document, graph);
  const tables = new Map<string, TfTable>();
  const initial = readInitialTables(document, weights);
  for (const port of inputs)
    if (port.dtype === 'DT_RESOURCE') tables.set(port.ref.node, initial.of(port));
  const signature: SignatureDef = {
    inputs: new Map(inputs.filter(({ dtype }) => dtype !== 'DT_RESOURCE').map(infoOf)),
    outputs: new Map(outputs.map(infoOf)),
    method: '',
  };
  const target = new TensorGraph();
  const rules = new Map([
    ...opRules,
    ['Placeholder', tableOrNothing(tables)] as const,
    ['ExpandDims', expandDims] as const,
  ]);
  const signatures = lowerSignature(target, askSignature(target, graph, signature), rules);
  return { state: 'servable', ...writeGraph(target.nodes, { ...facts, signatures }) };
}

/** Of placeholders only tables are looked at: the others are inputs. */
function tableOrNothing(tables: ReadonlyMap<string, TfTable>): OpRule {
  return (op) => {
    const table = tables.get(op.node.name);
    return table ? [table] : op.unsupported('it is no input of the signature.');
  };
}

/**
 * TF.js adds the products of a convolution in float64. Where windows slide over a single channel, ONNX Runtime comes near that
 * in two dimensions and not in one: the dimension of size 1 is then really there.
 */
const expandDims: OpRule = (op) => {
  const value = op.tensor(0);
  const [axis] = op.integersOf(1, 'axis');
  if (axis === undefined || value.shape?.at(-1) !== 1)
    return opRules.get('ExpandDims')?.(op) ?? op.unsupported('nothing here computes it.');
  return [op.graph.op('Unsqueeze', [value, op.graph.integers([axis])])];
};

/** An output of no dtype is of the one that it has. */
function infoOf({ name, ref, dtype = 'DT_INVALID', shape }: TfjsPort): [string, TensorInfo] {
  return [name, { name: `${ref.node}:${ref.output}`, dtype, shape }];
}

function portsOf(document: Part, graph: TfGraph): { inputs: TfjsPort[]; outputs: TfjsPort[] } {
  const signature =
    document.optional('userDefinedMetadata')?.optional('signature') ??
    document.optional('signature');
  const inputs = signature?.optional('inputs')?.entries() ?? [];
  const outputs = signature?.optional('outputs')?.entries() ?? [];
  return {
    inputs: inputs.length > 0 ? inputs.map(readPort) : placeholders(graph),
    outputs: outputs.length > 0 ? outputs.map(readPort) : leaves(graph),
  };
}

function placeholders({ nodes }: TfGraph): TfjsPort[] {
  return [...nodes.values()].filter(isPlaceholder).map(({ name, attributes }) => {
    const dtype = attributes.get('dtype');
    const shape = attributes.get('shape');
    return {
      name,
      ref: { node: name, output: 0 },
      ...(dtype?.kind === 'type' && { dtype: dtype.value }),
      shape: shape?.kind === 'shape' ? shape.value : undefined,
    };
  });
}

function isPlaceholder({ op }: TfNode): boolean {
  return op === 'Placeholder';
}

/** The first outputs of the nodes that no other one needs. */
function leaves({ nodes }: TfGraph): TfjsPort[] {
  const needed = new Set<string>();
  for (const { inputs, controls = [] } of nodes.values()) {
    for (const { node } of inputs) needed.add(node);
    for (const node of controls) needed.add(node);
  }
  return [...nodes.keys()]
    .filter((name) => !needed.has(name))
    .map((name) => ({ name, ref: { node: name, output: 0 } }));
}
