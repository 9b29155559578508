import { describe, expect, it } from '@jest/globals';
import type { Tensor } from '#program';
import { Part } from '../libs/formats/document.js';
import { compileLayers } from '../libs/formats/layers/compile-layers.js';
import type { Dialect, Layer } from '../libs/formats/layers/layer.js';
import { readModel } from '../libs/formats/layers/layer-model.js';
import { weightOrder } from '../libs/formats/layers/weight-order.js';
import { floats } from './support/layer-run.js';
import { sharedRunner } from './support/program-runner.js';

const runner = sharedRunner();

const dialects: Record<'keras2' | 'keras3', Dialect> = {
  keras2: { library: 'keras2', version: [2, 12] },
  keras3: { library: 'keras3', version: [3, 15] },
};

interface Graph {
  layers: object[];
  outputs: unknown;
  inputs?: unknown;
}

async function answers(
  library: 'keras2' | 'keras3',
  { layers, outputs, inputs = [['x', 0, 0]] }: Graph,
  given: Omit<Tensor, 'name'>[],
  weights: (layer: Layer, name: string) => { shape: number[]; data: Float32Array } = () => ({
    shape: [],
    data: new Float32Array(1),
  }),
): Promise<Record<string, { shape: number[]; data: number[] }>> {
  const config = { name: 'model', layers, input_layers: inputs, output_layers: outputs };
  const document = new Part({ class_name: 'Functional', config }, 'model');
  const model = readModel(document, dialects[library]);
  for (const { layer, name } of weightOrder(model)) {
    const { shape, data } = weights(layer, name);
    layer.weights.set(name, { dtype: 'FP32', shape, read: () => data });
  }
  const verdict = compileLayers(model, { importer: 'keras@1', format: 'keras' });
  if (verdict.state !== 'servable') throw new Error(verdict.reason);
  await runner.load(verdict);
  const { signature } = verdict.program;
  const named = given.map((tensor, i) => ({ ...tensor, name: signature.inputs[i]?.name ?? '' }));
  const names = signature.outputs.map(({ name }) => name);
  const got = await runner.run(named, names);
  return Object.fromEntries(
    got.map(({ name, shape, data }) => [
      name,
      { shape, data: Array.from<unknown, number>(data, Number) },
    ]),
  );
}

const input = (shape: number[], name = 'x') => ({
  class_name: 'InputLayer',
  name,
  config: { name, batch_input_shape: [null, ...shape] },
  inbound_nodes: [],
});
const tensor = (layer: string, call = 0, output = 0) => ({
  class_name: '__keras_tensor__',
  config: { shape: [null], dtype: 'float32', keras_history: [layer, call, output] },
});
const operation = (
  name: string,
  className: string,
  args: unknown[],
  kwargs: object = {},
  config: object = {},
) => ({
  module: 'keras.src.ops.numpy',
  class_name: className,
  name,
  config: { name, ...config },
  inbound_nodes: [{ args, kwargs }],
});
const slice = (start: number | null, stop: number | null, step: number | null = null) => ({
  class_name: '__slice__',
  config: { start, stop, step },
});

