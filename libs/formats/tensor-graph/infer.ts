import { elementCount } from '#program';
import { dtypeOfOnnx, type OnnxAttribute } from '../onnx-file/onnx-messages.js';
import { axisOf, integerOf, integersOf, type Known, type Shape } from './known.js';
import { windowShape } from './windows.js';

/** An operator and what is known of its inputs. */
export interface GivenOp {
  operator: string;
  domain: string;
  inputs: (Known | undefined)[];
  attributes: Record<string, OnnxAttribute>;
}

/**
 * What is known of the outputs of an ONNX operator: dtypes, and shapes as far as those of the inputs say (ONNX's operator
 * specifications, opset 21). Throws Error for operators that it does not know: their makers say what the outputs are.
 */
export function inferOutputs(given: GivenOp): Known[] {
  const rule = rules[given.operator];
  if (!rule || (given.domain !== '' && given.domain !== 'com.microsoft'))
    throw new Error(`${given.operator}: its outputs must be said`);
  return rule(new OpFacts(given));
}

type Rule = (op: OpFacts) => Known[];

/** The inputs and attributes of an operator, by how rules ask for them. */
export class OpFacts {
  constructor(private readonly given: GivenOp) {}

  get operator(): string {
    return this.given.operator;
  }

  input(i: number): Known {
    const input = this.given.inputs[i];
    if (!input) throw new Error(`${this.given.operator} has no input ${i}`);
    return input;
  }

  optional(i: number): Known | undefined {
    return this.given.inputs[i];
  }

  get inputs(): (Known | undefined)[] {
    return this.given.inputs;
  }

  /** Elements of a constant input of integers. */
  integers(i: number): number[] | undefined {
    const input = this.given.inputs[i];
    return input && integersOf(input);
  }

  integer(name: string, absent: number): number {
    const value = this.given.attributes[name];
    return typeof value === 'number' ? value : absent;
  }

  list(name: string): number[] | undefined {
    const value = this.given.attributes[name];
    return Array.isArray(value) && typeof value[0] !== 'string' ? (value as number[]) : undefined;
  }

  text(name: string): string | undefined {
    const value = this.given.attributes[name];
    return typeof value === 'string' ? value : undefined;
  }
}

/** The shape that numpy's broadcasting gives. */
export function broadcast(...shapes: (Shape | undefined)[]): Shape | undefined {
  let result: number[] = [];
  for (const shape of shapes) {
    if (!shape) return undefined;
    const rank = Math.max(result.length, shape.length);
    result = Array.from({ length: rank }, (_, i) => {
      const one = result[i - rank + result.length] ?? 1;
      const other = shape[i - rank + shape.length] ?? 1;
      if (one === 1) return other;
      if (other === 1 || one === other) return one;
      // One of both is free: where the other is larger than 1, it must be that.
      return Math.max(one, other);
    });
  }
  return result;
}

const same: Rule = (op) => [{ dtype: op.input(0).dtype, shape: op.input(0).shape }];
const elementwise: Rule = (op) => [
  { dtype: op.input(0).dtype, shape: broadcast(...op.inputs.map((input) => input?.shape)) },
];
const comparison: Rule = (op) => [
  { dtype: 'BOOL', shape: broadcast(...op.inputs.map((input) => input?.shape)) },
];

function all(rule: Rule, names: string): Record<string, Rule> {
  return Object.fromEntries(names.split(' ').map((name) => [name, rule]));
}

/** Axes of a second input or of none: all of them. */
const reduced: Rule = (op) => {
  const { dtype, shape } = op.input(0);
  const given = op.optional(1);
  if (!shape) return [{ dtype }];
  const axes = given ? op.integers(1) : op.integer('noop_with_empty_axes', 0) ? [] : undefined;
  const keep = op.integer('keepdims', 1) === 1;
  if (given && !axes) return [{ dtype, shape: keep ? shape.map(() => -1) : undefined }];
  const named = new Set((axes ?? []).map((axis) => axisOf(axis, shape.length)));
  const every = named.size === 0 && op.integer('noop_with_empty_axes', 0) === 0;
  const gone = (axis: number) => every || named.has(axis);
  return [
    {
      dtype,
      shape: keep
        ? shape.map((size, axis) => (gone(axis) ? 1 : size))
        : shape.filter((_, axis) => !gone(axis)),
    },
  ];
};

