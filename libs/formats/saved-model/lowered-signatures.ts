import type { TensorSpec } from '#program';
import { DamagedModel, UnsupportedModel } from '../importer.js';
import type { GraphSignature } from '../tensor-graph/write-graph.js';
import type { GraphValue, TensorGraph } from '../tensor-graph/tensor-graph.js';
import { Lowering, type LoweringFacts } from '../tensorflow/lowering.js';
import { isTensor, type TfValue } from '../tensorflow/op-rule.js';
import type { TfNode, TfRef, TfType } from '../tensorflow/tf-graph.js';
import { isTensorType } from '../tensorflow/tf-types.js';
import { plainRef } from './graph-def.js';
import type { Asked } from './lasting-effects.js';
import type { SignatureDef, TensorInfo } from './meta-graph.js';
import type { Traceable } from './traced-graph.js';

/** A signature with its inputs in the graph. */
export interface AskedSignature extends Asked {
  given: ReadonlyMap<string, TfValue>;
  graph: Traceable;
  inputs: { spec: TensorSpec; value: GraphValue }[];
  /** What the signature says of its outputs. */
  named: { name: string; info: TensorInfo }[];
}

/** Puts the inputs of a signature into the graph. Throws UnsupportedModel and DamagedModel. */
export function askSignature(
  graph: TensorGraph,
  { nodes, functions }: Traceable,
  signature: SignatureDef,
): AskedSignature {
  if (signature.outputs.size === 0) throw new UnsupportedModel('It has no outputs.');
  // What Classify and Regress take is a list of tf.Examples, also where the graph of TensorFlow 1 does not say so.
  const listed = /\/(classify|regress)$/.test(signature.method);
  const inputs = byName(signature.inputs).map(([name, info]) => {
    const isList = listed && info.dtype === 'BYTES' && !info.shape;
    const spec = specOf(name, isList ? { ...info, shape: [-1] } : info);
    return { spec, value: graph.input(spec), ref: refOf(name, info) };
  });
  const outputs = byName(signature.outputs);
  const fed = feed(nodes, inputs);
  return {
    graph: { nodes: fed.nodes, functions },
    given: fed.given,
    inputs: inputs.map(({ spec, value }) => ({ spec, value })),
    outputs: outputs.map(([name, info]) => fed.redirected(refOf(name, info))),
    named: outputs.map(([name, info]) => ({ name, info })),
  };
}

/**
 * Lowers a signature into `graph`. Throws UnsupportedModel that names the operation and the node where something in it is not
 * supported.
 */
export function lowerSignature(
  graph: TensorGraph,
  asked: AskedSignature,
  rules: LoweringFacts['rules'],
): GraphSignature {
  const { nodes, functions } = asked.graph;
  const lowering = new Lowering({ functions, rules });
  const values = lowering.lower(graph, { nodes, given: asked.given, wanted: asked.outputs });
  return {
    inputs: asked.inputs,
    outputs: asked.named.map(({ name, info }, i) => output(name, info, values[i])),
  };
}

function byName<T>(entries: ReadonlyMap<string, T>): [string, T][] {
  return [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function specOf(
  name: string,
  { dtype, shape }: { dtype: TfType; shape?: readonly number[] | undefined },
): TensorSpec {
  if (!isTensorType(dtype))
    throw new UnsupportedModel(`${JSON.stringify(name)} is of the type ${dtype}.`);
  return { name, dtype, shape: [...(shape ?? [])], ...(!shape && { anyShape: true as const }) };
}

function refOf(name: string, info: TensorInfo): TfRef {
  if (info.name === '')
    throw new UnsupportedModel(
      `${JSON.stringify(name)} is made of several tensors, as sparse and ragged ones are. Save the model with a signature of plain tensors.`,
    );
  return plainRef(info.name);
}

/** An output; where its signature does not say of what type it is, it is of that which it has. */
function output(
  name: string,
  info: TensorInfo,
  value: TfValue | undefined,
): { spec: TensorSpec; value: GraphValue } {
  if (!value || !isTensor(value))
    throw new UnsupportedModel(
      `The output ${JSON.stringify(name)} is a ${value?.resource ?? 'value'} and no tensor.`,
    );
  const spec = specOf(name, info.dtype === 'DT_INVALID' ? { ...info, ...value } : info);
  if (value.dtype !== spec.dtype)
    throw new DamagedModel(
      `The output ${JSON.stringify(spec.name)} is said to be ${spec.dtype} and is ${value.dtype}.`,
    );
  return { spec, value };
}

interface Feed {
  nodes: ReadonlyMap<string, TfNode>;
  given: ReadonlyMap<string, TfValue>;
  redirected(ref: TfRef): TfRef;
}

/**
 * The graph with the inputs in it. They take the place of placeholders; a signature may also feed an output of any other node,
 * which then is as if that output came from a placeholder.
 */
function feed(
  nodes: ReadonlyMap<string, TfNode>,
  inputs: { spec: TensorSpec; value: GraphValue; ref: TfRef }[],
): Feed {
  const given = new Map<string, TfValue>();
  const inside = new Map<string, string>();
  const key = ({ node, output: place }: TfRef) => `${node}:${place}`;
  for (const { spec, value, ref } of inputs) {
    const node = nodes.get(ref.node);
    if (!node)
      throw new DamagedModel(
        `The input ${JSON.stringify(spec.name)} is the tensor ${JSON.stringify(key(ref))}, which the graph does not have.`,
      );
    const taken = node.op.startsWith('Placeholder') ? node.attributes.get('dtype') : undefined;
    if (taken?.kind === 'type' && taken.value !== spec.dtype)
      throw new UnsupportedModel(
        `The input ${JSON.stringify(spec.name)} is said to be ${spec.dtype}, and the graph takes ${taken.value} there.`,
      );
    const placeholder = node.op.startsWith('Placeholder') && ref.output === 0;
    // No name of a node has a space in front.
    const name = placeholder ? node.name : ` ${key(ref)}`;
    if (given.has(name))
      throw new UnsupportedModel(
        `The input ${JSON.stringify(spec.name)} is the same tensor as another one.`,
      );
    given.set(name, value);
    if (!placeholder) inside.set(key(ref), name);
  }
  const redirected = (ref: TfRef): TfRef => {
    const name = inside.get(key(ref));
    return name === undefined ? ref : { node: name, output: 0 };
  };
  if (inside.size === 0) return { nodes, given, redirected };
  const moved = new Map(
    [...nodes].map(([name, node]) => {
      const isMoved = node.inputs.some((ref) => inside.has(key(ref)));
      return [name, isMoved ? { ...node, inputs: node.inputs.map(redirected) } : node];
    }),
  );
  return { nodes: moved, given, redirected };
}
