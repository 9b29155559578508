import { Part } from '../../document.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { Layer, LayerTensor } from '../layer.js';
import { tensorsOf, type LayerCall } from '../layer-call.js';
import { all, type LayerRule } from '../layer-rule.js';
import { snakeCase } from '../names.js';
import { stateSizes } from './cells.js';
import { nativeSequence } from './native-recurrence.js';

/** What a recurrent layer makes of a sequence, in the order in which it goes through it. */
export interface Sequence {
  /** `[rows, steps, …]` */
  outputs: GraphValue;
  /** The output of the last step. */
  last: GraphValue;
  states: GraphValue[];
}

/** What goes into it; the mask is BOOL `[rows, steps]`. */
export interface SequenceGiven {
  x: GraphValue;
  states: GraphValue[];
  mask?: GraphValue | undefined;
  /** Steps whose mask is false answer zeros, not what the step before did. */
  zeroOutput: boolean;
}

/** A layer inside of another, made of the same configuration. */
function withCell(className: string): LayerRule['children'] {
  return (layer) => ({
    cell: new Layer(className, snakeCase(className), layer.config, layer.dialect),
  });
}

const recurrent: Omit<LayerRule, 'children'> = { compute: (call) => recur(call) };

export const recurrentLayers: Record<string, LayerRule> = {
  LSTM: { ...recurrent, children: withCell('LSTMCell') },
  GRU: { ...recurrent, children: withCell('GRUCell') },
  SimpleRNN: { ...recurrent, children: withCell('SimpleRNNCell') },
  RNN: {
    ...recurrent,
    children: (layer, read) => {
      const part = layer.config.field('cell');
      // TF.js and old versions of Keras give a list of cells.
      if (!Array.isArray(part.value)) return { cell: read(part) };
      const stacked = { class_name: 'StackedRNNCells', config: { cells: part.value } };
      return { cell: read(part.as(stacked)) };
    },
  },
  Bidirectional: { children: bothWays, compute: bidirectional },
  ...all(
    {
      children: (layer, read) => ({ layer: read(layer.config.field('layer')) }),
      compute: timeDistributed,
    },
    'TimeDistributed',
  ),
  SpectralNormalization: {
    passesMask: true,
    // The kernel that is saved is the normalised one of the last step of training; answers use it as it is.
    weights: () => ({ fixed: ['vector_u'] }),
    children: (layer, read) => ({ layer: read(layer.config.field('layer')) }),
    compute: (call) =>
      call.context.apply(call.child('layer'), call.args, call.kwargs).map(({ value }) => value),
  },
};

function refuseState(layer: Layer): void {
  if (layer.flag('stateful', false)) layer.unsupported('it keeps a state from request to request');
  if (layer.flag('time_major', false)) layer.unsupported('its steps come before the rows');
}

/** The sequence and the initial states, which Keras 2 puts behind it and Keras 3 names. */
function sequenceGiven(call: LayerCall): { x: LayerTensor; states: LayerTensor[] } {
  const [x, ...behind] = call.inputs;
  if (!x) return call.unsupported('it has no input');
  const named = tensorsOf(call.argument('initial_state', 1) ?? null);
  if (tensorsOf(call.kwargs.constants ?? null).length > 0)
    return call.unsupported('its cell takes constants');
  return { x, states: named.length > 0 ? named : behind };
}

function recur(call: LayerCall): LayerTensor[] {
  const { layer, graph, shapes } = call;
  refuseState(layer);
  const cell = call.child('cell');
  const { x, states: given } = sequenceGiven(call);
  const sizes = stateSizes(cell);
  if (given.length > 0 && given.length !== sizes.length)
    return call.unsupported(`it takes ${sizes.length} initial states, and gets ${given.length}`);
  const value = call.float(x.value);
  if (call.rankOf(value) !== 3) return call.unsupported('its input is no [rows, steps, features]');
  const rows = shapes.size(value, 0);
  const zeros = call.scalar(0);
  const states = sizes.map((size, i) => {
    const state = given[i];
    return state ? call.float(state.value) : shapes.expand(zeros, [rows, size]);
  });
  const back = layer.flag('go_backwards', false);
  const mask = call.mask && graph.cast(call.mask, 'BOOL');
  const sequence = {
    x: back ? shapes.reverse(value, 1) : value,
    states,
    mask: mask && back ? shapes.reverse(mask, 1) : mask,
    zeroOutput: layer.flag('zero_output_for_mask', false),
  };
  const made = nativeSequence(call, cell, sequence) ?? loopedSequence(call, cell, sequence);
  return answers(call, made, mask);
}

