import type { TensorSpec } from '#program';
import type { Part } from '../document.js';
import { DamagedModel, UnsupportedModel, type Verdict } from '../importer.js';
import { graphOf } from '../saved-model/graph-def.js';
import { TensorGraph, type GraphValue } from '../tensor-graph/tensor-graph.js';
import { writeGraph, type GraphSignature } from '../tensor-graph/write-graph.js';
import { Lowering } from '../tensorflow/lowering.js';
import { isTensor, type TfValue } from '../tensorflow/op-rule.js';
import { opRules } from '../tensorflow/ops/op-rules.js';
import type { TfGraph, TfNode } from '../tensorflow/tf-graph.js';
import { isTensorType, nameOfType } from '../tensorflow/tf-types.js';
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
  const graph = withWeights(
    graphOf(readGraphJson(document.field('modelTopology')), new Map()),
    weights,
  );
  const { inputs, outputs } = portsOf(document, graph);
  if (outputs.length === 0) throw new DamagedModel('The model has no outputs.');
  const tables = readInitialTables(document, weights);
  const target = new TensorGraph();
  const given = new Map<string, TfValue>();
  const signature: GraphSignature = { inputs: [], outputs: [] };
  for (const port of inputs) {
    if (port.ref.output > 0)
      throw new UnsupportedModel(`The input ${quoted(port.name)} is a later output of a node.`);
    if (port.dtype === 'DT_RESOURCE') {
      given.set(port.ref.node, tables.of(port));
      continue;
    }
    const spec = inputSpec(port);
    const value = target.input(spec);
    given.set(port.ref.node, value);
    signature.inputs.push({ spec, value });
  }
  const lowering = new Lowering({ functions: graph.functions, rules: opRules });
  const wanted = outputs.map(({ ref }) => ref);
  const values = lowering.lower(target, { nodes: graph.nodes, given, wanted });
  outputs.forEach((port, i) => {
    const value = values[i];
    if (!value || !isTensor(value))
      throw new UnsupportedModel(`The output ${quoted(port.name)} is no tensor.`);
    signature.outputs.push({ spec: outputSpec(port, value), value });
  });
  const { program, weights: stored } = writeGraph(target.nodes, {
    ...facts,
    signatures: signature,
  });
  return { state: 'servable', program, weights: stored };
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

function inputSpec({ name, dtype = 'DT_INVALID', shape }: TfjsPort): TensorSpec {
  if (!isTensorType(dtype))
    throw new UnsupportedModel(
      `The input ${quoted(name)} is of ${nameOfType(dtype)}, which no request can send.`,
    );
  return { name, dtype, shape: shape ?? [], ...(!shape && { anyShape: true }) };
}

function outputSpec({ name, dtype, shape }: TfjsPort, value: GraphValue): TensorSpec {
  if (dtype !== undefined && dtype !== value.dtype)
    throw new DamagedModel(
      `The output ${quoted(name)} is of ${nameOfType(value.dtype)}, and the signature says ${nameOfType(dtype)}.`,
    );
  const sizes = shape ?? value.shape;
  return { name, dtype: value.dtype, shape: [...(sizes ?? [])], ...(!sizes && { anyShape: true }) };
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
