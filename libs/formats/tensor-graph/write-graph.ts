import {
  inputName,
  outputName,
  type Program,
  type Signature,
  type Signatures,
  type TensorSpec,
} from '#program';
import { ProgramBuilder } from '../program-builder.js';
import { NodeWriter } from './node-writer.js';
import { withLayerNormalisations } from './layer-normalisations.js';
import type { GraphNode, GraphValue } from './tensor-graph.js';

/** What the model takes and gives under one name. */
export interface GraphSignature {
  inputs: { spec: TensorSpec; value: GraphValue }[];
  outputs: { spec: TensorSpec; value: GraphValue }[];
}

export interface GraphFacts {
  /** `format@version` */
  importer: string;
  format: string;
  /** The only signature, or those that have names. */
  signatures: GraphSignature | NamedSignatures;
}

/** Signatures by name, with what is only to be told of them and of others (see `Signatures`). */
export interface NamedSignatures extends Pick<Signatures, 'default' | 'refused' | 'tensorflow'> {
  named: Map<string, GraphSignature>;
}

/**
 * Makes a Program of the nodes that the outputs need. ONNX operators that need no kernel in between, and that the same
 * signatures need, are one graph of ONNX Runtime; its arrays lie in `weights.bin` like those of the kernels.
 */
export function writeGraph(
  nodes: readonly GraphNode[],
  { importer, format, signatures }: GraphFacts,
): { program: Program; weights: Uint8Array } {
  const several = 'named' in signatures;
  const named = several ? signatures.named : new Map([['', signatures]]);
  const builder = new ProgramBuilder();
  const writer = new NodeWriter(builder);
  for (const [name, { inputs }] of named)
    for (const { spec, value } of inputs)
      writer.call(value, several ? inputName(name, spec.name) : spec.name);
  writer.write(
    withLayerNormalisations(nodes),
    [...named.values()].map(({ outputs }) => outputs.map(({ value }) => value)),
  );
  const given = new Set([...named.values()].flatMap(({ inputs }) => inputs.map((i) => i.value)));
  for (const [name, { outputs }] of named)
    for (const { spec, value } of outputs) {
      const passed = given.has(value) ? writer.copy(value) : writer.nameOf(value);
      builder.output({ ...spec, name: several ? outputName(name, spec.name) : spec.name }, passed);
    }
  for (const node of writer.nodes) builder.node(node);
  builder.dependsOnAllRows();
  const entries = [...named].map(([name, entry]) => [name, signatureOf(entry)] as const);
  const first = entries.find(([name]) => several && name === signatures.default) ?? entries[0];
  const finished = builder.finish({
    importer,
    format,
    inputs: [],
    binding: { kind: 'tensors' },
    defaultOutputs: [],
  });
  const program: Program = {
    ...finished.program,
    signature: first?.[1] ?? { inputs: [], outputs: [] },
    ...(several && {
      signatures: {
        ...toldOf(signatures),
        named: Object.fromEntries(entries),
      },
    }),
  };
  return { program, weights: finished.weights };
}

function toldOf({ default: standard, refused, tensorflow }: NamedSignatures): Partial<Signatures> {
  return {
    ...(standard !== undefined && { default: standard }),
    ...(refused && { refused }),
    ...(tensorflow && { tensorflow }),
  };
}

function signatureOf({ inputs, outputs }: GraphSignature): Signature {
  return { inputs: inputs.map(({ spec }) => spec), outputs: outputs.map(({ spec }) => spec) };
}