/** The outputs or the last one, the states where they are asked for, and the masks of all. */
function answers(call: LayerCall, made: Sequence, mask: GraphValue | undefined): LayerTensor[] {
  const { layer } = call;
  const all = layer.flag('return_sequences', false);
  const kept = all && !layer.isKeras3Since(16) ? mask : undefined;
  const output = new LayerTensor(all ? made.outputs : made.last, kept);
  if (!layer.flag('return_state', false)) return [output];
  return [output, ...made.states.map((state) => new LayerTensor(state))];
}

/** A Loop over the steps, for cells that ONNX has no operator for. */
export function loopedSequence(
  call: LayerCall,
  cell: Layer,
  { x, states, mask, zeroOutput }: SequenceGiven,
): Sequence {
  const { graph, shapes } = call;
  const count = states.length;
  const rank = call.rankOf(x);
  const order = [1, 0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2)];
  const steps = graph.transpose(x, order);
  const masks = mask && graph.transpose(mask, [1, 0]);
  const [first] = states;
  if (!first) return call.unsupported('its cell has no state');
  const width = outputState(cell);
  const like = states[width] ?? first;
  const zeros = graph.op('Mul', [like, call.scalar(0)]);
  const trips = shapes.squeeze(shapes.size(x, 1), [0]);
  const result = graph.loop({ most: trips, states: [...states, zeros] }, (scope, turn, current) => {
    const step = scope.op('Gather', [steps, turn], { axis: 0 });
    const before = current.slice(0, count);
    const previous = current[count] ?? zeros;
    const [made, ...next] = call.context.apply(
      cell,
      [new LayerTensor(step), before.map((state) => new LayerTensor(state))],
      {},
      scope,
    );
    if (!made) return call.unsupported('its cell answers nothing');
    let output = made.value;
    let after = next.map(({ value }) => value);
    if (masks) {
      const now = scope.op('Gather', [masks, turn], { axis: 0 });
      const axes = Array.from({ length: call.rankOf(output) - 1 }, (_, i) => i + 1);
      const kept = scope.op('Unsqueeze', [now, scope.integers(axes)]);
      const skipped = zeroOutput ? zeros : previous;
      output = scope.op('Where', [kept, output, skipped]);
      after = after.map((state, i) => scope.op('Where', [kept, state, before[i]]));
    }
    return { condition: scope.scalar('BOOL', true), states: [...after, output], scans: [output] };
  });
  const [scanned] = result.scans;
  const last = result.states[count];
  if (!scanned || !last) return call.unsupported('its loop makes nothing');
  const back = Array.from({ length: call.rankOf(scanned) }, (_, i) => (i < 2 ? 1 - i : i));
  return { outputs: graph.transpose(scanned, back), last, states: result.states.slice(0, count) };
}

/** Which state has the size of the output: the last cell's first. */
function outputState(cell: Layer): number {
  if (cell.className !== 'StackedRNNCells') return 0;
  const sizes = [...cell.children.values()].map((inner) => stateSizes(inner).length);
  return sizes.slice(0, -1).reduce((sum, size) => sum + size, 0);
}

/** The two layers of a Bidirectional; the second one is the first one backwards where it is not given. */
function bothWays(layer: Layer, read: (part: Part) => Layer): Record<string, Layer> {
  const part = layer.config.field('layer');
  const settings = part.field('config');
  const zeros = layer.dialect.library !== 'tfjs';
  const named = (prefix: string, given: Part, more: Record<string, unknown>) => {
    const config = given.field('config');
    const own = config.optional('name')?.value;
    const name = typeof own === 'string' ? own : '';
    const value = {
      ...(config.value as object),
      name: name.startsWith(prefix) ? name : `${prefix}${name}`,
      // Both layers are told so, whatever their configuration says (`force_zero_output_for_mask`).
      ...(zeros && { zero_output_for_mask: config.optional('return_sequences')?.value === true }),
      ...more,
    };
    return read(given.as({ ...(given.value as object), config: value }));
  };
  const forward = named('forward_', part, {});
  const backward = layer.has('backward_layer');
  if (backward) return { forward_layer: forward, backward_layer: named('', backward, {}) };
  const reversed = settings.optional('go_backwards')?.value === true;
  const base = new Part(part.value, part.path);
  const plain = base.field('config').optional('name')?.value;
  const other = named('backward_', typeof plain === 'string' ? renamed(base, plain) : base, {
    go_backwards: layer.isKeras3 ? true : !reversed,
  });
  return { forward_layer: forward, backward_layer: other };
}

