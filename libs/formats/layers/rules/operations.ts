import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { dtypeNamed, LayerTensor } from '../layer.js';
import { tensorsOf, type LayerCall } from '../layer-call.js';
import type { LayerRule } from '../layer-rule.js';
import { commonType, Operation, type OperationRule } from './operation.js';
import { takeItem } from './taken-items.js';
import { gelu, approximateGelu, softmaxOver } from './activations.js';

type Rule = OperationRule;

const unary =
  (operator: string): Rule =>
  (op) =>
    op.graph.op(operator, [op.x]);
const onFloats =
  (operator: string): Rule =>
  (op) =>
    op.graph.op(operator, [op.float]);
const binary =
  (operator: string): Rule =>
  (op) =>
    op.graph.op(operator, op.pair());

function divided(op: Operation): GraphValue {
  const [one, other] = op.pair();
  const dtype = one.dtype.startsWith('FP') ? one.dtype : 'FP32';
  return op.graph.op('Div', [op.graph.cast(one, dtype), op.graph.cast(other, dtype)]);
}

function reduced(operator: string, needsFloat = false): Rule {
  return (op) => {
    const x = needsFloat ? op.float : op.x;
    return op.call.shapes.reduce(operator, x, op.axes(), op.flag(2, 'keepdims', 'keep_dims'));
  };
}

function logical(operator: 'ReduceMax' | 'ReduceMin'): Rule {
  return (op) => {
    const numbers = op.graph.cast(op.graph.cast(op.x, 'BOOL'), 'INT32');
    const made = op.call.shapes.reduce(operator, numbers, op.axes(), op.flag(2, 'keepdims'));
    return op.graph.cast(made, 'BOOL');
  };
}

const variance: Rule = (op) => {
  const { graph, float: x } = op;
  const { shapes } = op.call;
  const centred = graph.op('Sub', [x, shapes.reduce('ReduceMean', x, op.axes(), true)]);
  return shapes.reduce(
    'ReduceMean',
    graph.op('Mul', [centred, centred]),
    op.axes(),
    op.flag(2, 'keepdims'),
  );
};

function argument(operator: string): Rule {
  return (op) => {
    const [axis = -1] = op.integers(1, 'axis') ?? op.unsupported('it has no axis');
    const made = op.graph.op(operator, [op.x], { axis, keepdims: op.flag(2, 'keepdims') ? 1 : 0 });
    return op.graph.cast(made, op.call.layer.isKeras3 ? 'INT32' : 'INT64');
  };
}

const reshape: Rule = (op) => {
  const { x } = op;
  const given = op.argument(1, 'newshape', 'shape');
  if (!Array.isArray(given)) return op.unsupported('its shape is no list');
  // None of Keras is what the others leave.
  const sizes = given.map((size) => {
    const [tensor] = tensorsOf(size);
    if (tensor) return op.call.shapes.reshape(op.graph.cast(tensor.value, 'INT64'), [1]);
    return size === null ? -1 : Number(size);
  });
  return op.graph.op('Reshape', [x, op.call.shapes.join(sizes)], { allowzero: 1 });
};

