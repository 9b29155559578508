import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { LayerTensor } from '../layer.js';
import type { LayerCall } from '../layer-call.js';
import { present, type LayerRule } from '../layer-rule.js';
import { activate } from './activations.js';

export const denseLayers: Record<string, LayerRule> = {
  InputLayer: { passesMask: true, compute: (call) => call.inputs },
  Dense: {
    passesMask: true,
    weights: (layer) => ({
      learned: present({ kernel: true, bias: layer.flag('use_bias', true) }),
    }),
    compute: (call) => {
      refuseQuantised(call);
      const kernel = call.weightOf('kernel', 2);
      let y = call.graph.op('MatMul', [call.input, kernel]);
      if (call.hasWeight('bias')) y = call.graph.op('Add', [y, call.weightOf('bias', 1)]);
      return activate(call, y, call.layer.has('activation'));
    },
  },
  EinsumDense: {
    passesMask: false,
    weights: (layer) => ({
      learned: present({ kernel: true, bias: layer.has('bias_axes') !== undefined }),
    }),
    compute: (call) => {
      refuseQuantised(call);
      const equation = call.layer.text('equation');
      return einsumDense(call, call.input, equation, 'kernel', 'bias');
    },
  },
  Embedding: {
    weights: () => ({ learned: ['embeddings'] }),
    compute: (call) => {
      refuseQuantised(call);
      const { graph, layer } = call;
      const ids = call.tensor.value;
      const places = graph.cast(ids, ids.dtype === 'INT64' ? 'INT64' : 'INT32');
      const rows = graph.op('Gather', [call.weightOf('embeddings', 2), places], { axis: 0 });
      if (!layer.flag('mask_zero', false)) return new LayerTensor(rows);
      const zero = graph.cast(graph.scalar('INT32', 0), places.dtype);
      return new LayerTensor(rows, graph.op('Not', [graph.op('Equal', [places, zero])]));
    },
  },
  Masking: {
    compute: (call) => {
      const { graph, input } = call;
      const skipped = call.scalar(call.layer.number('mask_value', 0));
      const differs = graph.cast(graph.op('Not', [graph.op('Equal', [input, skipped])]), 'INT32');
      const some = call.shapes.reduce('ReduceMax', differs, [-1], true);
      const kept = graph.cast(some, 'BOOL');
      const mask = call.shapes.squeeze(kept, [-1]);
      return new LayerTensor(graph.op('Where', [kept, input, call.scalar(0)]), mask);
    },
  },
};

function refuseQuantised(call: LayerCall): void {
  if (call.layer.has('quantization_config') ?? call.layer.has('quantization_mode'))
    call.unsupported('its weights are quantised');
  if (call.layer.has('lora_rank')) call.unsupported('it has LoRA weights');
}

/** An einsum of an input with a kernel, a bias along the last axes of what it makes, and the activation of the layer. */
export function einsumDense(
  call: LayerCall,
  input: GraphValue,
  equation: string,
  kernel: string,
  bias: string,
): GraphValue {
  let y = einsum(call, equation, [input, call.weight(kernel)]);
  // A bias has the shape of the last axes already, 1 where an axis has none.
  if (call.hasWeight(bias)) y = call.graph.op('Add', [y, call.weight(bias)]);
  return activate(call, y, call.layer.has('activation'));
}

/** An einsum of two tensors; the shape of what it makes is known as far as those of its inputs are. */
export function einsum(call: LayerCall, equation: string, values: GraphValue[]): GraphValue {
  const plain = equation.replaceAll(' ', '');
  const parts = /^([A-Za-z.]+),([A-Za-z.]+)->([A-Za-z.]+)$/.exec(plain);
  const [one, other] = values;
  if (!parts || !one || !other)
    return call.unsupported(
      `the equation ${JSON.stringify(equation.slice(0, 100))} is none of two tensors`,
    );
  const [left = '', right = '', made = ''] = parts.slice(1);
  const spelt = [spellOut(call, left, one), spellOut(call, right, other)];
  const sizes = new Map<string, number>();
  spelt.forEach((letters, i) =>
    letters.forEach((letter, axis) => {
      const size = values[i]?.shape?.[axis] ?? -1;
      if (size >= 0 || !sizes.has(letter)) sizes.set(letter, size);
    }),
  );
  const elided = spelt.map((letters) => letters.filter((letter) => /[0-9]/.test(letter)));
  const answered = lettersOf(made, elided.find((letters) => letters.length > 0) ?? []);
  const shape = answered.map((letter) => sizes.get(letter) ?? -1);
  const attributes = { equation: `${left},${right}->${made}` };
  return call.graph.op('Einsum', [one, other], attributes, { dtype: one.dtype, shape });
}

/** The letters of an equation's part, with those that its ellipsis stands for. */
function lettersOf(part: string, elided: readonly string[]): string[] {
  const [before = '', after] = part.split('...');
  if (after === undefined) return before.split('');
  return [...before.split(''), ...elided, ...after.split('')];
}

/** The letters of all axes; those that an ellipsis stands for are numbers. */
function spellOut(call: LayerCall, part: string, value: GraphValue): string[] {
  const rank = call.rankOf(value);
  const named = part.replace('...', '').length;
  if (named > rank || (named < rank && !part.includes('...')))
    call.unsupported(`its equation names ${named} axes of ${rank}`);
  return lettersOf(
    part,
    Array.from({ length: rank - named }, (_, i) => String(i)),
  );
}