function renamed(part: Part, name: string): Part {
  const config = { ...(part.field('config').value as object), name: name.replace(/^forward_/, '') };
  return part.as({ ...(part.value as object), config });
}

function bidirectional(call: LayerCall): LayerTensor[] {
  const { layer, graph, shapes } = call;
  const [forward, backward] = [call.child('forward_layer'), call.child('backward_layer')];
  const { x, states } = sequenceGiven(call);
  const half = states.length / 2;
  const { mask } = call;
  const run = (inner: Layer, initial: LayerTensor[]) =>
    call.context.apply(inner, [new LayerTensor(x.value)], {
      ...(mask && { mask: new LayerTensor(mask) }),
      ...(initial.length > 0 && { initial_state: initial }),
    });
  const [one, ...oneStates] = run(forward, states.slice(0, half));
  const [other, ...otherStates] = run(backward, states.slice(half));
  if (!one || !other) return call.unsupported('a layer of it answers nothing');
  const all = forward.flag('return_sequences', false);
  const second = all ? shapes.reverse(other.value, 1) : other.value;
  const kept = all && !layer.isKeras3Since(16) ? mask : undefined;
  const left = [...oneStates, ...otherStates].map(({ value }) => new LayerTensor(value));
  const mode = layer.config.optional('merge_mode');
  if (mode?.value === null)
    return [new LayerTensor(one.value, kept), new LayerTensor(second, kept), ...left];
  const merged = merge(call, mode?.text() ?? 'concat', graph.cast(one.value, layer.dtype), second);
  return [new LayerTensor(merged, kept), ...left];
}

function merge(call: LayerCall, mode: string, one: GraphValue, other: GraphValue): GraphValue {
  const { graph } = call;
  switch (mode) {
    case 'concat':
      return graph.op('Concat', [one, other], { axis: -1 });
    case 'sum':
      return graph.op('Add', [one, other]);
    case 'mul':
      return graph.op('Mul', [one, other]);
    case 'ave':
      return graph.op('Div', [graph.op('Add', [one, other]), call.scalar(2, one.dtype)]);
    default:
      return call.unsupported(`its merge_mode is ${JSON.stringify(mode.slice(0, 40))}`);
  }
}

/** The steps of all rows are rows for the layer inside. */
function timeDistributed(call: LayerCall): LayerTensor[] {
  const { shapes, layer } = call;
  const inner = call.child('layer');
  const { value } = call.tensor;
  const rank = call.rankOf(value);
  if (rank < 3) return call.unsupported('its input is no [rows, steps, …]');
  const { mask } = call;
  const flat = (tensor: GraphValue, from: number) =>
    shapes.reshape(tensor, [
      -1,
      ...Array.from({ length: call.rankOf(tensor) - from }, (_, i) =>
        shapes.sizeOrValue(tensor, i + from),
      ),
    ]);
  const innerMask = mask && call.rankOf(mask) > 2 ? new LayerTensor(flat(mask, 2)) : undefined;
  const made = call.context.apply(
    inner,
    [flat(value, 2)].map((one) => new LayerTensor(one, innerMask?.value)),
  );
  return made.map((answer) => {
    const back = (tensor: GraphValue) =>
      shapes.reshape(tensor, [
        shapes.sizeOrValue(value, 0),
        shapes.sizeOrValue(value, 1),
        ...Array.from({ length: call.rankOf(tensor) - 1 }, (_, i) =>
          shapes.sizeOrValue(tensor, i + 1),
        ),
      ]);
    const own = layer.isKeras3 ? undefined : answer.mask && back(answer.mask);
    const passed = layer.isKeras3Since(16) ? undefined : mask;
    return new LayerTensor(back(answer.value), own ?? reducedMask(call, passed));
  });
}

/** Keras 2 reduces a mask to rows and steps. */
function reducedMask(call: LayerCall, mask: GraphValue | undefined): GraphValue | undefined {
  if (!mask || call.layer.isKeras3 || call.rankOf(mask) <= 2) return mask;
  const axes = Array.from({ length: call.rankOf(mask) - 2 }, (_, i) => i + 2);
  const { graph, shapes } = call;
  return graph.cast(shapes.reduce('ReduceMax', graph.cast(mask, 'INT32'), axes, false), 'BOOL');
}
