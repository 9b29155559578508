import { dataOf, elementCount, type DType, type TensorData } from '#program';
import type { GivenOp } from './infer.js';
import { axisOf, integersOf, type Known } from './known.js';

/** More elements than any shape, permutation or list of axes has: what is larger is computed when the model is loaded. */
const MOST_FOLDED = 4096;

/**
 * What can be computed while a model is compiled: the elements of an output whose inputs are constant, and the sizes that a
 * shape has already. Only what shapes, axes and places are made with; ONNX Runtime folds the rest.
 */
export function fold(
  { operator, inputs, attributes, domain }: GivenOp,
  output: Known,
  place: number,
): Pick<Known, 'constant' | 'sizes'> {
  if (domain !== '' || place > 0) return { sizes: output.sizes };
  const op: Folded = {
    inputs: inputs.filter((input): input is Known => input !== undefined),
    output,
    integer: (name, absent) => {
      const value = attributes[name];
      return typeof value === 'number' ? value : absent;
    },
    order: (name) => {
      const value = attributes[name];
      return Array.isArray(value) ? value.map(Number) : undefined;
    },
  };
  if (op.inputs.length < inputs.length) return { sizes: output.sizes };
  const constant = foldedConstant(operator, op);
  if (constant) {
    const known = { ...output, constant };
    return { constant, sizes: knownSizes(known) };
  }
  return { sizes: output.sizes ?? foldedSizes(operator, op) };
}

/** The sizes that a constant says, where it is a list of integers or one. */
export function knownSizes(known: Known): readonly number[] | undefined {
  const isList = known.shape !== undefined && known.shape.length <= 1;
  if (!isList || (known.dtype !== 'INT64' && known.dtype !== 'INT32')) return undefined;
  return integersOf(known);
}

interface Folded {
  inputs: Known[];
  output: Known;
  integer(name: string, absent: number): number;
  order(name: string): number[] | undefined;
}

function foldedConstant(operator: string, op: Folded): TensorData | undefined {
  const { shape, dtype } = op.output;
  if (operator === 'Shape' || operator === 'Size') return shapeConstant(operator, op);
  if (!shape || shape.includes(-1) || elementCount(shape) > MOST_FOLDED) return undefined;
  if (op.inputs.some(({ constant }) => !constant || constant.length > MOST_FOLDED))
    return undefined;
  if (moves.has(operator)) return movedElements(operator, op);
  if (dtype === 'BYTES' || !isPlain(dtype)) return undefined;
  const numbers = op.inputs.map(numbersOf);
  if (numbers.some((list) => list === undefined)) return undefined;
  const folded = computed(operator, op, numbers as number[][]);
  if (!folded) return undefined;
  const exact = dtype.startsWith('FP') || folded.every(Number.isSafeInteger);
  return exact ? dataOf(dtype, folded) : undefined;
}

function isPlain(dtype: DType): boolean {
  return dtype !== 'FP16' && dtype !== 'BF16';
}

function numbersOf(known: Known): number[] | undefined {
  if (known.dtype === 'FP32' || known.dtype === 'FP64')
    return Array.from(known.constant ?? [], Number);
  return integersOf(known);
}

function shapeConstant(operator: string, { inputs, output }: Folded): TensorData | undefined {
  const [input] = inputs;
  if (!input?.shape || input.shape.includes(-1)) return undefined;
  return dataOf(output.dtype, operator === 'Shape' ? input.shape : [elementCount(input.shape)]);
}

/** Operators that only move elements about, of whatever dtype: their outputs are made of places in the first input. */
const moves = new Set([
  'Identity',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Transpose',
  'Gather',
  'Slice',
  'Concat',
  'Expand',
  'Tile',
]);

function movedElements(operator: string, op: Folded): TensorData | undefined {
  const { dtype } = op.output;
  const pool = op.inputs
    .slice(0, operator === 'Concat' ? undefined : 1)
    .flatMap(({ constant }) =>
      Array.from<number | bigint | string | Uint8Array | null>(constant ?? []),
    );
  const places = movedPlaces(operator, op);
  if (!places) return undefined;
  const elements = places.map((place) => pool[place] ?? null);
  if (dtype === 'BYTES') return elements as (string | Uint8Array | null)[];
  return dataOf(dtype, elements as (number | bigint)[]);
}

