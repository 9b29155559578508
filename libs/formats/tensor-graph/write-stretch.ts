import { elementCount, WEIGHTS_FILE, type WeightsWriter } from '#program';
import { Message } from '../onnx-file/message.js';
import {
  externalTensorMessage,
  modelBytes,
  nodeMessage,
  tensorMessage,
  valueMessage,
  type OnnxAttribute,
} from '../onnx-file/onnx-messages.js';
import type { GraphBody, GraphValue, OnnxOp } from './tensor-graph.js';

/** Larger arrays lie in `weights.bin`; in the graph, ONNX Runtime reads shapes and axes from those that are here. */
const MOST_INSIDE = 4096;

/** ONNX operators and what they have from outside and give. */
export interface Operators {
  nodes: OnnxOp[];
  inputs: GraphValue[];
  outputs: GraphValue[];
}

/** Writes operators as an ONNX model whose large arrays go to `weights`; answers its bytes and what it calls its ends. */
export function writeStretch(
  { nodes, inputs, outputs }: Operators,
  weights: WeightsWriter,
): { bytes: Uint8Array; inputs: string[]; outputs: string[] } {
  const writer = new StretchWriter(weights);
  const graph = new Message().text(2, 'model');
  for (const node of nodes) graph.message(1, writer.node(node));
  for (const value of inputs) graph.message(11, writer.port(value));
  for (const value of outputs) graph.message(12, writer.port(value));
  graph.append(writer.constants);
  const bytes = modelBytes(graph, { producer: 'slipway', domains: writer.domains });
  return { bytes, inputs: inputs.map(writer.nameOf), outputs: outputs.map(writer.nameOf) };
}

class StretchWriter {
  readonly domains = new Set<string>();
  readonly constants = new Message();
  private readonly names = new Map<GraphValue, string>();

  constructor(private readonly weights: WeightsWriter) {}

  readonly nameOf = (value: GraphValue): string => {
    const known = this.names.get(value);
    if (known !== undefined) return known;
    const name = `v${this.names.size}`;
    this.names.set(value, name);
    if (value.constant) this.constants.message(5, this.constant(value).text(8, name));
    return name;
  };

  port(value: GraphValue): Message {
    return valueMessage(this.nameOf(value), value.dtype, value.shape);
  }

  node({ operator, domain, inputs, outputs, attributes, bodies }: OnnxOp): Message {
    this.domains.add(domain);
    const graphs = Object.entries(bodies).map(([name, body]): [string, OnnxAttribute] => [
      name,
      { graph: this.body(body) },
    ]);
    return nodeMessage({
      operator,
      domain,
      inputs: inputs.map((value) => (value ? this.nameOf(value) : '')),
      outputs: outputs.map(this.nameOf),
      attributes: { ...attributes, ...Object.fromEntries(graphs) },
    });
  }

  /** A graph inside a node. What it answers must be made by it: values from around it and constants pass through a node. */
  private body({ scope, inputs, outputs }: GraphBody): Message {
    const graph = new Message().text(2, 'body');
    const own = new Set(scope.nodes.flatMap((node) => node.outputs));
    for (const node of scope.nodes) if (node.kind === 'onnx') graph.message(1, this.node(node));
    for (const value of inputs) graph.message(11, this.port(value));
    const answered = new Set<GraphValue>();
    for (const value of outputs) {
      const made = own.has(value) && !answered.has(value);
      answered.add(value);
      const name = made ? this.nameOf(value) : `copy${this.copies++}`;
      if (!made)
        graph.message(
          1,
          nodeMessage({ operator: 'Identity', inputs: [this.nameOf(value)], outputs: [name] }),
        );
      graph.message(12, valueMessage(name, value.dtype, value.shape));
    }
    return graph;
  }

  private copies = 0;

  private constant({ dtype, shape = [], constant = [] }: GraphValue): Message {
    if (dtype === 'BYTES' || Array.isArray(constant) || elementCount(shape) * 8 <= MOST_INSIDE)
      return tensorMessage(dtype, shape, constant);
    const { offset } = this.weights.add(dtype, constant, [...shape]);
    return externalTensorMessage(dtype, shape, {
      location: WEIGHTS_FILE,
      offset,
      length: constant.byteLength,
    });
  }
}
