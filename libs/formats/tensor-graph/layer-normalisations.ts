import { elementCount } from '#program';
import { axisOf, integersOf } from './known.js';
import type { GraphNode, GraphValue, OnnxOp } from './tensor-graph.js';

/**
 * Says with ONNX's LayerNormalization what Keras says in single steps along the last dimension: `x · s + (β − μ · s)` with
 * `s = γ / √(σ² + ε)`, μ the mean of x and σ² that of `(x − μ)²`, up to the order of sums and factors. Other nodes stay.
 */
export function withLayerNormalisations(nodes: readonly GraphNode[]): GraphNode[] {
  const makers = new Map<GraphValue, OnnxOp>();
  for (const node of nodes)
    if (node.kind === 'onnx') for (const output of node.outputs) makers.set(output, node);
  const reader = new NormalisationReader(makers);
  return nodes.map((node) => {
    const found = node.kind === 'onnx' ? reader.read(node) : undefined;
    return found ?? node;
  });
}

class NormalisationReader {
  constructor(private readonly makers: ReadonlyMap<GraphValue, OnnxOp>) {}

  read(node: OnnxOp): OnnxOp | undefined {
    const [output] = node.outputs;
    if (node.operator !== 'Add' || output?.dtype !== 'FP32') return undefined;
    for (const [scaled, shift] of pairsOf(node))
      for (const [x, scale] of this.pairs(scaled, 'Mul')) {
        const found = this.parts(x, scale, shift);
        if (!found) continue;
        const { gamma, beta, epsilon } = found;
        return {
          ...node,
          operator: 'LayerNormalization',
          inputs: [x, gamma, ...(beta ? [beta] : [])],
          attributes: { axis: -1, epsilon: { float: epsilon } },
        };
      }
    return undefined;
  }

  private parts(x: GraphValue, scale: GraphValue, shift: GraphValue) {
    const width = x.shape?.at(-1) ?? -1;
    const root = this.scaleOf(scale, width);
    if (!root || width < 1) return undefined;
    const spread = this.spreadOf(root.rest);
    const mean = spread && this.meanOf(x, spread.variance);
    if (!mean) return undefined;
    const beta = this.shiftOf(shift, { mean, scale, width });
    return beta && { ...beta, gamma: root.gamma, epsilon: spread.epsilon };
  }

  /** `γ · rest` */
  private scaleOf(scale: GraphValue, width: number) {
    for (const [rest, factor] of this.pairs(scale, 'Mul')) {
      const gamma = this.vector(factor, width);
      if (gamma) return { gamma, rest };
    }
    return undefined;
  }

  /** `1 / √(variance + ε)` */
  private spreadOf(rest: GraphValue): { variance: GraphValue; epsilon: number } | undefined {
    const [root] = this.inputs(rest, 'Reciprocal');
    const [sum] = root ? this.inputs(root, 'Sqrt') : [];
    for (const [variance, small] of sum ? this.pairs(sum, 'Add') : []) {
      const { constant } = small;
      if (constant?.length === 1 && !Array.isArray(constant))
        return { variance, epsilon: Number(constant[0]) };
    }
    return undefined;
  }

  /** The mean, where the variance is that of `x` around it. */
  private meanOf(x: GraphValue, variance: GraphValue): GraphValue | undefined {
    const squares = this.averaged(variance);
    const [one, other] = squares ? this.inputs(squares, 'Mul') : [];
    if (!one || one !== other) return undefined;
    const [left, right] = this.inputs(one, 'Sub');
    const mean = left === x ? right : left;
    if (!mean || (left !== x && right !== x)) return undefined;
    return this.averaged(mean) === x ? mean : undefined;
  }

  /** What a mean along the last dimension is of, which stays as one of size 1. */
  private averaged(value: GraphValue): GraphValue | undefined {
    const maker = this.makers.get(value);
    const [input, axes] = maker?.inputs ?? [];
    if (maker?.operator !== 'ReduceMean' || !input?.shape || !axes) return undefined;
    const [axis, ...others] = integersOf(axes) ?? [];
    const keeps = (maker.attributes['keepdims'] ?? 1) === 1;
    const isLast =
      axis !== undefined && axisOf(axis, input.shape.length) === input.shape.length - 1;
    return keeps && isLast && others.length === 0 ? input : undefined;
  }

  /** `β − mean · scale`; β may lack. */
  private shiftOf(
    shift: GraphValue,
    given: { mean: GraphValue; scale: GraphValue; width: number },
  ): { beta: GraphValue | undefined } | undefined {
    const [beta, taken] = this.inputs(shift, 'Sub');
    if (beta && taken && this.isProduct(taken, given.mean, given.scale)) {
      const vector = this.vector(beta, given.width);
      return vector && { beta: vector };
    }
    if (this.isNegated(shift, given)) return { beta: undefined };
    for (const [negated, added] of this.pairs(shift, 'Add')) {
      const vector = this.vector(added, given.width);
      if (vector && this.isNegated(negated, given)) return { beta: vector };
    }
    return undefined;
  }

  private isNegated(
    value: GraphValue,
    { mean, scale }: { mean: GraphValue; scale: GraphValue },
  ): boolean {
    const [product] = this.inputs(value, 'Neg');
    if (product) return this.isProduct(product, mean, scale);
    return this.pairs(value, 'Mul').some(
      ([left, right]) => right === scale && this.inputs(left, 'Neg')[0] === mean,
    );
  }

  private isProduct(value: GraphValue, one: GraphValue, other: GraphValue): boolean {
    return this.pairs(value, 'Mul').some(([left, right]) => left === one && right === other);
  }

  /** A constant of so many elements along the last dimension, as one of one dimension. */
  private vector(value: GraphValue, width: number): GraphValue | undefined {
    const { shape, dtype } = value;
    if (!shape || shape.at(-1) !== width || elementCount(shape) !== width) return undefined;
    const [reshaped] = this.inputs(value, 'Reshape');
    const constant = value.constant ?? reshaped?.constant;
    if (constant?.length !== width) return undefined;
    return shape.length === 1
      ? value
      : { scope: value.scope.root, dtype, shape: [width], constant };
  }

  private inputs(value: GraphValue, operator: string): GraphValue[] {
    const maker = this.makers.get(value);
    if (maker?.operator !== operator) return [];
    return maker.inputs.filter((input) => input !== undefined);
  }

  private pairs(value: GraphValue, operator: string): [GraphValue, GraphValue][] {
    const maker = this.makers.get(value);
    return maker?.operator === operator ? pairsOf(maker) : [];
  }
}

function pairsOf({ inputs: [left, right] }: OnnxOp): [GraphValue, GraphValue][] {
  if (!left || !right) return [];
  return [
    [left, right],
    [right, left],
  ];
}