const rules: Record<string, Rule> = {
  ...all(
    same,
    'Identity Abs Neg Ceil Floor Round Sqrt Exp Log Reciprocal Sigmoid Tanh Relu LeakyRelu Elu Selu Softplus Softsign Erf Sign Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh HardSigmoid HardSwish Gelu Mish Celu ThresholdedRelu Softmax LogSoftmax Hardmax Clip CumSum LpNormalization BatchNormalization InstanceNormalization LayerNormalization GroupNormalization SimplifiedLayerNormalization LRN Trilu BitwiseNot ReverseSequence ScatterND ScatterElements Not MeanVarianceNormalization FastGelu QuickGelu',
  ),
  ...all(
    elementwise,
    'Add Sub Mul Div Mod Pow Max Min Sum Mean And Or Xor BitwiseAnd BitwiseOr BitwiseXor BitShift PRelu',
  ),
  ...all(comparison, 'Equal Greater GreaterOrEqual Less LessOrEqual'),
  ...all((op) => [{ dtype: 'BOOL', shape: op.input(0).shape }], 'IsNaN IsInf'),
  ...all(
    reduced,
    'ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare',
  ),
  ...all(windowShape, 'Conv ConvTranspose MaxPool AveragePool'),
  ...all(
    (op) => [
      { dtype: op.input(0).dtype, shape: op.input(0).shape?.map((n, i) => (i < 2 ? n : 1)) },
    ],
    'GlobalAveragePool GlobalMaxPool',
  ),
  ...all((op) => {
    const { shape } = op.input(0);
    if (!shape) return [{ dtype: 'INT64' }];
    const axis = axisOf(op.integer('axis', 0), shape.length);
    const keep = op.integer('keepdims', 1) === 1;
    const left = keep
      ? shape.map((size, i) => (i === axis ? 1 : size))
      : shape.filter((_, i) => i !== axis);
    return [{ dtype: 'INT64', shape: left }];
  }, 'ArgMax ArgMin'),

  Where: (op) => [
    { dtype: op.input(1).dtype, shape: broadcast(...op.inputs.map((input) => input?.shape)) },
  ],
  Cast: (op) => [{ dtype: dtypeOfOnnx(op.integer('to', 0)), shape: op.input(0).shape }],
  Shape: (op) => {
    const { shape } = op.input(0);
    return [{ dtype: 'INT64', shape: [shape ? shape.length : -1], sizes: shape }];
  },
  Size: () => [{ dtype: 'INT64', shape: [] }],
  Reshape: (op) => {
    const { dtype, shape } = op.input(0);
    const target = op.input(1);
    const sizes = target.sizes ?? op.integers(1);
    if (!sizes) {
      const [rank = -1] = target.shape ?? [];
      return [{ dtype, shape: rank >= 0 ? Array.from({ length: rank }, () => -1) : undefined }];
    }
    const copies = op.integer('allowzero', 0) === 0;
    const wanted = sizes.map((size, i) => (size === 0 && copies ? (shape?.[i] ?? -1) : size));
    const [count, other] = [shape ?? [-1], wanted].map((list) => {
      const known = list.filter((size) => size >= 0);
      return { all: known.length === list.length, product: elementCount(known) };
    });
    // One size is left to what the others leave, and only where it is the only one that is not known.
    const free = wanted.filter((size) => size < 0).length;
    if (free === 1 && count?.all && other && other.product > 0)
      return [
        { dtype, shape: wanted.map((size) => (size < 0 ? count.product / other.product : size)) },
      ];
    return [{ dtype, shape: wanted }];
  },
  Flatten: (op) => {
    const { dtype, shape } = op.input(0);
    if (!shape) return [{ dtype, shape: [-1, -1] }];
    const axis = axisOf(op.integer('axis', 1), shape.length);
    const product = (sizes: Shape) => (sizes.some((size) => size < 0) ? -1 : elementCount(sizes));
    return [{ dtype, shape: [product(shape.slice(0, axis)), product(shape.slice(axis))] }];
  },
  Squeeze: (op) => {
    const { dtype, shape } = op.input(0);
    const axes = op.integers(1);
    if (!shape || (!axes && shape.includes(-1))) return [{ dtype }];
    const gone = axes?.map((axis) => axisOf(axis, shape.length));
    return [
      { dtype, shape: shape.filter((size, axis) => (gone ? !gone.includes(axis) : size !== 1)) },
    ];
  },
  Unsqueeze: (op) => {
    const { dtype, shape } = op.input(0);
    const axes = op.integers(1);
    if (!shape || !axes) return [{ dtype }];
    const rank = shape.length + axes.length;
    const added = new Set(axes.map((axis) => axisOf(axis, rank)));
    const rest = shape.values();
    return [
      {
        dtype,
        shape: Array.from({ length: rank }, (_, axis) =>
          added.has(axis) ? 1 : (rest.next().value ?? -1),
        ),
      },
    ];
  },
  Transpose: (op) => {
    const { dtype, shape } = op.input(0);
    const order = op.list('perm') ?? shape?.map((_, axis) => shape.length - 1 - axis);
    return [{ dtype, shape: shape && order?.map((axis) => shape[axis] ?? -1) }];
  },
  Concat: (op) => {
    const [first, ...others] = op.inputs;
    const { dtype, shape } = first ?? op.input(0);
    if (!shape || others.some((input) => input?.shape?.length !== shape.length)) return [{ dtype }];
    const axis = axisOf(op.integer('axis', 0), shape.length);
    const joined = shape.map((size, i) => {
      const sizes = [size, ...others.map((input) => input?.shape?.[i] ?? -1)];
      if (i !== axis) return sizes.find((other) => other >= 0) ?? -1;
      return sizes.includes(-1) ? -1 : sizes.reduce((sum, other) => sum + other, 0);
    });
    return [{ dtype, shape: joined }];
  },
  Split: (op) => {
    const { dtype, shape } = op.input(0);
    const sizes = op.integers(1);
    const count = sizes?.length ?? op.integer('num_outputs', 0);
    if (count === 0) throw new Error('Split: its sizes must be constant');
    const axis = shape && axisOf(op.integer('axis', 0), shape.length);
    const whole = shape?.[axis ?? 0] ?? -1;
    const part = Math.ceil(whole / count);
    return Array.from({ length: count }, (_, i) => {
      const equal = whole < 0 ? -1 : Math.min(part, whole - i * part);
      return { dtype, shape: shape?.map((n, at) => (at === axis ? (sizes?.[i] ?? equal) : n)) };
    });
  },
  Slice: (op) => {
    const { dtype, shape } = op.input(0);
    if (!shape) return [{ dtype }];
    const starts = op.integers(1);
    const ends = op.integers(2);
    const named = op.optional(3) ? op.integers(3) : starts?.map((_, i) => i);
    const steps = op.optional(4) ? op.integers(4) : starts?.map(() => 1);
    if (!named) return [{ dtype, shape: shape.map(() => -1) }];
    const sizes = [...shape];
    for (const [i, axis] of named.entries()) {
      const at = axisOf(axis, shape.length);
      const size = shape[at] ?? -1;
      const bounds = [starts?.[i], ends?.[i], steps?.[i]] as const;
      sizes[at] = slicedSize(size, ...bounds);
    }
    return [{ dtype, shape: sizes }];
  },
  Gather: (op) => {
    const { dtype, shape } = op.input(0);
    const places = op.input(1).shape;
    if (!shape || !places) return [{ dtype }];
    const axis = axisOf(op.integer('axis', 0), shape.length);
    return [{ dtype, shape: [...shape.slice(0, axis), ...places, ...shape.slice(axis + 1)] }];
  },
  GatherElements: (op) => [{ dtype: op.input(0).dtype, shape: op.input(1).shape }],
  GatherND: (op) => {
    const { dtype, shape } = op.input(0);
    const places = op.input(1).shape;
    const depth = places?.at(-1);
    if (!shape || !places || depth === undefined || depth < 0) return [{ dtype }];
    const batch = op.integer('batch_dims', 0);
    return [{ dtype, shape: [...places.slice(0, -1), ...shape.slice(batch + depth)] }];
  },
  Expand: (op) => {
    const { dtype, shape } = op.input(0);
    const [rank = -1] = op.input(1).shape ?? [];
    const sizes =
      op.input(1).sizes ?? (rank >= 0 ? Array.from({ length: rank }, () => -1) : undefined);
    return [{ dtype, shape: broadcast(shape, sizes) }];
  },
  Tile: (op) => {
    const { dtype, shape } = op.input(0);
    const times = op.input(1).sizes;
    return [
      {
        dtype,
        shape: shape?.map((size, i) => {
          const count = times?.[i] ?? -1;
          return size < 0 || count < 0 ? -1 : size * count;
        }),
      },
    ];
  },
  Pad: (op) => {
    const { dtype, shape } = op.input(0);
    const pads = op.integers(1);
    const named = op.optional(3) ? op.integers(3) : shape?.map((_, i) => i);
    if (!shape || !pads || !named) return [{ dtype, shape: shape?.map(() => -1) }];
    const sizes = [...shape];
    for (const [i, axis] of named.entries()) {
      const at = axisOf(axis, shape.length);
      const size = shape[at] ?? -1;
      if (size >= 0) sizes[at] = size + (pads[i] ?? 0) + (pads[i + named.length] ?? 0);
    }
    return [{ dtype, shape: sizes }];
  },
  MatMul: (op) => {
    const [{ dtype, shape: left }, { shape: right }] = [op.input(0), op.input(1)];
    if (!left || !right || left.length === 0 || right.length === 0) return [{ dtype }];
    const rows = left.length === 1 ? [] : left.slice(-2, -1);
    const columns = right.length === 1 ? [] : right.slice(-1);
    const batch = broadcast(left.slice(0, -2), right.slice(0, -2)) ?? [];
    return [{ dtype, shape: [...batch, ...rows, ...columns] }];
  },
  Gemm: (op) => {
    const [left, right] = [op.input(0), op.input(1)];
    const rows = left.shape?.[op.integer('transA', 0)] ?? -1;
    return [{ dtype: left.dtype, shape: [rows, right.shape?.[1 - op.integer('transB', 0)] ?? -1] }];
  },
  TopK: (op) => {
    const { dtype, shape } = op.input(0);
    const count = integerOf(op.optional(1)) ?? -1;
    const axis = shape && axisOf(op.integer('axis', -1), shape.length);
    const best = shape?.map((size, i) => (i === axis ? count : size));
    return [
      { dtype, shape: best },
      { dtype: 'INT64', shape: best },
    ];
  },
  OneHot: (op) => {
    const { shape } = op.input(0);
    const { dtype } = op.input(2);
    if (!shape) return [{ dtype }];
    const axis = axisOf(op.integer('axis', -1), shape.length + 1);
    return [
      {
        dtype,
        shape: [...shape.slice(0, axis), integerOf(op.input(1)) ?? -1, ...shape.slice(axis)],
      },
    ];
  },
  Range: (op) => {
    const [start, limit, step] = [0, 1, 2].map((i) => integerOf(op.input(i)));
    const known = start !== undefined && limit !== undefined && step !== undefined && step !== 0;
    const count = known ? Math.max(0, Math.ceil((limit - start) / step)) : -1;
    return [{ dtype: op.input(0).dtype, shape: [count] }];
  },
  ConstantOfShape: () => {
    throw new Error('ConstantOfShape: its outputs must be said');
  },
  NonZero: (op) => [{ dtype: 'INT64', shape: [op.input(0).shape?.length ?? -1, -1] }],
  NonMaxSuppression: () => [{ dtype: 'INT64', shape: [-1, 3] }],
  Resize: (op) => {
    const { dtype, shape } = op.input(0);
    const sizes = op.optional(3)?.sizes;
    return [{ dtype, shape: sizes ?? shape?.map(() => -1) }];
  },
  DepthToSpace: (op) => {
    const { dtype, shape } = op.input(0);
    const block = op.integer('blocksize', 1);
    const [n = -1, depth = -1, height = -1, width = -1] = shape ?? [];
    const times = (size: number) => (size < 0 ? -1 : size * block);
    return [
      { dtype, shape: [n, depth < 0 ? -1 : depth / block ** 2, times(height), times(width)] },
    ];
  },
  SpaceToDepth: (op) => {
    const { dtype, shape } = op.input(0);
    const block = op.integer('blocksize', 1);
    const [n = -1, depth = -1, height = -1, width = -1] = shape ?? [];
    const part = (size: number) => (size < 0 ? -1 : size / block);
    return [{ dtype, shape: [n, depth < 0 ? -1 : depth * block ** 2, part(height), part(width)] }];
  },
  LSTM: (op) => {
    const { y, state } = recurrentShapes(op);
    return [y, state, state];
  },
  GRU: (op) => {
    const { y, state } = recurrentShapes(op);
    return [y, state];
  },
  RNN: (op) => {
    const { y, state } = recurrentShapes(op);
    return [y, state];
  },
};

/** Y `[steps, directions, rows, units]` and the last state `[directions, rows, units]`. */
function recurrentShapes(op: OpFacts): { y: Known; state: Known } {
  const { dtype, shape } = op.input(0);
  const [steps = -1, rows = -1] = shape ?? [];
  const directions = op.text('direction') === 'bidirectional' ? 2 : 1;
  const units = op.integer('hidden_size', -1);
  return {
    y: { dtype, shape: [steps, directions, rows, units] },
    state: { dtype, shape: [directions, rows, units] },
  };
}

/** How many of `size` elements a slice takes; −1 where that is not known. */
export function slicedSize(
  size: number,
  start: number | undefined,
  end: number | undefined,
  step: number | undefined,
): number {
  if (start === undefined || end === undefined || step === undefined || step === 0) return -1;
  if (size < 0) return -1;
  const [least, most] = step > 0 ? [0, size] : [-1, size - 1];
  const within = (place: number) =>
    Math.min(Math.max(place < 0 ? place + size : place, least), most);
  return Math.max(0, Math.ceil((within(end) - within(start)) / step));
}
