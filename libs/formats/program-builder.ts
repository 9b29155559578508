import {
  SCHEMA_VERSION,
  WeightsWriter,
  type Binding,
  type Forest,
  type KernelNode,
  type ObliviousForest,
  type Program,
  type ProgramNode,
  type TensorSpec,
} from '#program';

/** What a program says beside its nodes. */
export interface ProgramFacts {
  importer: string;
  format: string;
  inputs: TensorSpec[];
  binding: Binding;
  defaultOutputs: string[];
}

/** What adds nodes to a program: its builder, or a graph that knows more of the values. */
export type NodeBuilder = Pick<ProgramBuilder, 'kernel' | 'forest' | 'oblivious' | 'weights'>;

/**
 * Puts a program together node by node, a rowwise one where no node says otherwise. Values are named as they come, and by the
 * output that they are in the end.
 */
export class ProgramBuilder {
  readonly weights = new WeightsWriter();
  private readonly nodes: ProgramNode[] = [];
  private readonly first: ProgramNode[] = [];
  private readonly outputs: { spec: TensorSpec; value: string }[] = [];
  private count = 0;
  private rowwise = true;

  /** Adds a kernel node and answers the name of the value that it makes. */
  kernel(
    kernel: string,
    inputs: string[],
    given: Pick<KernelNode, 'attributes' | 'weights'> = {},
  ): string {
    const value = this.newValue();
    this.nodes.push({ kind: 'kernel', kernel, inputs, outputs: [value], ...given });
    return value;
  }

  /** Adds a kernel node in front of all others, for a value whose name ({@link newValue}) they have used already. */
  ahead(
    kernel: string,
    inputs: string[],
    value: string,
    given: Pick<KernelNode, 'attributes' | 'weights'> = {},
  ): void {
    this.first.push({ kind: 'kernel', kernel, inputs, outputs: [value], ...given });
  }

  /** Adds a node as it is. */
  node(node: ProgramNode): void {
    this.nodes.push(node);
  }

  /** Adds a forest and answers the names of its sums and of the leaves. */
  forest(rows: string, forest: Forest): { scores: string; leaf: string } {
    const scores = this.newValue();
    const leaf = this.newValue();
    this.nodes.push({ kind: 'forest', inputs: [rows], outputs: [scores, leaf], forest });
    return { scores, leaf };
  }

  /** Adds oblivious trees and answers the names of their sums and of the leaves. */
  oblivious(rows: string, forest: ObliviousForest): { scores: string; leaf: string } {
    const scores = this.newValue();
    const leaf = this.newValue();
    this.nodes.push({ kind: 'oblivious', inputs: [rows], outputs: [scores, leaf], forest });
    return { scores, leaf };
  }

  /** Says that an answer's rows depend on all rows of the request: requests are neither joined nor cut. */
  dependsOnAllRows(): void {
    this.rowwise = false;
  }

  /** Makes a value an output of the program. */
  output(spec: TensorSpec, value: string): void {
    this.outputs.push({ spec, value });
  }

  finish({ inputs, binding, defaultOutputs, ...facts }: ProgramFacts): {
    program: Program;
    weights: Uint8Array;
  } {
    const names = new Map<string, string>();
    for (const { spec, value } of this.outputs) {
      const name = names.get(value);
      if (name === undefined) names.set(value, spec.name);
      else
        this.nodes.push({
          kind: 'kernel',
          kernel: 'identity',
          inputs: [name],
          outputs: [spec.name],
        });
    }
    const weights = this.weights.toBytes();
    const program: Program = {
      schemaVersion: SCHEMA_VERSION,
      ...facts,
      signature: { inputs, outputs: this.outputs.map(({ spec }) => spec), defaultOutputs },
      binding,
      rowwise: this.rowwise,
      nodes: [...this.first, ...this.nodes].map((node) => renamed(node, names)),
      weights: { size: weights.byteLength },
      files: [],
    };
    return { program, weights };
  }

  /** A name that no value has yet. */
  newValue(): string {
    this.count += 1;
    return `value/${this.count}`;
  }
}

function renamed(node: ProgramNode, names: Map<string, string>): ProgramNode {
  const rename = (value: string) => names.get(value) ?? value;
  switch (node.kind) {
    case 'kernel':
    case 'loop':
    case 'branch':
      return { ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) };
    case 'forest':
    case 'oblivious': {
      const [rows] = node.inputs;
      const [scores, leaf] = node.outputs;
      return { ...node, inputs: [rename(rows)], outputs: [rename(scores), rename(leaf)] };
    }
    case 'onnx':
      return {
        ...node,
        inputs: renamedValues(node.inputs, rename),
        outputs: renamedValues(node.outputs, rename),
      };
  }
}

function renamedValues(
  ports: Record<string, string>,
  rename: (value: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(ports).map(([port, value]) => [port, rename(value)]));
}
