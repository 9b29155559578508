import { axisOf, integersOf } from '../../tensor-graph/known.js';
import { makerOf, type GraphValue, type TensorGraph } from '../../tensor-graph/tensor-graph.js';

/*
 * Several operations of TensorFlow that are one operator of ONNX, found when the last of them is lowered. What the others made
 * is left behind where nothing else needs it.
 */

/** What a value is the complementary error function of. */
const erfcArguments = new WeakMap<GraphValue, GraphValue>();

export function rememberErfc(result: GraphValue, argument: GraphValue): void {
  erfcArguments.set(result, argument);
}

/** The inputs of the operator that makes a value, where it is the one that is named. */
function inputsOf(value: GraphValue | undefined, operator: string): GraphValue[] | undefined {
  const maker = value && makerOf(value);
  if (maker?.operator !== operator || maker.domain !== '') return undefined;
  return maker.inputs.filter((input) => input !== undefined);
}

/** The only element of a constant of floats. */
function numberOf(value: GraphValue | undefined): number | undefined {
  const { constant, dtype } = value ?? {};
  return constant?.length === 1 && dtype === 'FP32' ? Number(constant[0]) : undefined;
}

function isNear(value: number | undefined, wanted: number): boolean {
  return value !== undefined && Math.abs(value - wanted) < 1e-6;
}

/** x where the value is a number times x. */
function scaled(value: GraphValue | undefined, by: number): GraphValue | undefined {
  const [left, right] = inputsOf(value, 'Mul') ?? [];
  if (isNear(numberOf(left), by)) return right;
  return isNear(numberOf(right), by) ? left : undefined;
}

/** ½ · x · erfc(−x · √½): TensorFlow's exact Gelu. */
export function gelu(
  graph: TensorGraph,
  one: GraphValue,
  other: GraphValue,
): GraphValue | undefined {
  for (const [half, complement] of [
    [one, other],
    [other, one],
  ] as const) {
    const argument = erfcArguments.get(complement);
    const x = scaled(half, 0.5);
    const [negated] = inputsOf(scaled(argument, Math.SQRT1_2), 'Neg') ?? [];
    if (x && x === negated && x.dtype === 'FP32') return graph.op('Gelu', [x]);
  }
  return undefined;
}

interface Moments {
  x: GraphValue;
  mean: GraphValue;
  epsilon: number;
  scale?: GraphValue;
}

/** What the value is 1 / √(variance of the last dimension + ε) of, maybe times a scale. */
function inverseDeviation(value: GraphValue): Moments | undefined {
  const [root] = inputsOf(value, 'Reciprocal') ?? [];
  if (root) {
    const [sum] = inputsOf(root, 'Sqrt') ?? [];
    const [variance, added] = inputsOf(sum, 'Add') ?? [];
    const epsilon = numberOf(added);
    const [squares] = meanOfLast(variance) ?? [];
    const [one, other] = inputsOf(squares, 'Mul') ?? [];
    const [x, mean] = one === other ? (inputsOf(one, 'Sub') ?? []) : [];
    const [source] = meanOfLast(mean) ?? [];
    if (!x || !mean || epsilon === undefined || source !== x) return undefined;
    return { x, mean, epsilon };
  }
  const factors = inputsOf(value, 'Mul') ?? [];
  for (const [i, factor] of factors.entries()) {
    const scale = factors[1 - i];
    const found = scale?.constant && isVector(scale) ? inverseDeviation(factor) : undefined;
    if (found && scale && !found.scale) return { ...found, scale };
  }
  return undefined;
}

/** What the value is the mean over the last dimension of, which stays with the size 1. */
function meanOfLast(value: GraphValue | undefined): GraphValue[] | undefined {
  const [source, axes] = inputsOf(value, 'ReduceMean') ?? [];
  const maker = value && makerOf(value);
  if (!source?.shape || !axes || maker?.attributes['keepdims'] !== 1) return undefined;
  const rank = source.shape.length;
  const [axis, ...others] = integersOf(axes) ?? [];
  const isLast = axis !== undefined && others.length === 0 && axisOf(axis, rank) === rank - 1;
  return isLast ? [source] : undefined;
}

/** A value with one dimension that is not of size 1, the last. */
function isVector({ shape }: GraphValue): boolean {
  return shape !== undefined && shape.length > 0 && shape.slice(0, -1).every((size) => size === 1);
}

/** x · d + (−mean · d + offset), where d is the inverse deviation: the normalisation of layers as Keras writes it. */
export function layerNormalisation(
  graph: TensorGraph,
  one: GraphValue,
  other: GraphValue,
): GraphValue | undefined {
  for (const [product, rest] of [
    [one, other],
    [other, one],
  ] as const) {
    const [left, right] = inputsOf(product, 'Mul') ?? [];
    const found = normalised(left, right) ?? normalised(right, left);
    if (!found) continue;
    const { x, mean, epsilon, scale, deviation } = found;
    const offset = offsetOf(rest, mean, deviation);
    if (!scale || !offset || x.dtype !== 'FP32') continue;
    const channels = x.shape?.at(-1) ?? -1;
    if (scale.shape?.at(-1) !== channels || offset.shape?.at(-1) !== channels) continue;
    const vectors = [scale, offset].map((vector) => graph.reshape(vector, [channels]));
    const attributes = { axis: -1, epsilon: { float: epsilon } };
    const known = { dtype: x.dtype, shape: x.shape };
    return graph.op('LayerNormalization', [x, ...vectors], attributes, known);
  }
  return undefined;
}

function normalised(
  x: GraphValue | undefined,
  deviation: GraphValue | undefined,
): (Moments & { deviation: GraphValue }) | undefined {
  const found = deviation && inverseDeviation(deviation);
  return found && found.x === x ? { ...found, deviation } : undefined;
}

/** The offset where the value is offset − mean · deviation. */
function offsetOf(
  value: GraphValue,
  mean: GraphValue,
  deviation: GraphValue,
): GraphValue | undefined {
  const isProduct = (product: GraphValue | undefined, isOfMean: (x: GraphValue) => boolean) => {
    const factors = inputsOf(product, 'Mul') ?? [];
    return factors.includes(deviation) && factors.some(isOfMean);
  };
  const isNegated = (x: GraphValue) => inputsOf(x, 'Neg')?.[0] === mean;
  const sum = inputsOf(value, 'Add') ?? [];
  for (const [i, part] of sum.entries()) {
    const offset = sum[1 - i];
    if (offset?.constant && isVector(offset) && isProduct(part, isNegated)) return offset;
  }
  const [offset, product] = inputsOf(value, 'Sub') ?? [];
  const fits = offset?.constant && isVector(offset) && isProduct(product, (x) => x === mean);
  return fits ? offset : undefined;
}
