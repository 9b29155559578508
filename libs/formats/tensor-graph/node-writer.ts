import { WEIGHTS_FILE, type Body, type ProgramNode, type WeightRef } from '#program';
import type { ProgramBuilder } from '../program-builder.js';
import { stretches, type HostNode, type OnnxStretch } from './stretches.js';
import {
  capturedValues,
  type GraphBody,
  type GraphNode,
  type GraphValue,
  type KernelOp,
} from './tensor-graph.js';
import { writeStretch } from './write-stretch.js';

/** Writes nodes of a graph, or of the body of a loop or a branch, as those of a Program. */
export class NodeWriter {
  readonly nodes: ProgramNode[] = [];
  private readonly names = new Map<GraphValue, string>();

  /** New names and weights are those of `builder`; nodes are not added to it. */
  constructor(private readonly builder: Pick<ProgramBuilder, 'newValue' | 'weights'>) {}

  /** Says what a value is called that is there already. */
  call(value: GraphValue, name: string): void {
    this.names.set(value, name);
  }

  readonly nameOf = (value: GraphValue): string => {
    const known = this.names.get(value);
    if (known !== undefined) return known;
    const name = value.constant ? this.constant(value) : this.builder.newValue();
    this.names.set(value, name);
    return name;
  };

  /** A value that is equal. */
  copy(value: GraphValue): string {
    const name = this.builder.newValue();
    this.nodes.push({
      kind: 'kernel',
      kernel: 'identity',
      inputs: [this.nameOf(value)],
      outputs: [name],
    });
    return name;
  }

  /** Writes the nodes that the outputs need; see {@link stretches} on their groups. */
  write(nodes: readonly GraphNode[], groups: GraphValue[][]): void {
    for (const stretch of stretches(nodes, groups)) {
      if (stretch.kind === 'kernel') this.addKernel(stretch);
      else if (stretch.kind === 'host') this.addHostNode(stretch);
      else this.addStretch(stretch);
    }
  }

  private addKernel(node: KernelOp): void {
    const weights = Object.entries(node.weights).map(
      ([name, { dtype, shape, data }]): [string, WeightRef] => [
        name,
        this.builder.weights.add(dtype, data, shape),
      ],
    );
    this.nodes.push({
      kind: 'kernel',
      kernel: node.kernel,
      inputs: node.inputs.map(this.nameOf),
      outputs: node.outputs.map(this.nameOf),
      ...(Object.keys(node.attributes).length > 0 && { attributes: node.attributes }),
      ...(weights.length > 0 && { weights: Object.fromEntries(weights) }),
    });
  }

  private addStretch(stretch: OnnxStretch): void {
    const { bytes, inputs, outputs } = writeStretch(stretch, this.builder.weights);
    const bridge = { external: [WEIGHTS_FILE], hide: [], append: '', inputs: {}, outputs: {} };
    this.nodes.push({
      kind: 'onnx',
      inputs: Object.fromEntries(
        stretch.inputs.map((value, i) => [inputs[i] ?? '', this.nameOf(value)]),
      ),
      outputs: Object.fromEntries(
        stretch.outputs.map((value, i) => [outputs[i] ?? '', this.nameOf(value)]),
      ),
      graph: this.builder.weights.add('UINT8', bytes),
      bridge,
    });
  }

  private addHostNode({ node }: HostNode): void {
    const bodies = Object.values(node.bodies);
    const captured = [...new Set(bodies.flatMap(capturedValues))];
    const around = captured.map(this.nameOf);
    const outputs = () => node.outputs.map(this.nameOf);
    const { body, then_branch: whenTrue, else_branch: whenFalse } = node.bodies;
    if (whenTrue && whenFalse) {
      const inputs = [...node.inputs, ...captured].flatMap((value) => value ?? []);
      this.nodes.push({
        kind: 'branch',
        inputs: inputs.map(this.nameOf),
        outputs: outputs(),
        whenTrue: this.bodyOf(whenTrue, captured),
        whenFalse: this.bodyOf(whenFalse, captured),
      });
      return;
    }
    if (!body) throw new Error(`${node.operator} has no body`);
    const [most, condition, ...states] = node.inputs;
    const { root } = body.scope;
    const first = [
      most ?? root.scalar('INT64', Number.MAX_SAFE_INTEGER),
      condition ?? root.scalar('BOOL', true),
      ...states.flatMap((value) => value ?? []),
    ];
    this.nodes.push({
      kind: 'loop',
      inputs: [...first.map(this.nameOf), ...around],
      outputs: outputs(),
      states: states.length,
      scans: body.outputs.slice(1 + states.length).map(({ dtype, shape }) => ({
        dtype,
        shape: [...(shape ?? [])],
      })),
      body: this.bodyOf(body, captured),
    });
  }

  private bodyOf(body: GraphBody, captured: GraphValue[]): Body {
    const writer = new NodeWriter(this.builder);
    const inputs = [...body.inputs, ...captured];
    for (const value of inputs) writer.call(value, this.builder.newValue());
    writer.write(body.scope.nodes, [body.outputs]);
    return {
      inputs: inputs.map(writer.nameOf),
      outputs: body.outputs.map(writer.nameOf),
      nodes: writer.nodes,
    };
  }

  /** A constant as a value of the Program. */
  private constant({ dtype, shape, constant }: GraphValue): string {
    const name = this.builder.newValue();
    const node = { kind: 'kernel' as const, kernel: 'constant', inputs: [], outputs: [name] };
    const sizes = [...(shape ?? [])];
    if (dtype !== 'BYTES' && constant && !Array.isArray(constant)) {
      const value = this.builder.weights.add(dtype, constant, sizes);
      this.nodes.push({ ...node, weights: { value } });
      return name;
    }
    const bytes: number[] = [];
    const strings = Array.from<unknown, string>(constant ?? [], (element, i) => {
      if (!(element instanceof Uint8Array)) return typeof element === 'string' ? element : '';
      bytes.push(i);
      return btoa(String.fromCharCode(...element));
    });
    const attributes = { strings, shape: sizes, ...(bytes.length > 0 && { bytes }) };
    this.nodes.push({ ...node, attributes });
    return name;
  }
}