function movedPlaces(operator: string, op: Folded): number[] | undefined {
  const [first, second] = op.inputs;
  const { shape = [] } = op.output;
  const source = first?.shape;
  if (!source) return undefined;
  const count = elementCount(shape);
  switch (operator) {
    case 'Transpose': {
      const order = op.order('perm') ?? source.map((_, axis) => source.length - 1 - axis);
      return placesBy(shape, (index) => {
        const from = source.map(() => 0);
        order.forEach((axis, i) => (from[axis] = index[i] ?? 0));
        return flat(source, from);
      });
    }
    case 'Gather': {
      const axis = axisOf(op.integer('axis', 0), source.length);
      const chosen = second && integersOf(second);
      if (!chosen) return undefined;
      const rank = second.shape?.length ?? 0;
      return placesBy(shape, (index) => {
        const at = flat(second.shape ?? [], index.slice(axis, axis + rank));
        const place = axisOf(chosen[at] ?? 0, source[axis] ?? 0);
        return flat(source, [...index.slice(0, axis), place, ...index.slice(axis + rank)]);
      });
    }
    case 'Slice': {
      const [starts, , axes, steps] = op.inputs.slice(1).map(integersOf);
      return placesBy(shape, (index) => {
        const from = [...index];
        (starts ?? []).forEach((start, i) => {
          const axis = axisOf(axes?.[i] ?? i, source.length);
          const size = source[axis] ?? 0;
          const step = steps?.[i] ?? 1;
          const most = step > 0 ? size : size - 1;
          const begin = Math.min(Math.max(start < 0 ? start + size : start, 0), most);
          from[axis] = begin + (index[axis] ?? 0) * step;
        });
        return flat(source, from);
      });
    }
    case 'Concat': {
      const axis = axisOf(op.integer('axis', 0), source.length);
      const starts: number[] = [];
      let elements = 0;
      for (const input of op.inputs) {
        starts.push(elements);
        elements += elementCount(input.shape ?? []);
      }
      return placesBy(shape, (index) => {
        let at = index[axis] ?? 0;
        let part = 0;
        while (at >= (op.inputs[part]?.shape?.[axis] ?? Infinity))
          at -= op.inputs[part++]?.shape?.[axis] ?? 0;
        const from = index.map((place, i) => (i === axis ? at : place));
        return (starts[part] ?? 0) + flat(op.inputs[part]?.shape ?? [], from);
      });
    }
    case 'Expand':
    case 'Tile':
      return placesBy(shape, (index) =>
        flat(
          source,
          source.map((size, axis) => (index[axis + shape.length - source.length] ?? 0) % size),
        ),
      );
    default:
      return Array.from({ length: count }, (_, i) => i);
  }
}

function flat(shape: readonly number[], index: readonly number[]): number {
  return shape.reduce((sum, size, axis) => sum * size + (index[axis] ?? 0), 0);
}

function placesBy(shape: readonly number[], place: (index: number[]) => number): number[] {
  return Array.from({ length: elementCount(shape) }, (_, i) => {
    const index: number[] = [];
    let rest = i;
    for (const size of shape.toReversed()) {
      index.unshift(rest % size);
      rest = Math.floor(rest / size);
    }
    return place(index);
  });
}

type Binary = (left: number, right: number) => number;

const binary: Record<string, Binary> = {
  Add: (left, right) => left + right,
  Sub: (left, right) => left - right,
  Mul: (left, right) => left * right,
  Min: Math.min,
  Max: Math.max,
  Equal: (left, right) => Number(left === right),
  Greater: (left, right) => Number(left > right),
  GreaterOrEqual: (left, right) => Number(left >= right),
  Less: (left, right) => Number(left < right),
  LessOrEqual: (left, right) => Number(left <= right),
  And: (left, right) => left & right,
  Or: (left, right) => left | right,
};

const unary: Record<string, (value: number) => number> = {
  Neg: (value) => -value,
  Abs: Math.abs,
  Floor: Math.floor,
  Ceil: Math.ceil,
  Not: (value) => 1 - value,
};

