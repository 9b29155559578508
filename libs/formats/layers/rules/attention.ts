import { elementCount } from '#program';
import { Part } from '../../document.js';
import type { GraphValue } from '../../tensor-graph/tensor-graph.js';
import { Layer, LayerTensor } from '../layer.js';
import { tensorsOf, type Argument, type LayerCall } from '../layer-call.js';
import type { LayerRule } from '../layer-rule.js';

/** Scores that a mask leaves out are lowered by this much. */
const LOW = -1e9;

/** Luong's and Bahdanau's attention, of `[query, value]` or `[query, value, key]`. */
export const attentionLayers: Record<string, LayerRule> = {
  Attention: {
    weights: (layer) => ({
      learned: [
        ...(layer.flag('use_scale', false) ? ['scale'] : []),
        ...(layer.text('score_mode', 'dot') === 'concat' ? ['concat_score_weight'] : []),
      ],
    }),
    compute: (call) =>
      attention(call, (query, key) => {
        const { graph } = call;
        if (call.layer.text('score_mode', 'dot') === 'concat') {
          const sums = tanhSums(call, query, key, 'before');
          return graph.op('Mul', [call.weight('concat_score_weight'), sums]);
        }
        const scores = graph.op('MatMul', [query, graph.transpose(key, [0, 2, 1])]);
        return call.hasWeight('scale') ? graph.op('Mul', [scores, call.weight('scale')]) : scores;
      }),
  },
  AdditiveAttention: {
    weights: (layer) => ({ learned: layer.flag('use_scale', true) ? ['scale'] : [] }),
    compute: (call) => attention(call, (query, key) => tanhSums(call, query, key, 'behind')),
  },
  MultiHeadAttention: {
    passesMask: true,
    children: (layer) => {
      if (layer.has('attention_axes')) readAxes(layer);
      return projections(layer, layer.flag('use_gate', false));
    },
    compute: multiHead,
  },
  GroupQueryAttention: {
    passesMask: true,
    children: (layer) => projections(layer, layer.flag('use_gate', false)),
    compute: multiHead,
  },
  GroupedQueryAttention: {
    passesMask: true,
    children: (layer) => projections(layer, layer.flag('use_gate', false)),
    compute: multiHead,
  },
};

/** Σ scale tanh(query + key) over the last axis; the scale stands inside of the tanh or behind it. */
function tanhSums(
  call: LayerCall,
  query: GraphValue,
  key: GraphValue,
  scaled: 'before' | 'behind',
): GraphValue {
  const { graph, shapes } = call;
  const sums = graph.op('Add', [shapes.unsqueeze(query, [2]), shapes.unsqueeze(key, [1])]);
  const scale = call.hasWeight('scale') ? call.weight('scale') : undefined;
  const inner = scale && scaled === 'before' ? graph.op('Mul', [scale, sums]) : sums;
  const tanh = graph.op('Tanh', [inner]);
  const outer = scale && scaled === 'behind' ? graph.op('Mul', [scale, tanh]) : tanh;
  return shapes.reduce('ReduceSum', outer, [-1], false);
}

/** Masks that are given as a list, or those of the tensors. */
function masksOf(call: LayerCall): (GraphValue | undefined)[] {
  const named = call.kwargs.mask ?? null;
  if (Array.isArray(named))
    return named.map((item) => (item instanceof LayerTensor ? item.value : undefined));
  return call.inputs.map(({ mask }) => mask);
}

function attention(
  call: LayerCall,
  score: (query: GraphValue, key: GraphValue) => GraphValue,
): LayerTensor[] {
  const { graph, shapes, layer } = call;
  const [query, value, third] = call.inputs.map((input) => call.float(input.value));
  if (!query || !value || call.inputs.length > 3)
    return call.unsupported('it takes a query, a value and perhaps a key');
  if ([query, value].some((input) => call.rankOf(input) !== 3))
    return call.unsupported('its inputs are no [rows, steps, features]');
  const [queryMask, valueMask] = masksOf(call);
  const scores = score(query, third ?? value);
  const causal = call.flag('use_causal_mask', layer.flag('causal', false));
  const masks = [
    ...(valueMask ? [shapes.unsqueeze(graph.cast(valueMask, 'BOOL'), [1])] : []),
    ...(causal ? [causalMask(call, query, value)] : []),
  ];
  const lowered = lower(call, scores, both(call, masks));
  const shares = graph.op('Softmax', [lowered], { axis: -1 });
  let output = graph.op('MatMul', [shares, value]);
  if (queryMask) {
    const kept = graph.cast(shapes.unsqueeze(queryMask, [2]), output.dtype);
    output = graph.op('Mul', [output, kept]);
  }
  const answer = new LayerTensor(output, queryMask);
  return call.flag('return_attention_scores') ? [answer, new LayerTensor(shares)] : [answer];
}

