import type { DType } from '#program';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { TfOp, isTensor, type OpRule, type TfResource, type TfValue } from '../op-rule.js';
import { carried } from './carriers.js';
import { joined, sizesOf } from './size-lists.js';

/** A complex tensor, which ONNX does not have: its parts. */
export interface ComplexTensor extends TfResource {
  real: GraphValue;
  imaginary: GraphValue;
}

export function isComplex(value: TfValue | undefined): value is ComplexTensor {
  return value !== undefined && !isTensor(value) && value.resource === 'complex tensor';
}

export function complexOf(real: GraphValue, imaginary: GraphValue): ComplexTensor {
  return { resource: 'complex tensor', real, imaginary };
}

/** An input as a complex tensor. */
export function complexInput(op: TfOp, i: number): ComplexTensor {
  const value = op.inputs[i];
  if (isComplex(value)) return value;
  const real = op.tensor(i);
  return complexOf(real, op.graph.op('Mul', [real, op.graph.scalar(real.dtype, 0)]));
}

const moves = new Set(
  'Reshape ExpandDims Squeeze StridedSlice Slice Transpose ConcatV2 Concat Pack Unpack Split SplitV GatherV2 Gather GatherNd Tile BroadcastTo ReverseV2 Sum Pad Cumsum'.split(
    ' ',
  ),
);

/** Rules that do the same to both parts of complex tensors where they only move or add up elements. */
export function withComplex(rules: Record<string, OpRule>): Record<string, OpRule> {
  return Object.fromEntries(
    Object.entries(rules).map(([name, rule]): [string, OpRule] => {
      if (moves.has(name))
        return [name, (op) => (op.inputs.some(isComplex) ? byParts(op, rule) : rule(op))];
      const own = arithmetic[name];
      if (own) return [name, (op) => (isOfComplex(op) ? own(op) : rule(op))];
      return [name, rule];
    }),
  );
}

function isOfComplex(op: TfOp): boolean {
  if (op.inputs.some(isComplex)) return true;
  if (op.node.op === 'Const') return op.tensorAttribute('value').dtype.startsWith('DT_COMPLEX');
  return op.node.op === 'Cast' && op.type('DstT', 'FP32').startsWith('DT_COMPLEX');
}

function byParts(op: TfOp, rule: OpRule): TfValue[] {
  const results = (['real', 'imaginary'] as const).map((part) => {
    const inputs = op.inputs.map((value) => (isComplex(value) ? value[part] : value));
    return rule(new TfOp(op.node, inputs, op.graph, op.lowering));
  });
  return (results[0] ?? []).map((real, i) => {
    const imaginary = results[1]?.[i];
    if (!imaginary || !isTensor(real) || !isTensor(imaginary))
      return op.unsupported('its parts are no tensors.');
    return complexOf(real, imaginary);
  });
}

type Pair = [GraphValue, GraphValue];

function times(op: TfOp, [a, b]: Pair, [c, d]: Pair): ComplexTensor {
  const product = (x: GraphValue, y: GraphValue) => carried(op, 'Mul', [x, y]);
  return complexOf(
    carried(op, 'Sub', [product(a, c), product(b, d)]),
    carried(op, 'Add', [product(a, d), product(b, c)]),
  );
}

function pair(op: TfOp, i: number): Pair {
  const { real, imaginary } = complexInput(op, i);
  return [real, imaginary];
}

function partwise(operator: string): OpRule {
  return (op) => {
    const [x, y] = [pair(op, 0), pair(op, 1)];
    return [complexOf(carried(op, operator, [x[0], y[0]]), carried(op, operator, [x[1], y[1]]))];
  };
}

/** The real and imaginary parts of a constant lie side by side. */
const constant: OpRule = (op) => {
  const { dtype, shape, data } = op.tensorAttribute('value');
  const parts = [0, 1].map((side) => {
    const values = Array.from<unknown>(data).filter((_, i) => i % 2 === side);
    return dtype === 'DT_COMPLEX128'
      ? op.graph.constant('FP64', shape, Float64Array.from(values, Number))
      : op.graph.constant('FP32', shape, Float32Array.from(values, Number));
  }) as Pair;
  return [complexOf(...parts)];
};

/** How operations that also take real tensors compute with complex ones. */
const arithmetic: Record<string, OpRule> = {
  Const: constant,
  AddV2: partwise('Add'),
  Add: partwise('Add'),
  Sub: partwise('Sub'),
  Mul: (op) => [times(op, pair(op, 0), pair(op, 1))],
  Neg: (op) => {
    const [real, imaginary] = pair(op, 0);
    return [complexOf(carried(op, 'Neg', [real]), carried(op, 'Neg', [imaginary]))];
  },
  Exp: (op) => {
    const [real, angle] = pair(op, 0);
    const size = carried(op, 'Exp', [real]);
    const part = (operator: string) => carried(op, 'Mul', [size, carried(op, operator, [angle])]);
    return [complexOf(part('Cos'), part('Sin'))];
  },
  Cast: (op) => {
    const to = op.type('DstT');
    if (!to.startsWith('DT_COMPLEX')) {
      const value = op.inputs[0];
      return [op.graph.cast(isComplex(value) ? value.real : op.tensor(0), op.dtype('DstT'))];
    }
    const dtype: DType = to === 'DT_COMPLEX128' ? 'FP64' : 'FP32';
    const { real, imaginary } = complexInput(op, 0);
    return [complexOf(op.graph.cast(real, dtype), op.graph.cast(imaginary, dtype))];
  },
};

