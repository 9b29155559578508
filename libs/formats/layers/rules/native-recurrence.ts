import { newData } from '#program';
import type { OnnxAttribute } from '../../onnx-file/onnx-messages.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { blocksOf, numbersOf, transposedConstant } from '../constants.js';
import type { Layer } from '../layer.js';
import type { LayerCall } from '../layer-call.js';
import { activationName } from './activations.js';
import { resetsAfter } from './cells.js';
import type { Sequence, SequenceGiven } from './recurrent.js';

/** Operators of ONNX for cells of Keras: the gates of the cell in ONNX's order, and which activations they want. */
const OPERATORS: Record<string, { operator: string; gates: number[]; activations: string[] }> = {
  LSTMCell: {
    operator: 'LSTM',
    gates: [0, 3, 1, 2],
    activations: ['recurrent_activation', 'activation', 'activation'],
  },
  GRUCell: {
    operator: 'GRU',
    gates: [0, 1, 2],
    activations: ['recurrent_activation', 'activation'],
  },
  SimpleRNNCell: { operator: 'RNN', gates: [0], activations: ['activation'] },
};

interface OnnxActivation {
  name: string;
  alpha?: number;
  beta?: number;
}

function onnxActivation(cell: Layer, setting: string): OnnxActivation | undefined {
  const name = activationName(cell.config.optional(setting));
  switch (name) {
    case 'tanh':
      return { name: 'Tanh' };
    case 'sigmoid':
      return { name: 'Sigmoid' };
    case 'relu':
      return { name: 'Relu' };
    case 'softsign':
      return { name: 'Softsign' };
    case 'softplus':
      return { name: 'Softplus' };
    case 'elu':
      return { name: 'Elu', alpha: 1 };
    case 'linear':
      return { name: 'Affine', alpha: 1, beta: 0 };
    case 'hard_sigmoid':
      return { name: 'HardSigmoid', alpha: cell.isKeras3 ? 1 / 6 : 0.2, beta: 0.5 };
    default:
      return undefined;
  }
}

/**
 * A sequence by ONNX's own LSTM, GRU or RNN; undefined where it has not the activation or the dtype. Steps that a mask leaves
 * out change nothing in Keras, so the others are moved together in front, and what they make is moved back.
 */
export function nativeSequence(
  call: LayerCall,
  cell: Layer,
  given: SequenceGiven,
): Sequence | undefined {
  const native = OPERATORS[cell.className];
  if (!native || call.layer.dtype !== 'FP32') return undefined;
  const activations = native.activations.map((setting) => onnxActivation(cell, setting));
  if (activations.some((activation) => !activation)) return undefined;
  const units = cell.integer('units');
  const { graph } = call;
  const attributes: Record<string, OnnxAttribute> = {
    hidden_size: units,
    activations: activations.map((activation) => activation?.name ?? ''),
  };
  const alphas = activations.flatMap((activation) => activation?.alpha ?? []);
  const betas = activations.flatMap((activation) => activation?.beta ?? []);
  if (alphas.length > 0) attributes.activation_alpha = { floats: alphas };
  if (betas.length > 0) attributes.activation_beta = { floats: betas };
  if (cell.className === 'GRUCell') attributes.linear_before_reset = resetsAfter(cell) ? 1 : 0;
  const order = given.mask && unmaskedFirst(call, given.x, given.mask);
  const x = order ? order.gather(given.x, order.places) : given.x;
  const states = given.states.map((state) => call.shapes.unsqueeze(state, [0]));
  const made = graph.ops(
    native.operator,
    [
      graph.transpose(x, [1, 0, 2]),
      ...weightsOf(call, cell, native.gates),
      order?.lengths,
      ...states,
    ],
    { attributes },
  );
  const [all, ...ends] = made;
  if (!all) return undefined;
  // [steps, directions, rows, units]
  const outputs = graph.transpose(call.shapes.squeeze(all, [1]), [1, 0, 2]);
  const final = ends.map((state) => call.shapes.squeeze(state, [0]));
  return order
    ? order.restore(outputs, final, given)
    : { outputs, last: final[0] ?? outputs, states: final };
}