const transpose: Rule = (op) => {
  const { x } = op;
  const rank = op.call.rankOf(x);
  const order =
    op.integers(1, 'axes', 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return op.graph.transpose(
    x,
    order.map((axis) => op.call.axis(axis, rank)),
  );
};

function list(op: Operation): GraphValue[] {
  const given = op.argument(0, 'xs', 'x', 'values', 'arrays') ?? null;
  const values = tensorsOf(given).map(({ value }) => value);
  const [one] = values;
  if (!one || !Array.isArray(given) || values.length !== given.length)
    return op.unsupported('it takes a list of tensors');
  const dtype = values.map((value) => value.dtype).reduce(commonType);
  return values.map((value) => op.graph.cast(value, dtype));
}

const concatenate: Rule = (op) => {
  const [axis = op.name === 'concat' ? undefined : 0] = op.integers(1, 'axis') ?? [];
  if (axis === undefined) return op.unsupported('it has no axis');
  return op.graph.op('Concat', list(op), { axis });
};

const stack: Rule = (op) => {
  const [axis = 0] = op.integers(1, 'axis') ?? [];
  const values = list(op);
  const rank = op.call.rankOf(values[0] ?? op.x) + 1;
  const at = op.call.axis(axis, rank);
  return op.graph.op(
    'Concat',
    values.map((value) => op.call.shapes.unsqueeze(value, [at])),
    { axis: at },
  );
};

const cast: Rule = (op) => {
  const given = op.argument(1, 'dtype');
  const dtype = typeof given === 'string' ? dtypeNamed(given) : undefined;
  if (!dtype || dtype === 'BYTES') return op.unsupported('its dtype is not known');
  const { x } = op;
  return dtype === 'BOOL' ? op.graph.cast(x, 'BOOL') : op.graph.cast(x, dtype);
};

const clip: Rule = (op) => {
  const { x } = op;
  const least = op.value(1, ['x_min', 'clip_value_min', 'min_value'], x);
  const most = op.value(2, ['x_max', 'clip_value_max', 'max_value'], x);
  return op.graph.op('Min', [op.graph.op('Max', [x, least]), most]);
};

const where: Rule = (op) => {
  const condition = op.graph.cast(op.value(0, ['condition']), 'BOOL');
  const one = op.argument(1, 'x1', 'x');
  const other = op.argument(2, 'x2', 'y');
  const like = [one, other].flatMap((item) => (item instanceof LayerTensor ? item.value : []))[0];
  const values = op.alike(op.value(1, ['x1', 'x'], like), op.value(2, ['x2', 'y'], like));
  return op.graph.op('Where', [condition, ...values]);
};

const softmax =
  (operator: 'Softmax' | 'LogSoftmax'): Rule =>
  (op) => {
    const axes = op.integers(1, 'axis') ?? [-1];
    if (operator === 'Softmax') return softmaxOver(op.call, op.float, axes);
    const [axis = -1, ...others] = axes;
    return others.length > 0
      ? op.unsupported('it has several axes')
      : op.graph.op(operator, [op.float], { axis });
  };

const l2: Rule = (op) => {
  const { x, graph } = op;
  const sum = op.call.shapes.reduce('ReduceSum', graph.op('Mul', [x, x]), op.axes(), true);
  const least = op.call.scalar(op.number(2, 1e-12, 'epsilon'), x.dtype);
  return graph.op('Div', [x, graph.op('Sqrt', [graph.op('Max', [sum, least])])]);
};

const matmul: Rule = (op) => {
  if (['transpose_a', 'transpose_b', 'adjoint_a', 'adjoint_b'].some((name) => op.flag(-1, name)))
    return op.unsupported('it transposes its inputs');
  const first = op.value(0, ['x1', 'a', 'x']);
  return op.graph.op('MatMul', op.alike(first, op.value(1, ['x2', 'b', 'y'], first)));
};

const squeeze: Rule = (op) => {
  const given = op.integers(1, 'axis');
  const { x } = op;
  const rank = op.call.rankOf(x);
  const axes =
    given?.map((axis) => op.call.axis(axis, rank)) ??
    (x.shape ?? []).flatMap((size, axis) => (size === 1 ? axis : []));
  return op.call.shapes.squeeze(x, axes);
};

const oneHot: Rule = (op) => {
  const { graph } = op;
  const depth = op.number(1, 0, 'num_classes', 'depth');
  const [axis = -1] = op.integers(2, 'axis') ?? [];
  if (depth < 1 || axis !== -1) return op.unsupported('it has no depth, or another axis');
  const { x } = op;
  const all = op.call.shapes.range(graph.integers([depth]));
  const hits = graph.op('Equal', [
    op.call.shapes.unsqueeze(graph.cast(x, 'INT64'), [op.call.rankOf(x)]),
    all,
  ]);
  const named = op.argument(-1, 'dtype');
  return graph.cast(hits, (typeof named === 'string' ? dtypeNamed(named) : undefined) ?? 'FP32');
};

const tile: Rule = (op) => {
  const times = op.integers(1, 'repeats', 'multiples') ?? op.unsupported('it has no repeats');
  return op.graph.op('Tile', [op.x, op.graph.integers(times)]);
};

const modulo: Rule = (op) => {
  const [one, other] = op.pair();
  const { graph } = op;
  if (!one.dtype.startsWith('FP')) return graph.op('Mod', [one, other]);
  const whole = graph.op('Floor', [graph.op('Div', [one, other])]);
  return graph.op('Sub', [one, graph.op('Mul', [whole, other])]);
};

const floorDivide: Rule = (op) => {
  const [one, other] = op.pair();
  if (!one.dtype.startsWith('FP')) return op.unsupported('it divides integers');
  return op.graph.op('Floor', [op.graph.op('Div', [one, other])]);
};

const negated =
  (rule: Rule): Rule =>
  (op) => {
    const made = rule(op);
    return Array.isArray(made) ? op.unsupported('it answers several') : op.graph.op('Not', [made]);
  };

const square: Rule = (op) => op.graph.op('Mul', [op.x, op.x]);
const rsqrt: Rule = (op) => op.graph.op('Reciprocal', [op.graph.op('Sqrt', [op.float])]);

/** By the names of Keras 3 in lower case without underscores, and by those of TensorFlow behind their modules. */
const rules: Record<string, Rule> = {
  add: binary('Add'),
  subtract: binary('Sub'),
  multiply: binary('Mul'),
  sub: binary('Sub'),
  mul: binary('Mul'),
  truediv: divided,
  divide: divided,
  truedivide: divided,
  realdiv: divided,
  maximum: binary('Max'),
  minimum: binary('Min'),
  floordivide: floorDivide,
  floordiv: floorDivide,
  mod: modulo,
  floormod: modulo,
  pow: binary('Pow'),
  power: binary('Pow'),
  equal: binary('Equal'),
  greater: binary('Greater'),
  less: binary('Less'),
  notequal: negated(binary('Equal')),
  eq: binary('Equal'),
  ne: negated(binary('Equal')),
  greaterequal: binary('GreaterOrEqual'),
  lessequal: binary('LessOrEqual'),
  gt: binary('Greater'),
  lt: binary('Less'),
  ge: binary('GreaterOrEqual'),
  le: binary('LessOrEqual'),
  logicaland: binary('And'),
  logicalor: binary('Or'),
  logicalnot: unary('Not'),
  abs: unary('Abs'),
  absolute: unary('Abs'),
  neg: unary('Neg'),
  negative: unary('Neg'),
  sign: unary('Sign'),
  floor: unary('Floor'),
  ceil: unary('Ceil'),
  round: unary('Round'),
  exp: onFloats('Exp'),
  log: onFloats('Log'),
  sqrt: onFloats('Sqrt'),
  sin: onFloats('Sin'),
  cos: onFloats('Cos'),
  tan: onFloats('Tan'),
  tanh: onFloats('Tanh'),
  sigmoid: onFloats('Sigmoid'),
  erf: onFloats('Erf'),
  reciprocal: onFloats('Reciprocal'),
  rsqrt,
  square,
  relu: unary('Relu'),
  softplus: onFloats('Softplus'),
  softsign: onFloats('Softsign'),
  selu: onFloats('Selu'),
  elu: (op) => op.graph.op('Elu', [op.float], { alpha: { float: op.number(1, 1, 'alpha') } }),
  relu6: (op) =>
    op.graph.op('Clip', [op.x, op.call.scalar(0, op.x.dtype), op.call.scalar(6, op.x.dtype)]),
  leakyrelu: (op) =>
    op.graph.op('LeakyRelu', [op.float], {
      alpha: { float: op.number(1, 0.2, 'negative_slope', 'alpha') },
    }),
  silu: (op) => op.graph.op('Mul', [op.float, op.graph.op('Sigmoid', [op.float])]),
  swish: (op) => op.graph.op('Mul', [op.float, op.graph.op('Sigmoid', [op.float])]),
  gelu: (op) =>
    (op.argument(1, 'approximate') ?? op.call.layer.isKeras3) === true
      ? approximateGelu(op.call, op.float)
      : gelu(op.call, op.float),
  softmax: softmax('Softmax'),
  logsoftmax: softmax('LogSoftmax'),
  mean: reduced('ReduceMean', true),
  reducemean: reduced('ReduceMean', true),
  sum: reduced('ReduceSum'),
  reducesum: reduced('ReduceSum'),
  max: reduced('ReduceMax'),
  reducemax: reduced('ReduceMax'),
  min: reduced('ReduceMin'),
  reducemin: reduced('ReduceMin'),
  amax: reduced('ReduceMax'),
  amin: reduced('ReduceMin'),
  prod: reduced('ReduceProd'),
  reduceprod: reduced('ReduceProd'),
  any: logical('ReduceMax'),
  reduceany: logical('ReduceMax'),
  all: logical('ReduceMin'),
  reduceall: logical('ReduceMin'),
  var: variance,
  reducevariance: variance,
  std: (op) => op.graph.op('Sqrt', [variance(op) as GraphValue]),
  argmax: argument('ArgMax'),
  argmin: argument('ArgMin'),
  reshape,
  transpose,
  concatenate,
  concat: concatenate,
  stack,
  cast,
  clip,
  clipbyvalue: clip,
  where,
  l2normalize: l2,
  matmul,
  getitem: takeItem,
  expanddims: (op) => {
    const { x } = op;
    const rank = op.call.rankOf(x);
    const axes = op.integers(1, 'axis') ?? op.unsupported('it has no axis');
    return op.call.shapes.unsqueeze(
      x,
      axes.map((axis) => op.call.axis(axis, rank + axes.length)),
    );
  },
  squeeze,
  onehot: oneHot,
  tile,
  flip: (op) => op.axes().reduce((x, axis) => op.call.shapes.reverse(x, axis), op.x),
  identity: (op) => op.x,
  stopgradient: (op) => op.x,
  copy: (op) => op.x,
  zeroslike: (op) =>
    op.call.shapes.filled(
      op.x,
      (op.x.shape ?? []).map((_, axis) => op.call.shapes.sizeOrValue(op.x, axis)),
      0,
    ),
  oneslike: (op) =>
    op.call.shapes.filled(
      op.x,
      (op.x.shape ?? []).map((_, axis) => op.call.shapes.sizeOrValue(op.x, axis)),
      1,
    ),
};

/** `compat.v1.transpose`, `math.reduce_mean`, `__operators__.getitem`, `GreaterEqual` in one way of writing. */
function plainName(name: string): string {
  return (name.split('.').at(-1) ?? '').replaceAll('_', '').toLowerCase();
}

function compute(call: LayerCall, written: string): GraphValue | GraphValue[] {
  const name = plainName(written);
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (!rule)
    return call.unsupported(`nothing here computes ${JSON.stringify(written.slice(0, 80))}`);
  return rule(new Operation(call, name));
}

/** Operations between layers: of `keras.ops` in Keras 3 (`operationRule`), of TensorFlow in Keras 2. */
export const operationLayers: Record<string, LayerRule> = {
  TFOpLambda: { compute: (call) => compute(call, call.layer.text('function')) },
  SlicingOpLambda: { compute: (call) => compute(call, call.layer.text('function')) },
};

/** The rule of an operation of `keras.ops`, by the name of its class. */
export const operationRule: LayerRule = {
  compute: (call) => compute(call, call.layer.className),
};
