import {
  inputName,
  outputName,
  WEIGHTS_FILE,
  type Program,
  type Signature,
  type Signatures,
  type TensorSpec,
  type WeightRef,
} from '#program';
import { ProgramBuilder } from '../program-builder.js';
import { writeStretch } from './write-stretch.js';
import type { GraphNode, GraphValue, KernelOp, OnnxOp } from './tensor-graph.js';
import { capturedValues } from './tensor-graph.js';

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
  const names = new Map<GraphValue, string>();
  for (const [name, { inputs }] of named)
    for (const { spec, value } of inputs)
      names.set(value, several ? inputName(name, spec.name) : spec.name);
  const nameOf = (value: GraphValue): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    const name = value.constant ? constantValue(builder, value) : builder.newValue();
    names.set(value, name);
    return name;
  };
  for (const stretch of stretches(nodes, [...named.values()])) {
    if (stretch.kind === 'kernel') addKernel(builder, stretch, nameOf);
    else addStretch(builder, stretch, nameOf);
  }
  const given = new Set([...named.values()].flatMap(({ inputs }) => inputs.map((i) => i.value)));
  for (const [name, { outputs }] of named)
    for (const { spec, value } of outputs) {
      const own = nameOf(value);
      const passed = given.has(value) ? builder.kernel('identity', [own]) : own;
      builder.output({ ...spec, name: several ? outputName(name, spec.name) : spec.name }, passed);
    }
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

type Stretch = KernelOp | OnnxStretch;

/** ONNX operators that run together. */
interface OnnxStretch {
  kind: 'onnx';
  nodes: OnnxOp[];
  /** Values from outside that are no constants. */
  inputs: GraphValue[];
  /** Values that others need. */
  outputs: GraphValue[];
}

function usedBy(node: GraphNode): GraphValue[] {
  const bodies = node.kind === 'onnx' ? Object.values(node.bodies).flatMap(capturedValues) : [];
  return [...node.inputs, ...bodies].filter((value) => value !== undefined);
}

/** The nodes that are needed, in an order in which each finds its inputs ready, ONNX operators together where they can be. */
function stretches(nodes: readonly GraphNode[], signatures: GraphSignature[]): Stretch[] {
  const needs = new Map<GraphNode, Set<number>>();
  const maker = new Map(nodes.flatMap((node) => node.outputs.map((value) => [value, node])));
  const wanted = new Set<GraphValue>();
  signatures.forEach(({ outputs }, signature) => {
    const open = outputs.map(({ value }) => value);
    for (const value of open) wanted.add(value);
    for (let value = open.pop(); value; value = open.pop()) {
      const node = maker.get(value);
      const known = node && (needs.get(node) ?? new Set());
      if (!node || !known || known.has(signature)) continue;
      needs.set(node, known.add(signature));
      open.push(...usedBy(node));
    }
  });
  const levels = new Map<GraphNode, number>();
  const found = new Map<string, { level: number; signatures: number; stretch: Stretch }>();
  nodes.forEach((node, i) => {
    const signaturesOf = needs.get(node);
    if (!signaturesOf) return;
    // Kernels stand at even levels and ONNX operators at odd ones.
    let level = node.kind === 'kernel' ? 0 : 1;
    for (const value of usedBy(node)) {
      const from = maker.get(value);
      const before = from ? (levels.get(from) ?? 0) : -1;
      level = Math.max(level, before + (from && from.kind !== node.kind ? 1 : 0));
    }
    levels.set(node, level);
    const key = node.kind === 'kernel' ? `kernel ${i}` : `${level} ${[...signaturesOf].join()}`;
    const known = found.get(key)?.stretch;
    if (node.kind === 'kernel') found.set(key, { level, signatures: 0, stretch: node });
    else if (known?.kind === 'onnx' && 'nodes' in known) known.nodes.push(node);
    else {
      const stretch: OnnxStretch = { kind: 'onnx', nodes: [node], inputs: [], outputs: [] };
      found.set(key, { level, signatures: signaturesOf.size, stretch });
    }
  });
  // Kernels of a level stay in their order; of stretches, what more signatures need never depends on what fewer do.
  const ordered = [...found.values()]
    .toSorted((a, b) => a.level - b.level || b.signatures - a.signatures)
    .map(({ stretch }) => stretch);
  for (const stretch of ordered) if ('nodes' in stretch) setPorts(stretch, ordered, wanted);
  return ordered;
}

function setPorts(stretch: OnnxStretch, all: Stretch[], wanted: ReadonlySet<GraphValue>): void {
  const made = new Set(stretch.nodes.flatMap((node) => node.outputs));
  const inputs = new Set<GraphValue>();
  for (const node of stretch.nodes)
    for (const value of usedBy(node)) if (!made.has(value) && !value.constant) inputs.add(value);
  const outside = new Set(wanted);
  for (const other of all)
    if (other !== stretch)
      for (const node of 'nodes' in other ? other.nodes : [other])
        for (const value of usedBy(node)) outside.add(value);
  stretch.inputs = [...inputs];
  stretch.outputs = [...made].filter((value) => outside.has(value));
}

type NameOf = (value: GraphValue) => string;

function addKernel(builder: ProgramBuilder, node: KernelOp, nameOf: NameOf): void {
  const weights = Object.entries(node.weights).map(
    ([name, { dtype, shape, data }]): [string, WeightRef] => [
      name,
      builder.weights.add(dtype, data, shape),
    ],
  );
  builder.node({
    kind: 'kernel',
    kernel: node.kernel,
    inputs: node.inputs.map(nameOf),
    outputs: node.outputs.map(nameOf),
    ...(Object.keys(node.attributes).length > 0 && { attributes: node.attributes }),
    ...(weights.length > 0 && { weights: Object.fromEntries(weights) }),
  });
}

function addStretch(builder: ProgramBuilder, stretch: OnnxStretch, nameOf: NameOf): void {
  const { bytes, inputs, outputs } = writeStretch(stretch, builder.weights);
  const bridge = { external: [WEIGHTS_FILE], hide: [], append: '', inputs: {}, outputs: {} };
  builder.node({
    kind: 'onnx',
    inputs: Object.fromEntries(stretch.inputs.map((value, i) => [inputs[i] ?? '', nameOf(value)])),
    outputs: Object.fromEntries(
      stretch.outputs.map((value, i) => [outputs[i] ?? '', nameOf(value)]),
    ),
    graph: builder.weights.add('UINT8', bytes),
    bridge,
  });
}

/** A constant as a value of the Program. */
function constantValue(builder: ProgramBuilder, { dtype, shape, constant }: GraphValue): string {
  const sizes = [...(shape ?? [])];
  if (dtype !== 'BYTES' && constant && !Array.isArray(constant))
    return builder.kernel('constant', [], {
      weights: { value: builder.weights.add(dtype, constant, sizes) },
    });
  const strings = Array.isArray(constant) ? constant.map((text) => String(text ?? '')) : [];
  return builder.kernel('constant', [], { attributes: { strings, shape: sizes } });
}