const sums: Record<string, Binary> = {
  ReduceSum: (left, right) => left + right,
  ReduceProd: (left, right) => left * right,
  ReduceMax: Math.max,
  ReduceMin: Math.min,
};

function computed(operator: string, op: Folded, numbers: number[][]): number[] | undefined {
  const { shape = [], dtype } = op.output;
  const [first = [], second = [], third = []] = numbers;
  const isFloat = op.inputs[0]?.dtype.startsWith('FP') ?? false;
  const rounded = dtype === 'FP32' ? Math.fround : (value: number) => value;
  const spread = (i: number, list: number[]) => {
    const own = op.inputs[i]?.shape ?? [];
    return (index: number[]) =>
      list[
        flat(
          own,
          own.map((size, axis) =>
            size === 1 ? 0 : (index[axis + shape.length - own.length] ?? 0),
          ),
        )
      ] ?? 0;
  };
  const combine = (rule: Binary) => {
    const [left, right] = [spread(0, first), spread(1, second)];
    return placesBy(shape, (index) => rounded(rule(left(index), right(index))));
  };
  if (operator === 'Cast') return cast(first, isFloat, dtype);
  const one = unary[operator];
  if (one) return first.map(one);
  const two = binary[operator];
  if (two && numbers.length === 2) return combine(two);
  const sum = sums[operator];
  if (sum && shape.every((size) => size === 1) && first.length > 0 && !isFloat)
    return [first.reduce(sum)];
  if (operator === 'Div' && !isFloat)
    return second.includes(0) ? undefined : combine((left, right) => Math.trunc(left / right));
  if (operator === 'Div') return combine((left, right) => left / right);
  if (operator === 'Mod' && !isFloat && op.integer('fmod', 0) === 0)
    return second.includes(0)
      ? undefined
      : combine((left, right) => left - right * Math.floor(left / right));
  if (operator === 'Range')
    return Array.from({ length: shape[0] ?? 0 }, (_, i) => (first[0] ?? 0) + i * (third[0] ?? 1));
  if (operator === 'Where') {
    const [choice, yes, no] = [spread(0, first), spread(1, second), spread(2, third)];
    return placesBy(shape, (index) => (choice(index) ? yes(index) : no(index)));
  }
  return undefined;
}

function cast(values: number[], fromFloat: boolean, to: DType): number[] | undefined {
  if (to === 'BOOL') return values.map((value) => Number(value !== 0));
  if (!fromFloat || to.startsWith('FP')) return values;
  return values.every(Number.isFinite) ? values.map(Math.trunc) : undefined;
}

/** Sizes that pass through an operator although some of them are not known. */
function foldedSizes(operator: string, op: Folded): readonly number[] | undefined {
  const { dtype, shape } = op.output;
  if ((dtype !== 'INT64' && dtype !== 'INT32') || !shape || shape.length > 1) return undefined;
  const sizes = op.inputs.map((input) => input.sizes);
  const [first, second] = sizes;
  if (!first) return undefined;
  switch (operator) {
    case 'Cast':
    case 'Identity':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Reshape':
      return first;
    case 'Concat':
      return sizes.every((list) => list) ? sizes.flatMap((list) => list ?? []) : undefined;
    case 'Gather':
    case 'Slice': {
      const places = movedPlaces(operator, { ...op, inputs: op.inputs });
      const constant = op.inputs.slice(1).every((input) => input.constant);
      return constant && !shape.includes(-1)
        ? places?.map((place) => first[place] ?? -1)
        : undefined;
    }
    case 'Mul':
    case 'Add':
    case 'Sub':
    case 'Div': {
      if (!second) return undefined;
      const count = Math.max(first.length, second.length);
      return Array.from({ length: count }, (_, i) => {
        const [left = -1, right = -1] = [
          first[first.length === 1 ? 0 : i],
          second[second.length === 1 ? 0 : i],
        ];
        if (left < 0 || right < 0) return -1;
        const results = { Mul: left * right, Add: left + right, Sub: left - right };
        return operator === 'Div' ? Math.trunc(left / right) : Math.max(-1, results[operator]);
      });
    }
    case 'ReduceProd':
      return [first.includes(-1) ? -1 : elementCount(first)];
    default:
      return undefined;
  }
}