/** The discrete Fourier transform of the last dimension, cut or filled with zeros to a length. */
function transformed(
  op: TfOp,
  { real, imaginary }: { real: GraphValue; imaginary?: GraphValue },
  options: { length?: GraphValue; inverse?: boolean; onesided?: boolean },
): ComplexTensor {
  const { dtype, shape } = real;
  if (!shape) return op.unsupported('its number of dimensions is not known.');
  if (dtype !== 'FP32' && dtype !== 'FP64') return op.unsupported(`${dtype} is not.`);
  const last = op.graph.integers([-1]);
  const parts = [real, ...(imaginary ? [imaginary] : [])].map((part) =>
    op.graph.op('Unsqueeze', [part, last]),
  );
  const [only] = parts;
  const input = parts.length > 1 || !only ? op.graph.op('Concat', parts, { axis: -1 }) : only;
  // ONNX Runtime wants a dimension of rows before the one that is transformed.
  const rows = op.graph.op(
    'Reshape',
    [input, joined(op, [op.graph.integers([-1]), sizesOf(op, input, shape.length - 1)])],
    { allowzero: 1 },
  );
  const [transform] = op.graph.ops('DFT', [rows, options.length, op.graph.scalar('INT64', 1)], {
    attributes: { inverse: options.inverse ? 1 : 0, onesided: options.onesided ? 1 : 0 },
    outputs: [{ dtype, shape: [-1, -1, 2] }],
  });
  if (!transform) return op.unsupported('it has no output.');
  const bins = sizesOf(op, transform, 1, 2);
  const target = joined(op, [sizesOf(op, real, 0, shape.length - 1), bins]);
  const known = options.length && options.length.sizes?.[0];
  const count =
    known === undefined || known < 0 ? -1 : options.onesided ? Math.floor(known / 2) + 1 : known;
  const [first, second] = [0, 1].map((i) => {
    const part = op.graph.op('Gather', [transform, op.graph.scalar('INT64', i)], { axis: 2 });
    const made = op.graph.op(
      'Reshape',
      [part, target],
      { allowzero: 1 },
      {
        dtype,
        shape: [...shape.slice(0, -1), count],
      },
    );
    return made;
  }) as Pair;
  return complexOf(first, second);
}

/** A length that the node says, as a single number. */
function lengthOf(op: TfOp, i: number): GraphValue {
  return op.graph.reshape(op.graph.cast(op.tensor(i), 'INT64'), []);
}

/** The real numbers whose half transform is given: the other half is its mirror. */
const inverseReal: OpRule = (op) => {
  const [given] = op.integersOf(1, 'length');
  const length = given ?? 0;
  if (length < 1) return op.unsupported(`the length ${length} is not.`);
  const { real, imaginary } = complexInput(op, 0);
  const half = Math.floor(length / 2) + 1;
  const bins = real.shape?.at(-1) ?? -1;
  if (bins < half) return op.unsupported('fewer frequencies than its length needs are not.');
  const part = (value: GraphValue, from: number, to: number, step = 1) =>
    op.graph.op('Slice', [
      value,
      ...[[from], [to], [-1], [step]].map((list) => op.graph.integers(list)),
    ]);
  const mirrored = length - half;
  const whole = (value: GraphValue, negated: boolean) => {
    const first = part(value, 0, half);
    if (mirrored === 0) return first;
    const back = part(value, mirrored, 0, -1);
    const rest = negated ? op.graph.op('Neg', [back]) : back;
    return op.graph.op('Concat', [first, rest], { axis: -1 });
  };
  const spectrum = { real: whole(real, false), imaginary: whole(imaginary, true) };
  return [transformed(op, spectrum, { inverse: true }).real];
};

function magnitude(op: TfOp, { real, imaginary }: ComplexTensor): GraphValue {
  const [a, b] = [real, imaginary].map((part) => carried(op, 'Mul', [part, part])) as Pair;
  return carried(op, 'Sqrt', [carried(op, 'Add', [a, b])]);
}

/** Complex numbers and transforms of Fourier. */
export const complexNumbers: Record<string, OpRule> = {
  Complex: (op) => [complexOf(op.tensor(0), op.tensor(1))],
  Real: (op) => [complexInput(op, 0).real],
  Imag: (op) => [complexInput(op, 0).imaginary],
  Conj: (op) => {
    if (!isComplex(op.inputs[0])) return op.inputs;
    const { real, imaginary } = complexInput(op, 0);
    return [complexOf(real, op.graph.op('Neg', [imaginary]))];
  },
  ComplexAbs: (op) => [magnitude(op, complexInput(op, 0))],
  RFFT: (op) => [
    transformed(op, { real: op.tensor(0) }, { length: lengthOf(op, 1), onesided: true }),
  ],
  FFT: (op) => [transformed(op, complexInput(op, 0), {})],
  IFFT: (op) => [transformed(op, complexInput(op, 0), { inverse: true })],
  IRFFT: inverseReal,
};