function both(call: LayerCall, masks: GraphValue[]): GraphValue | undefined {
  return masks.length === 0
    ? undefined
    : masks.reduce((one, other) => call.graph.op('And', [one, other]));
}

/** Scores with a large number taken off where the mask is false. */
function lower(call: LayerCall, scores: GraphValue, mask: GraphValue | undefined): GraphValue {
  if (!mask) return scores;
  const { graph } = call;
  const low = graph.op('Add', [scores, call.scalar(LOW, scores.dtype)]);
  return graph.op('Where', [mask, scores, low]);
}

/** BOOL `[1, query steps, value steps]`: a step looks at none behind it. */
function causalMask(call: LayerCall, query: GraphValue, value: GraphValue): GraphValue {
  return stepsMask(call, query, value, (row, column) =>
    call.graph.op('GreaterOrEqual', [row, column]),
  );
}

function stepsMask(
  call: LayerCall,
  query: GraphValue,
  value: GraphValue,
  rule: (row: GraphValue, column: GraphValue) => GraphValue,
): GraphValue {
  const { shapes } = call;
  const row = shapes.unsqueeze(shapes.range(shapes.size(query, 1)), [0, 2]);
  const column = shapes.unsqueeze(shapes.range(shapes.size(value, 1)), [0, 1]);
  return rule(row, column);
}

/** The dense layers of a MultiHeadAttention by Keras's names; each has a kernel and a bias. */
function projections(layer: Layer, gated: boolean): Record<string, Layer> {
  const config = (equation: string) => ({
    equation,
    ...(layer.flag('use_bias', true) && { bias_axes: 'x' }),
    dtype: layer.config.optional('dtype')?.value ?? null,
    trainable: layer.trainable,
  });
  const made = (name: string) =>
    new Layer(
      'EinsumDense',
      name,
      new Part(config(''), `${layer.config.path}.${name}`),
      layer.dialect,
    );
  return {
    query_dense: made('query'),
    key_dense: made('key'),
    ...(gated && { gate_dense: made('gate') }),
    value_dense: made('value'),
    output_dense: made('attention_output'),
  };
}

function readAxes(layer: Layer): number[] {
  return layer.config
    .field('attention_axes')
    .list()
    .map((axis) => axis.integer(-64, 64));
}

/** A tensor `[rows, steps, …]` times a kernel `[…, heads, size]`, with its bias: `[rows, heads, steps, size]`. */
function heads(call: LayerCall, x: GraphValue, projection: string): GraphValue {
  const { graph, shapes } = call;
  const y = project(call, x, projection);
  const split = shapes.reshape(y.value, [
    shapes.sizeOrValue(x, 0),
    -1,
    y.sizes[0] ?? 1,
    y.sizes[1] ?? 1,
  ]);
  return graph.transpose(split, [0, 2, 1, 3]);
}

/** The last axis times the first `inner` of a kernel, which are flat there, as its others are in what comes out. */
function project(call: LayerCall, x: GraphValue, projection: string, inner = 1) {
  const { graph } = call;
  const layer = call.child(projection);
  const weight = (name: string) => {
    const stored = layer.weights.get(name);
    return (
      stored &&
      graph.cast(graph.constant(stored.dtype, stored.shape, stored.read()), call.layer.dtype)
    );
  };
  const kernel =
    weight('kernel') ??
    layer.config.damaged(`${call.layer.label} has no weight "${projection}/kernel"`);
  const shape = kernel.shape ?? [];
  const sizes = shape.slice(inner);
  const width = elementCount(sizes);
  const matrix = [elementCount(shape.slice(0, inner)), width];
  let value = graph.op('MatMul', [x, graph.constant(kernel.dtype, matrix, kernel.constant ?? [])]);
  const bias = weight('bias');
  if (bias)
    value = graph.op('Add', [value, graph.constant(bias.dtype, [width], bias.constant ?? [])]);
  return { value, sizes };
}

/** A tensor that is an argument by name or place. */
function tensorArgument(call: LayerCall, name: string, place: number): LayerTensor | undefined {
  const argument: Argument = call.argument(name, place) ?? null;
  return tensorsOf(argument)[0];
}

