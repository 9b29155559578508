import {
  dataOf,
  elementCount,
  type Attribute,
  type DType,
  type TensorData,
  type TensorSpec,
} from '#program';
import { ONNX_TYPES, type OnnxAttribute } from '../onnx-file/onnx-messages.js';
import { fold, knownSizes } from './fold.js';
import { inferOutputs } from './infer.js';
import { moveTexts } from './text-moves.js';
import { commonShape, type Known, type Shape } from './known.js';

/** A value of a graph. Those that are constant have no node that makes them. */
export interface GraphValue extends Readonly<Known> {
  /** Where its node stands. */
  readonly scope: TensorGraph;
}

export type GraphNode = OnnxOp | KernelOp;

/** A node that ONNX Runtime runs. */
export interface OnnxOp {
  kind: 'onnx';
  operator: string;
  /** `ai.onnx.ml`, `com.microsoft`, or `""` for ONNX's own. */
  domain: string;
  /** Undefined: an optional input that is left out. */
  inputs: (GraphValue | undefined)[];
  outputs: GraphValue[];
  attributes: Record<string, OnnxAttribute>;
  /** Graphs inside the node, by the names of their attributes. */
  bodies: Record<string, GraphBody>;
}

/** A node that a kernel of the Program runs: what ONNX cannot say. */
export interface KernelOp {
  kind: 'kernel';
  kernel: string;
  inputs: GraphValue[];
  outputs: GraphValue[];
  attributes: Record<string, Attribute>;
  weights: Record<string, Weight>;
}

/** An array that a kernel keeps. */
export interface Weight {
  dtype: Exclude<DType, 'BYTES'>;
  shape: number[];
  data: Exclude<TensorData, unknown[]>;
}

export interface GraphBody {
  scope: TensorGraph;
  inputs: GraphValue[];
  outputs: GraphValue[];
}

export interface OpOptions {
  attributes?: Record<string, OnnxAttribute>;
  domain?: string;
  /** What the outputs are; needed where {@link inferOutputs} does not know the operator. */
  outputs?: Known[];
  bodies?: Record<string, GraphBody>;
}

const makers = new WeakMap<GraphValue, OnnxOp>();

/** The operator that makes a value: for rules that know a faster way to compute several of them at once. */
export function makerOf(value: GraphValue): OnnxOp | undefined {
  return makers.get(value);
}

/**
 * A graph of ONNX operators and of kernels, as importers of neural networks make it, operator after operator. It says of each
 * value what is known, computes what is constant, and in the end {@link writeGraph} makes a Program of it: stretches of ONNX
 * operators become graphs for ONNX Runtime, and kernels stand between them.
 *
 * The body of a loop or a branch is a graph of its own ({@link loop}, {@link branch}) that may use all values around it. What
 * does not depend on the turn of a loop is put outside of it. Loops and branches with kernels inside, or that carry strings, become
 * nodes of the Program; all others are run by ONNX Runtime as a whole.
 */
export class TensorGraph {
  readonly nodes: GraphNode[] = [];

  constructor(
    readonly outer?: TensorGraph,
    private readonly kind: 'model' | 'loop' | 'branch' = 'model',
  ) {}

  /** An input of the model, or of a body. */
  input({ dtype, shape, anyShape }: Pick<TensorSpec, 'dtype' | 'shape' | 'anyShape'>): GraphValue {
    return { scope: this, dtype, shape: anyShape ? undefined : shape };
  }

  constant(dtype: DType, shape: Shape, data: TensorData): GraphValue {
    if (data.length !== elementCount(shape))
      throw new Error(`${data.length} elements are no ${dtype} [${shape.join(', ')}]`);
    const known: Known = { dtype, shape, constant: data };
    return { scope: this.root, ...known, sizes: knownSizes(known) };
  }

  scalar(dtype: DType, value: number | bigint | string | boolean): GraphValue {
    return this.constant(dtype, [], dataOf(dtype, [value]));
  }

  /** An INT64 of one dimension: axes, sizes, places. */
  integers(values: readonly number[]): GraphValue {
    return this.constant('INT64', [values.length], dataOf('INT64', values));
  }

  /** An ONNX operator of one output. */
  op(
    operator: string,
    inputs: (GraphValue | undefined)[],
    attributes: Record<string, OnnxAttribute> = {},
    known?: Known,
  ): GraphValue {
    const outputs = known ? { outputs: [known] } : {};
    const [output] = this.ops(operator, inputs, { attributes, ...outputs });
    if (!output) throw new Error(`${operator} has no output`);
    return output;
  }

  /** An ONNX operator with all of its outputs. */
  ops(
    operator: string,
    inputs: (GraphValue | undefined)[],
    { attributes = {}, domain = '', outputs, bodies = {} }: OpOptions = {},
  ): GraphValue[] {
    const given = { operator, domain, inputs, attributes };
    const known = (outputs ?? inferOutputs(given)).map((output, i) => ({
      ...output,
      ...fold(given, output, i),
    }));
    if (known.length > 0 && known.every(({ constant }) => constant))
      return known.map((output) => ({ scope: this.root, ...output }));
    const moved = domain === '' ? moveTexts(this, given, known) : undefined;
    if (moved) return moved;
    const captured = Object.values(bodies).flatMap((body) => capturedValues(body));
    const scope = this.placeOf([...inputs, ...captured]);
    const made = known.map(({ dtype, shape, sizes }) => ({ dtype, shape, sizes, scope }));
    const node: OnnxOp = { kind: 'onnx', ...given, outputs: made, bodies };
    scope.nodes.push(node);
    for (const value of made) makers.set(value, node);
    return made;
  }