describe('operations between layers', () => {
  const x = floats([2, 3], [1, 2, 3, 4, 5, 6]);

  it('of Keras 3', async () => {
    const layers = [
      input([3]),
      operation('part', 'GetItem', [
        tensor('x'),
        { class_name: '__tuple__', items: [slice(null, null), slice(1, null)] },
      ]),
      operation('last', 'GetItem', [tensor('x'), [{ class_name: '__ellipsis__', config: {} }, -1]]),
      operation('back', 'GetItem', [tensor('x'), [slice(null, null), slice(null, null, -1)]]),
      operation('mean', 'Mean', [tensor('x')], {}, { axis: [-1], keepdims: true }),
      operation('centred', 'Subtract', [tensor('x'), tensor('mean')]),
      operation('scaled', 'Multiply', [0.5, tensor('centred')]),
      operation('same', 'NotEqual', [tensor('x'), 3]),
      operation('joined', 'Concatenate', [[tensor('x'), tensor('mean')]], {}, { axis: -1 }),
      operation('turned', 'Transpose', [tensor('x')], {}, { axes: [1, 0] }),
      operation('wide', 'ExpandDims', [tensor('x')], {}, { axis: -1 }),
      operation('shaped', 'Reshape', [tensor('x')], {}, { newshape: [-1, 3, 1] }),
      operation('spread', 'Std', [tensor('x')], {}, { axis: [1] }),
    ];
    const outputs = Object.fromEntries(
      layers
        .slice(1)
        .map((layer) => [
          (layer as { name: string }).name,
          [(layer as { name: string }).name, 0, 0],
        ]),
    );
    const got = await answers('keras3', { layers, outputs }, [x]);
    const deviation = Math.sqrt(2 / 3);
    expect(got).toEqual({
      part: { shape: [2, 2], data: [2, 3, 5, 6] },
      last: { shape: [2], data: [3, 6] },
      back: { shape: [2, 3], data: [3, 2, 1, 6, 5, 4] },
      mean: { shape: [2, 1], data: [2, 5] },
      centred: { shape: [2, 3], data: [-1, 0, 1, -1, 0, 1] },
      scaled: { shape: [2, 3], data: [-0.5, 0, 0.5, -0.5, 0, 0.5] },
      same: { shape: [2, 3], data: [1, 1, 0, 1, 1, 1] },
      joined: { shape: [2, 4], data: [1, 2, 3, 2, 4, 5, 6, 5] },
      turned: { shape: [3, 2], data: [1, 4, 2, 5, 3, 6] },
      wide: { shape: [2, 3, 1], data: [1, 2, 3, 4, 5, 6] },
      shaped: { shape: [2, 3, 1], data: [1, 2, 3, 4, 5, 6] },
      spread: { shape: [2], data: [expect.closeTo(deviation, 5), expect.closeTo(deviation, 5)] },
    });
  });

  it('of Keras 2', async () => {
    const lambda = (name: string, symbol: string, node: unknown, className = 'TFOpLambda') => ({
      class_name: className,
      name,
      config: { name, function: symbol },
      inbound_nodes: [node],
    });
    const layers = [
      input([3]),
      lambda('twice', 'math.multiply', ['x', 0, 0, { y: 2.0, name: null }]),
      lambda('sum', '__operators__.add', ['twice', 0, 0, { y: ['x', 0, 0], name: null }]),
      lambda(
        'first',
        '__operators__.getitem',
        ['x', 0, 0, { slice_spec: [{ start: null, stop: null, step: null }, 0] }],
        'SlicingOpLambda',
      ),
      lambda('most', 'math.reduce_max', ['x', 0, 0, { axis: 1, keepdims: true }]),
      lambda('both', 'concat', [
        ['x', 0, 0, { axis: 1 }],
        ['most', 0, 0, { axis: 1 }],
      ]),
    ];
    const outputs = ['sum', 'first', 'most', 'both'].map((name) => [name, 0, 0]);
    const got = await answers('keras2', { layers, outputs }, [x]);
    expect(got).toEqual({
      sum: { shape: [2, 3], data: [3, 6, 9, 12, 15, 18] },
      first: { shape: [2], data: [1, 4] },
      most: { shape: [2, 1], data: [3, 6] },
      both: { shape: [2, 4], data: [1, 2, 3, 3, 4, 5, 6, 6] },
    });
  });

  it('that nothing computes are refused by name', async () => {
    const layers = [input([3]), operation('odd', 'Bincount', [tensor('x')])];
    await expect(answers('keras3', { layers, outputs: [['odd', 0, 0]] }, [x])).rejects.toThrow(
      /"odd" \(ops\.Bincount\)/,
    );
  });
});

describe('models inside of models', () => {
  const dense = { class_name: 'Dense', config: { name: 'd', units: 1, use_bias: false } };
  const ones = () => ({ shape: [3, 1], data: Float32Array.of(1, 1, 1) });
  const x = floats([1, 3], [1, 2, 3]);
  const y = floats([1, 3], [10, 20, 30]);
  const inner = {
    name: 'tower',
    layers: [input([3], 'i'), { ...dense, name: 'd', inbound_nodes: [[['i', 0, 0, {}]]] }],
    input_layers: [['i', 0, 0]],
    output_layers: [['d', 0, 0]],
  };
  const inputs = [
    ['x', 0, 0],
    ['y', 0, 0],
  ];

  it('called twice, counted from 1 by Keras 2', async () => {
    const tower = {
      class_name: 'Functional',
      name: 'tower',
      config: inner,
      inbound_nodes: [[['x', 0, 0, {}]], [['y', 0, 0, {}]]],
    };
    const less = {
      class_name: 'Subtract',
      name: 'less',
      config: { name: 'less' },
      inbound_nodes: [
        [
          ['tower', 2, 0, {}],
          ['tower', 1, 0, {}],
        ],
      ],
    };
    const graph = {
      layers: [input([3], 'x'), input([3], 'y'), tower, less],
      inputs,
      outputs: [
        ['less', 0, 0],
        ['tower', 2, 0],
      ],
    };
    const got = await answers('keras2', graph, [x, y], ones);
    expect(got).toEqual({
      less: { shape: [1, 1], data: [54] },
      tower: { shape: [1, 1], data: [60] },
    });
  });

  it('called twice, counted from 0 inside and from 1 in outputs by Keras 3', async () => {
    const call = (name: string) => ({ args: [tensor(name)], kwargs: {} });
    const tower = {
      class_name: 'Functional',
      name: 'tower',
      config: inner,
      inbound_nodes: [call('x'), call('y')],
    };
    const less = {
      class_name: 'Subtract',
      name: 'less',
      config: { name: 'less' },
      inbound_nodes: [{ args: [[tensor('tower', 1), tensor('tower', 0)]], kwargs: {} }],
    };
    const graph = {
      layers: [input([3], 'x'), input([3], 'y'), tower, less],
      inputs,
      outputs: [
        ['less', 0, 0],
        ['tower', 1, 0],
      ],
    };
    const got = await answers('keras3', graph, [x, y], ones);
    expect(got).toEqual({
      less: { shape: [1, 1], data: [54] },
      tower: { shape: [1, 1], data: [6] },
    });
  });
});