/** Keras's weights as ONNX has them: W, R and B of one direction. */
function weightsOf(call: LayerCall, cell: Layer, gates: number[]): GraphValue[] {
  const known = cell.constants.get('onnx W');
  const others = ['onnx R', 'onnx B'].flatMap((name) => cell.constants.get(name) ?? []);
  if (known && others.length === 2) return [known, ...others];
  const { graph } = call;
  const stored = (name: string, rank: number) => {
    const weight = cell.weights.get(name);
    if (!weight) return undefined;
    if (weight.shape.length !== rank)
      cell.config.damaged(
        `${call.layer.label}: its weight "${name}" has ${weight.shape.length} dimensions`,
      );
    return graph.cast(graph.constant(weight.dtype, weight.shape, weight.read()), 'FP32');
  };
  const units = cell.integer('units');
  const width = units * gates.length;
  const kernel = (name: string) => {
    const weight =
      stored(name, 2) ?? cell.config.damaged(`${call.layer.label} has no weight "${name}"`);
    if (weight.shape?.[1] !== width)
      cell.config.damaged(`${call.layer.label}: its weight "${name}" does not fit ${units} units`);
    const ordered = blocksOf(graph, weight, gates.length, gates);
    const { shape = [], constant = [] } = transposedConstant(graph, ordered, [1, 0]);
    return graph.constant('FP32', [1, ...shape], constant);
  };
  const after = cell.className === 'GRUCell' && resetsAfter(cell);
  const bias = stored('bias', after ? 2 : 1);
  const biases = newData('FP32', 2 * width);
  if (bias && !Array.isArray(biases)) {
    const numbers = numbersOf(blocksOf(graph, bias, gates.length, gates));
    if (numbers.length !== (after ? 2 : 1) * width)
      cell.config.damaged(`${call.layer.label}: its bias does not fit ${units} units`);
    biases.set(numbers as never);
  }
  const made = [
    kernel('kernel'),
    kernel('recurrent_kernel'),
    graph.constant('FP32', [1, 2 * width], biases),
  ];
  ['onnx W', 'onnx R', 'onnx B'].forEach((name, i) => {
    const value = made[i];
    if (value) cell.constants.set(name, value);
  });
  return made;
}

/** The steps of each row whose mask is true, moved to the front in their order. */
function unmaskedFirst(call: LayerCall, x: GraphValue, mask: GraphValue) {
  const { graph, shapes } = call;
  const steps = shapes.size(x, 1);
  const kept = graph.cast(mask, 'INT64');
  // Larger for what is kept, and for what comes earlier.
  const left = graph.op('Sub', [steps, shapes.range(steps)]);
  const rank = graph.op('Add', [graph.op('Mul', [kept, steps]), left]);
  const sorted = graph.ops('TopK', [rank, steps], {
    attributes: { axis: 1, largest: 1, sorted: 1 },
  });
  const places = sorted[1] ?? kept;
  const counts = shapes.reduce('ReduceSum', kept, [1], true);
  const one = graph.integers([1]);
  const some = graph.op('Greater', [counts, graph.integers([0])]);
  const gather = (value: GraphValue, at: GraphValue) =>
    graph.op('GatherND', [value, shapes.unsqueeze(at, [2])], { batch_dims: 1 });
  const zero = call.scalar(0);
  return {
    places,
    gather,
    /** At least one: of rows without any step nothing is taken. */
    lengths: shapes.squeeze(graph.cast(graph.op('Max', [counts, one]), 'INT32'), [1]),
    restore(outputs: GraphValue, ends: GraphValue[], given: SequenceGiven): Sequence {
      const last = graph.op('Sub', [graph.op('Max', [counts, one]), one]);
      const final = shapes.squeeze(gather(outputs, last), [1]);
      const states = given.states.map((state, i) =>
        graph.op('Where', [some, i === 0 ? final : (ends[i] ?? state), state]),
      );
      // Each step answers what the last one up to it did; before the first of them these are zeros.
      const done = graph.op('CumSum', [kept, graph.scalar('INT64', 1)]);
      const at = graph.op('Sub', [graph.op('Max', [done, one]), one]);
      const begun = given.zeroOutput ? mask : graph.op('Greater', [done, graph.integers([0])]);
      const all = graph.op('Where', [shapes.unsqueeze(begun, [2]), gather(outputs, at), zero]);
      const ended = given.zeroOutput
        ? shapes.squeeze(shapes.slice(mask, 1, -1), [1])
        : shapes.squeeze(some, [1]);
      return {
        outputs: all,
        last: graph.op('Where', [shapes.unsqueeze(ended, [1]), final, zero]),
        states,
      };
    },
  };
}
