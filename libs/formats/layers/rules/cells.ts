import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import type { Layer } from '../layer.js';
import { tensorsOf, type LayerCall } from '../layer-call.js';
import { present, type LayerRule } from '../layer-rule.js';
import { snakeCase } from '../names.js';
import { activate } from './activations.js';

const kernels: Pick<LayerRule, 'weights'> = {
  weights: (layer) => ({
    learned: present({
      kernel: true,
      recurrent_kernel: true,
      bias: layer.flag('use_bias', true),
    }),
  }),
};

/** How many numbers each state of a cell has. */
export function stateSizes(cell: Layer): number[] {
  if (cell.className === 'StackedRNNCells') return [...cell.children.values()].flatMap(stateSizes);
  const units = cell.integer('units');
  return cell.className === 'LSTMCell' ? [units, units] : [units];
}

/** The input of a step and the states that the step before left. */
function stepOf(call: LayerCall): { x: GraphValue; states: GraphValue[] } {
  const states = tensorsOf(call.args[1] ?? null).map(({ value }) => value);
  return { x: call.input, states };
}

/** x W + b, cut into so many gates along the last axis. */
function gates(
  call: LayerCall,
  x: GraphValue,
  kernel: string,
  bias: GraphValue | undefined,
  count: number,
): GraphValue[] {
  const { graph } = call;
  const product = graph.op('MatMul', [x, call.weightOf(kernel, 2)]);
  return split(call, bias ? graph.op('Add', [product, bias]) : product, count);
}

function split(call: LayerCall, value: GraphValue, count: number): GraphValue[] {
  const width = call.sizeOf(value, -1) / count;
  const sizes = call.graph.integers(Array.from({ length: count }, () => width));
  return count === 1
    ? [value]
    : call.graph.ops('Split', [value, sizes], { attributes: { axis: -1 } });
}

/** Cells of recurrent layers: what they answer, and then their new states. Equations of Keras 2.12 and 3.15. */
export const cellLayers: Record<string, LayerRule> = {
  SimpleRNNCell: {
    ...kernels,
    compute: (call) => {
      const { graph } = call;
      const { x, states } = stepOf(call);
      const [before] = states;
      if (!before) return call.unsupported('it has no state');
      const bias = call.hasWeight('bias') ? call.weightOf('bias', 1) : undefined;
      const [own] = gates(call, x, 'kernel', bias, 1);
      const recurrent = graph.op('MatMul', [before, call.weightOf('recurrent_kernel', 2)]);
      if (!own) return call.unsupported('it has no kernel');
      const h = activate(call, graph.op('Add', [own, recurrent]), call.layer.has('activation'));
      return [h, h];
    },
  },
  LSTMCell: {
    ...kernels,
    compute: (call) => {
      const { graph, layer } = call;
      const { x, states } = stepOf(call);
      const [h, c] = states;
      if (!h || !c) return call.unsupported('it has no two states');
      const bias = call.hasWeight('bias') ? call.weightOf('bias', 1) : undefined;
      const own = gates(call, x, 'kernel', bias, 4);
      const recurrent = gates(call, h, 'recurrent_kernel', undefined, 4);
      const sums = own.map((gate, i) => graph.op('Add', [gate, recurrent[i]]));
      const gate = (i: number) =>
        activate(call, sums[i] ?? h, layer.config.optional('recurrent_activation'));
      const tanh = (value: GraphValue) => activate(call, value, layer.has('activation'));
      const [i, f, o] = [gate(0), gate(1), gate(3)];
      const kept = graph.op('Mul', [f, c]);
      const next = graph.op('Add', [kept, graph.op('Mul', [i, tanh(sums[2] ?? h)])]);
      const output = graph.op('Mul', [o, tanh(next)]);
      return [output, output, next];
    },
  },
  GRUCell: { ...kernels, compute: gruStep },
  StackedRNNCells: {
    children: (layer, read) => {
      if (layer.flag('reverse_state_order', false)) layer.unsupported('its states are reversed');
      const counts = new Map<string, number>();
      return Object.fromEntries(
        layer.config
          .field('cells')
          .list()
          .map((part) => {
            const cell = read(part);
            const name = snakeCase(cell.className);
            const count = counts.get(name) ?? 0;
            counts.set(name, count + 1);
            return [`cells/${count === 0 ? name : `${name}_${count}`}`, cell] as const;
          }),
      );
    },
    compute: (call) => {
      const { states } = stepOf(call);
      let value = call.tensor;
      const left = [...tensorsOf(call.args[1] ?? null)];
      const made: GraphValue[] = [];
      for (const cell of call.layer.children.values()) {
        const own = left.splice(0, stateSizes(cell).length);
        const [output, ...next] = call.context.apply(cell, [value, own], {}, call.graph);
        if (!output) return call.unsupported('a cell answers nothing');
        value = output;
        made.push(...next.map((state) => state.value));
      }
      if (made.length !== states.length) return call.unsupported('its cells have other states');
      return [value.value, ...made];
    },
  },
};

function gruStep(call: LayerCall): GraphValue[] {
  const { graph, layer, shapes } = call;
  const { x, states } = stepOf(call);
  const [h] = states;
  if (!h) return call.unsupported('it has no state');
  const after = resetsAfter(layer);
  const given = call.hasWeight('bias') ? call.weightOf('bias', after ? 2 : 1) : undefined;
  const row = (i: number) => given && shapes.squeeze(shapes.slice(given, 0, i, i + 1), [0]);
  const own = gates(call, x, 'kernel', after ? row(0) : given, 3);
  const kernel = call.weightOf('recurrent_kernel', 2);
  const units = call.sizeOf(kernel, 0);
  const gate = (one: GraphValue | undefined, other: GraphValue | undefined) =>
    activate(call, graph.op('Add', [one, other]), layer.config.optional('recurrent_activation'));
  const recurrent = after
    ? gates(call, h, 'recurrent_kernel', row(1), 3)
    : split(call, graph.op('MatMul', [h, shapes.slice(kernel, 1, 0, 2 * units)]), 2);
  const z = gate(own[0], recurrent[0]);
  const r = gate(own[1], recurrent[1]);
  const inner = after
    ? graph.op('Mul', [r, recurrent[2]])
    : graph.op('MatMul', [graph.op('Mul', [r, h]), shapes.slice(kernel, 1, 2 * units)]);
  const candidate = activate(call, graph.op('Add', [own[2], inner]), layer.has('activation'));
  const rest = graph.op('Mul', [graph.op('Sub', [call.scalar(1), z]), candidate]);
  const next = graph.op('Add', [graph.op('Mul', [z, h]), rest]);
  return [next, next];
}

/** Whether the reset gate is applied behind the product; only Keras 3 does so where nothing is said. */
export function resetsAfter(cell: Layer): boolean {
  return cell.flag('reset_after', cell.isKeras3);
}