  /** A kernel of the Program. */
  kernel(
    kernel: string,
    inputs: GraphValue[],
    outputs: Known[],
    given: { attributes?: Record<string, Attribute>; weights?: Record<string, Weight> } = {},
  ): GraphValue[] {
    const { attributes = {}, weights = {} } = given;
    const scope = this.placeOf(inputs);
    const made = outputs.map((output) => ({ ...output, scope }));
    scope.nodes.push({ kind: 'kernel', kernel, inputs, outputs: made, attributes, weights });
    return made;
  }

  cast(value: GraphValue, to: DType): GraphValue {
    if (value.dtype === to) return value;
    return this.op('Cast', [value], { to: ONNX_TYPES[to] });
  }

  reshape(value: GraphValue, sizes: readonly number[]): GraphValue {
    return this.op('Reshape', [value, this.integers(sizes)], { allowzero: 1 });
  }

  /** The value with its dimensions in another order. */
  transpose(value: GraphValue, order: readonly number[]): GraphValue {
    if (order.every((axis, i) => axis === i)) return value;
    return this.op('Transpose', [value], { perm: [...order] });
  }

  /**
   * ONNX's Loop: runs `body` while its condition holds, `most` times at most. States go from turn to turn; what is named in
   * `scans` is collected, each turn one more along a new first dimension. `shapes` are those of the states where they change
   * from turn to turn; else they are those of the first.
   */
  loop(
    given: {
      most?: GraphValue | undefined;
      condition?: GraphValue | undefined;
      states: GraphValue[];
      shapes?: (Shape | undefined)[];
    },
    body: (scope: TensorGraph, turn: GraphValue, states: GraphValue[]) => LoopTurn,
  ): { states: GraphValue[]; scans: GraphValue[] } {
    const scope = new TensorGraph(this, 'loop');
    const shapes = given.shapes ?? given.states.map(({ shape }) => shape);
    const specs = given.states.map(({ dtype }, i) => ({ dtype, shape: shapes[i] }));
    const turn = scope.parameter({ dtype: 'INT64', shape: [] });
    const condition = scope.parameter({ dtype: 'BOOL', shape: [] });
    const states = specs.map((spec) => scope.parameter(spec));
    const made = body(scope, turn, states);
    const inputs = [turn, condition, ...states];
    const outputs = [made.condition, ...made.states, ...made.scans];
    const known = [
      ...specs,
      ...made.scans.map(({ dtype, shape }) => ({ dtype, shape: shape && [-1, ...shape] })),
    ];
    const results = this.ops('Loop', [given.most, given.condition, ...given.states], {
      outputs: known,
      bodies: { body: { scope, inputs, outputs } },
    });
    return { states: results.slice(0, specs.length), scans: results.slice(specs.length) };
  }

  /** ONNX's If. Both branches answer values of the same types. */
  branch(
    condition: GraphValue,
    whenTrue: (scope: TensorGraph) => GraphValue[],
    whenFalse: (scope: TensorGraph) => GraphValue[],
  ): GraphValue[] {
    const [then, other] = [whenTrue, whenFalse].map((make) => {
      const scope = new TensorGraph(this, 'branch');
      return { scope, inputs: [], outputs: make(scope) };
    });
    if (!then || !other) throw new Error('a branch has two sides');
    const outputs = then.outputs.map(({ dtype, shape }, i) => ({
      dtype,
      shape: commonShape(shape, other.outputs[i]?.shape),
    }));
    return this.ops('If', [condition], {
      outputs,
      bodies: { then_branch: then, else_branch: other },
    });
  }

  /** Drops nodes of this graph that these values do not need: bodies of loops and branches run whatever they hold. */
  keepOnly(values: readonly GraphValue[]): void {
    const needed = new Set<GraphValue>(values);
    const kept = this.nodes.toReversed().filter((node) => {
      if (!node.outputs.some((output) => needed.has(output))) return false;
      const bodies = node.kind === 'onnx' ? Object.values(node.bodies) : [];
      for (const value of [...node.inputs, ...bodies.flatMap(capturedValues)])
        if (value) needed.add(value);
      return true;
    });
    this.nodes.splice(0, this.nodes.length, ...kept.toReversed());
  }

  get root(): TensorGraph {
    return this.outer?.root ?? this;
  }

  private parameter(known: Known): GraphValue {
    return { scope: this, dtype: known.dtype, shape: known.shape };
  }

  /** The outermost graph in which a node may stand that uses these values; a branch keeps what nothing forces out of it. */
  private placeOf(values: (GraphValue | undefined)[]): TensorGraph {
    const used = new Set(values.flatMap((value) => (value && !value.constant ? value.scope : [])));
    return this.outermost(used);
  }

  private outermost(used: ReadonlySet<TensorGraph>): TensorGraph {
    const stays = used.has(this) || this.kind === 'branch';
    return stays || !this.outer ? this : this.outer.outermost(used);
  }
}

/** What one turn of a loop makes. */
export interface LoopTurn {
  /** BOOL without dimensions: whether another turn follows. */
  condition: GraphValue;
  states: GraphValue[];
  scans: GraphValue[];
}

/** The values that the nodes of a body use from around it. */
export function capturedValues(body: GraphBody): GraphValue[] {
  const inside = (scope: TensorGraph | undefined): boolean =>
    scope !== undefined && (scope === body.scope || inside(scope.outer));
  const used = body.scope.nodes.flatMap((node) => [
    ...node.inputs,
    ...(node.kind === 'onnx' ? Object.values(node.bodies).flatMap(capturedValues) : []),
  ]);
  const values = new Set<GraphValue>();
  for (const value of [...used, ...body.outputs])
    if (value && !value.constant && !inside(value.scope)) values.add(value);
  return [...values];
}
