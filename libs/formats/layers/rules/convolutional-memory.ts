import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { Layer, LayerTensor } from '../layer.js';
import { tensorsOf, type LayerCall } from '../layer-call.js';
import { all, present, type LayerRule } from '../layer-rule.js';
import { snakeCase } from '../names.js';
import { activate } from './activations.js';
import { innerConvolution, type Window } from './convolution.js';
import { loopedSequence } from './recurrent.js';

/** Recurrent layers whose products are convolutions (ConvLSTM1D, 2D and 3D). */
export const convolutionalMemoryLayers: Record<string, LayerRule> = {
  ...all(
    {
      children: (layer) => {
        const className = `${layer.className}Cell`;
        return { cell: new Layer(className, snakeCase(className), layer.config, layer.dialect) };
      },
      compute: sequence,
    },
    'ConvLSTM1D ConvLSTM2D ConvLSTM3D',
  ),
  ...all(
    {
      weights: (layer) => ({
        learned: present({
          kernel: true,
          recurrent_kernel: true,
          bias: layer.flag('use_bias', true),
        }),
      }),
      compute: step,
    },
    'ConvLSTM1DCell ConvLSTM2DCell ConvLSTM3DCell',
  ),
};

function windowsOf(call: LayerCall): { input: Window; recurrent: Window } {
  const { layer } = call;
  const rank = Number(/([123])D/.exec(layer.className)?.[1] ?? 2);
  const kernel = layer.integers('kernel_size', rank);
  const ones = kernel.map(() => 1);
  const input = {
    kernel,
    strides: layer.integers('strides', rank, 1),
    dilations: layer.integers('dilation_rate', rank, 1),
    padding: layer.text('padding', 'valid').toLowerCase(),
  };
  // Keras leaves the dilation out where it convolves the inputs of Keras 3, and always where it does the states.
  if (input.dilations.some((size) => size > 1)) call.unsupported('it has dilations');
  return { input, recurrent: { kernel, strides: ones, dilations: ones, padding: 'same' } };
}

function sequence(call: LayerCall): LayerTensor[] {
  const { layer, graph, shapes } = call;
  if (layer.flag('stateful', false))
    return call.unsupported('it keeps a state from request to request');
  const [x, ...behind] = call.inputs;
  if (!x) return call.unsupported('it has no input');
  const named = tensorsOf(call.argument('initial_state', 1) ?? null);
  const given = named.length > 0 ? named : behind;
  const cell = call.child('cell');
  const value = call.float(x.value);
  const back = layer.flag('go_backwards', false);
  const mask = call.mask && graph.cast(call.mask, 'BOOL');
  const states =
    given.length > 0
      ? given.map((state) => call.float(state.value))
      : zeroStates(call, cell, value);
  const made = loopedSequence(call, cell, {
    x: back ? shapes.reverse(value, 1) : value,
    states,
    mask: mask && back ? shapes.reverse(mask, 1) : mask,
    zeroOutput: false,
  });
  const whole = layer.flag('return_sequences', false);
  const kept = whole && !layer.isKeras3Since(16) ? mask : undefined;
  const output = new LayerTensor(whole ? made.outputs : made.last, kept);
  if (!layer.flag('return_state', false)) return [output];
  return [output, ...made.states.map((state) => new LayerTensor(state))];
}

/** What a convolution with zeros makes of a step: it has the sizes of a state. */
function zeroStates(call: LayerCall, cell: Layer, x: GraphValue): GraphValue[] {
  const { graph, shapes } = call;
  const first = shapes.squeeze(shapes.slice(x, 1, 0, 1), [1]);
  const stored = cell.weights.get('kernel');
  const sizes = stored ? [...stored.shape.slice(0, -1), cell.integer('filters')] : [];
  const zeros = innerConvolution(
    call,
    graph.op('Mul', [first, call.scalar(0)]),
    call.filled(sizes, 0),
    windowsOf(call).input,
  );
  return [zeros, zeros];
}

function step(call: LayerCall): GraphValue[] {
  const { graph, layer } = call;
  const [h, c] = tensorsOf(call.args[1] ?? null).map(({ value }) => value);
  if (!h || !c) return call.unsupported('it has no two states');
  const { input, recurrent } = windowsOf(call);
  const rank = input.kernel.length;
  const axis = layer.channelsFirst ? 1 : rank + 1;
  let x = innerConvolution(call, call.input, call.weightOf('kernel', rank + 2), input);
  if (call.hasWeight('bias'))
    x = graph.op('Add', [x, call.along(call.weightOf('bias', 1), [axis], rank + 2)]);
  const sums = graph.op('Add', [
    x,
    innerConvolution(call, h, call.weightOf('recurrent_kernel', rank + 2), recurrent),
  ]);
  const filters = layer.integer('filters');
  const gates = graph.ops('Split', [sums, graph.integers([filters, filters, filters, filters])], {
    attributes: { axis },
  });
  const gate = (i: number) =>
    activate(call, gates[i] ?? sums, layer.config.optional('recurrent_activation'));
  const tanh = (value: GraphValue) => activate(call, value, layer.has('activation'));
  const kept = graph.op('Mul', [gate(1), c]);
  const next = graph.op('Add', [kept, graph.op('Mul', [gate(0), tanh(gates[2] ?? sums)])]);
  const output = graph.op('Mul', [gate(3), tanh(next)]);
  return [output, output, next];
}
