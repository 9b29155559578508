import type { GraphValue, TensorGraph } from '../../tensor-graph/tensor-graph.js';
import { all, type OpRule, type TfOp } from '../op-rule.js';
import { asList, sizeAt, zeros } from '../tensor-list.js';

/** Cells of recurrent networks that TensorFlow has as operations (lstm_ops.h, gru_ops.h), and what goes along sequences. */
export const cells: Record<string, OpRule> = {
  LSTMBlockCell: (op) => {
    const [x, cell, output, weights, i, f, o, bias] = op.tensors();
    if (!x || !cell || !output || !weights || !i || !f || !o || !bias)
      return op.unsupported('it lacks inputs.');
    const given = lstmOf(op, { weights, bias, peepholes: [i, f, o] });
    return lstmStep(op.graph, given, { x, cell, output });
  },
  GRUBlockCell: (op) => gruStep(op),
  ...all((op) => blockLstm(op), 'BlockLSTM BlockLSTMV2'),
  ReverseSequence: (op) => [reversedSequence(op)],
};

interface Lstm {
  weights: GraphValue;
  bias: GraphValue;
  /** Of the gates i, f and o: what they see of the cell. */
  peepholes: GraphValue[] | undefined;
  /** Where the gates i, c, f, o stand. */
  order: [number, number, number, number];
  forgetBias: number;
  /** The cell is kept within ± this; 0 and less: it is not. */
  clip: number;
}

function lstmOf(
  op: TfOp,
  { weights, bias, peepholes }: { weights: GraphValue; bias: GraphValue; peepholes: GraphValue[] },
): Lstm {
  const second = op.node.op === 'BlockLSTMV2';
  if (weights.dtype !== 'FP32') op.unsupported(`${weights.dtype} is not computed here.`);
  return {
    weights,
    bias,
    peepholes: op.flag('use_peephole', false) ? peepholes : undefined,
    order: second ? [0, 2, 1, 3] : [0, 1, 2, 3],
    forgetBias: second ? 0 : op.float('forget_bias', 1),
    clip: op.float('cell_clip', second ? 0 : 3),
  };
}

/** The outputs i, cs, f, o, ci, co, h of one step. */
function lstmStep(
  graph: TensorGraph,
  { weights, bias, peepholes, order, forgetBias, clip }: Lstm,
  { x, cell, output }: { x: GraphValue; cell: GraphValue; output: GraphValue },
): GraphValue[] {
  const both = graph.op('Concat', [x, output], { axis: 1 });
  const gates = graph.op('Add', [graph.op('MatMul', [both, weights]), bias]);
  const parts = graph.ops('Split', [gates], { attributes: { axis: 1, num_outputs: 4 } });
  const [i = x, c = x, f = x, o = x] = order.map((place) => parts[place] ?? x);
  const seen = (gate: GraphValue, place: number, state: GraphValue) => {
    const peephole = peepholes?.[place];
    return peephole ? graph.op('Add', [gate, graph.op('Mul', [state, peephole])]) : gate;
  };
  const sigmoid = (value: GraphValue) => graph.op('Sigmoid', [value]);
  const input = sigmoid(seen(i, 0, cell));
  const biased = forgetBias === 0 ? f : graph.op('Add', [f, graph.scalar('FP32', forgetBias)]);
  const forget = sigmoid(seen(biased, 1, cell));
  const candidate = graph.op('Tanh', [c]);
  const sum = graph.op('Add', [
    graph.op('Mul', [candidate, input]),
    graph.op('Mul', [cell, forget]),
  ]);
  const bounds = [-clip, clip].map((bound) => graph.scalar('FP32', bound));
  const state = clip > 0 ? graph.op('Clip', [sum, ...bounds]) : sum;
  const open = sigmoid(seen(o, 2, state));
  const squashed = graph.op('Tanh', [state]);
  return [input, state, forget, open, candidate, squashed, graph.op('Mul', [squashed, open])];
}