function multiHead(call: LayerCall): LayerTensor[] {
  const { graph, shapes, layer } = call;
  const query = call.inputs[0];
  const value = tensorArgument(call, 'value', 1);
  if (!query || !value) return call.unsupported('it takes a query and a value');
  const key = tensorArgument(call, 'key', 2);
  const x = call.float(query.value);
  const source = call.float(value.value);
  const keys = call.float((key ?? value).value);
  if ([x, source, keys].some((input) => call.rankOf(input) !== 3))
    return call.unsupported('its inputs are no [rows, steps, features]');
  if (layer.has('attention_axes') && readAxes(layer).some((axis) => axis !== 1 && axis !== -2))
    return call.unsupported('it attends along other axes than the steps');
  const q = heads(call, x, 'query_dense');
  const count = q.shape?.[1] ?? -1;
  const size = q.shape?.[3] ?? -1;
  const k = repeated(call, heads(call, keys, 'key_dense'), count);
  const v = repeated(call, heads(call, source, 'value_dense'), count);
  const scaled = graph.op('Mul', [q, call.scalar(1 / Math.sqrt(size))]);
  const scores = graph.op('MatMul', [scaled, graph.transpose(k, [0, 1, 3, 2])]);
  const mask = attentionMask(call, { query, value, key });
  const shares = graph.op('Softmax', [lower(call, scores, mask)], { axis: -1 });
  const joined = graph.transpose(graph.op('MatMul', [shares, v]), [0, 2, 1, 3]);
  const width = count * (v.shape?.[3] ?? 1);
  const flat = shapes.reshape(joined, [shapes.sizeOrValue(x, 0), -1, width]);
  const made = output(call, gated(call, x, flat));
  const answer = new LayerTensor(made, query.mask);
  return call.flag('return_attention_scores') ? [answer, new LayerTensor(shares)] : [answer];
}

function gated(call: LayerCall, x: GraphValue, flat: GraphValue): GraphValue {
  if (!call.layer.children.has('gate_dense')) return flat;
  const gate = call.graph.op('Sigmoid', [project(call, x, 'gate_dense').value]);
  return call.graph.op('Mul', [flat, gate]);
}

/** `[rows, steps, heads · size]` times the kernel `[heads, size, …]`. */
function output(call: LayerCall, flat: GraphValue): GraphValue {
  const { shapes } = call;
  const { value, sizes } = project(call, flat, 'output_dense', 2);
  if (sizes.length === 1) return value;
  return shapes.reshape(value, [
    shapes.sizeOrValue(flat, 0),
    shapes.sizeOrValue(flat, 1),
    ...sizes,
  ]);
}

/** Heads that several of the query's share, once for each of these. */
function repeated(call: LayerCall, value: GraphValue, count: number): GraphValue {
  const { graph, shapes } = call;
  const own = value.shape?.[1] ?? count;
  if (own === count) return value;
  if (own < 1 || count % own !== 0) return call.unsupported(`${count} heads share no ${own}`);
  const times = count / own;
  const tiled = graph.op('Tile', [
    shapes.unsqueeze(value, [2]),
    graph.integers([1, 1, times, 1, 1]),
  ]);
  return shapes.reshape(tiled, [
    shapes.sizeOrValue(value, 0),
    count,
    shapes.sizeOrValue(value, 2),
    shapes.sizeOrValue(value, 3),
  ]);
}

/** BOOL `[rows, 1, query steps, value steps]`, of all masks that there are (`_compute_attention_mask`). */
function attentionMask(
  call: LayerCall,
  { query, value, key }: { query: LayerTensor; value: LayerTensor; key: LayerTensor | undefined },
): GraphValue | undefined {
  const { graph, shapes, layer } = call;
  const named = (name: string) => tensorsOf(call.kwargs[name] ?? null)[0]?.value;
  const bool = (mask: GraphValue) => graph.cast(mask, 'BOOL');
  const masks: GraphValue[] = [];
  const queryMask = query.mask ?? named('query_mask');
  const valueMask = named('value_mask') ?? value.mask;
  const keyMask = named('key_mask') ?? key?.mask;
  if (queryMask) masks.push(shapes.unsqueeze(bool(queryMask), [2]));
  if (valueMask) masks.push(shapes.unsqueeze(bool(valueMask), [1]));
  if (keyMask) masks.push(shapes.unsqueeze(bool(keyMask), [1]));
  if (call.flag('use_causal_mask')) masks.push(causalMask(call, query.value, value.value));
  const window = layer.has('sliding_window')?.integer(1, 2 ** 31 - 1);
  if (window !== undefined)
    masks.push(
      stepsMask(call, query.value, value.value, (row, column) => {
        const distance = graph.op('Abs', [graph.op('Sub', [row, column])]);
        return graph.op('Less', [distance, graph.scalar('INT64', window)]);
      }),
    );
  const whole = both(call, masks);
  const given =
    named('attention_mask') ??
    (layer.isKeras3 ? undefined : tensorArgument(call, 'attention_mask', 3)?.value);
  const spread = (mask: GraphValue) => (call.rankOf(mask) < 4 ? shapes.unsqueeze(mask, [1]) : mask);
  const four = whole && spread(whole);
  if (!given) return four;
  const own = spread(bool(given));
  return four ? graph.op('And', [four, own]) : own;
}