/** A whole sequence; steps from `seq_len_max` on are zero. */
function blockLstm(op: TfOp): GraphValue[] {
  const { graph } = op;
  const [length, x, cell, output, weights, i, f, o, bias] = op.tensors();
  if (!length || !x || !cell || !output || !weights || !i || !f || !o || !bias)
    return op.unsupported('it lacks inputs.');
  const given = lstmOf(op, { weights, bias, peepholes: [i, f, o] });
  const rows = sizeAt(graph, x, 0);
  const steps = graph.op('Min', [graph.reshape(graph.cast(length, 'INT64'), []), rows]);
  const { scans } = graph.loop(
    { most: steps, states: [cell, output] },
    (scope, turn, [before, last]) => {
      if (!before || !last) return op.unsupported('it lacks inputs.');
      const row = scope.op('Gather', [x, turn], { axis: 0 });
      const made = lstmStep(scope, given, { x: row, cell: before, output: last });
      const [, state = before] = made;
      return {
        condition: scope.scalar('BOOL', true),
        states: [state, made.at(-1) ?? last],
        scans: made,
      };
    },
  );
  const missing = graph.op('Sub', [rows, steps]);
  return scans.map((scan) => {
    const sizes = graph.op('Shape', [output]);
    const own = graph.op(
      'Reshape',
      [scan, graph.op('Concat', [asList(graph, steps), sizes], { axis: 0 })],
      { allowzero: 1 },
    );
    const rest = zeros(graph, 'FP32', [missing, sizes], output.shape);
    return graph.op('Concat', [own, rest], { axis: 0 });
  });
}

/** The outputs r, u, c, h. */
function gruStep(op: TfOp): GraphValue[] {
  const { graph } = op;
  const [x, before, weights, candidateWeights, bias, candidateBias] = op.tensors();
  if (!x || !before || !weights || !candidateWeights || !bias || !candidateBias)
    return op.unsupported('it lacks inputs.');
  const sum = (state: GraphValue, by: GraphValue, added: GraphValue) =>
    graph.op('Add', [graph.op('MatMul', [graph.op('Concat', [x, state], { axis: 1 }), by]), added]);
  const gates = graph.op('Sigmoid', [sum(before, weights, bias)]);
  const [reset = gates, update = gates] = graph.ops('Split', [gates], {
    attributes: { axis: 1, num_outputs: 2 },
  });
  const kept = graph.op('Mul', [before, reset]);
  const candidate = graph.op('Tanh', [sum(kept, candidateWeights, candidateBias)]);
  const rest = graph.op('Sub', [graph.scalar('FP32', 1), update]);
  const after = graph.op('Add', [
    graph.op('Mul', [update, before]),
    graph.op('Mul', [rest, candidate]),
  ]);
  return [reset, update, candidate, after];
}

/** ONNX reverses along the first or second dimension, for rows along the other one. */
function reversedSequence(op: TfOp): GraphValue {
  const { graph } = op;
  const x = op.tensor(0);
  const rank = op.rank(0);
  const [time, rows] = [op.integer('seq_dim'), op.integer('batch_dim', 0)];
  if (time === rows || time < 0 || rows < 0 || time >= rank || rows >= rank)
    return op.unsupported('its dimensions do not fit.');
  const lengths = graph.cast(op.tensor(1), 'INT64');
  const others = Array.from({ length: rank }, (_, axis) => axis).filter(
    (axis) => axis !== time && axis !== rows,
  );
  const order = time < 2 && rows < 2 ? undefined : [rows, time, ...others];
  const given = order ? graph.transpose(x, order) : x;
  const reversed = graph.op('ReverseSequence', [given, lengths], {
    batch_axis: order ? 0 : rows,
    time_axis: order ? 1 : time,
  });
  if (!order) return reversed;
  return graph.transpose(
    reversed,
    order.map((_, axis) => order.indexOf(axis)),
  );
}
