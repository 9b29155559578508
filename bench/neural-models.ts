import type { Shape } from '../libs/formats/tensor-graph/known.js';
import { TensorGraph, type GraphValue } from '../libs/formats/tensor-graph/tensor-graph.js';
import {
  constantNode,
  type AttributeLiteral,
  type GraphLiteral,
  type NodeLiteral,
} from '../test/support/tf-graphs.js';
import { normals } from './grown-trees.js';

/** A network twice: as TensorFlow's graph, and as an exporter of PyTorch or tf2onnx writes it. */
export interface NeuralModel {
  name: string;
  tensorflow: GraphLiteral;
  plain: TensorGraph;
  input: GraphValue;
  output: GraphValue;
  /** Of one request; the plain network takes images with channels first. */
  shape: number[];
  channelsFirst: boolean;
}

/** Writes down nodes of TensorFlow one after the other. */
class TfNetwork {
  readonly nodes: Record<string, NodeLiteral> = {};
  private count = 0;

  add(
    operation: string,
    inputs: string[],
    attributes: Record<string, AttributeLiteral> = {},
  ): string {
    const name = `n${this.count++}`;
    this.nodes[name] = [operation, inputs, attributes];
    return name;
  }

  floats(shape: number[], data: Float32Array): string {
    const name = `n${this.count++}`;
    this.nodes[name] = constantNode('FP32', shape, data);
    return name;
  }

  float(value: number): string {
    return this.floats([], Float32Array.of(value));
  }

  ints(...values: number[]): string {
    const name = `n${this.count++}`;
    this.nodes[name] = constantNode('INT32', [values.length], values);
    return name;
  }

  int(value: number): string {
    const name = `n${this.count++}`;
    this.nodes[name] = constantNode('INT32', [], [value]);
    return name;
  }
}

let seed = 1;

/** Numbers of about the size that trained weights have. */
function weights(shape: number[], fan: number): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  return Float32Array.from(
    normals(seed++, Math.ceil(count / 20)).subarray(0, count),
    (x) => x / Math.sqrt(fan),
  );
}

export function neuralModels(): NeuralModel[] {
  return [mlp(), cnn(), lstm(), transformer()];
}

/** 784 → 512 → 256 → 10. */
function mlp(): NeuralModel {
  const sizes = [784, 512, 256, 10];
  const network = new TfNetwork();
  const plain = new TensorGraph();
  const input = plain.input({ dtype: 'FP32', shape: [-1, 784] });
  let [theirs, ours] = [input, 'x'];
  sizes.slice(1).forEach((size, i) => {
    const from = sizes[i] ?? 0;
    const [kernel, bias] = [weights([from, size], from), weights([size], 4)];
    const product = network.add('MatMul', [ours, network.floats([from, size], kernel)]);
    const sum = network.add('BiasAdd', [product, network.floats([size], bias)]);
    const given = [
      plain.constant('FP32', [from, size], kernel),
      plain.constant('FP32', [size], bias),
    ];
    const last = i === sizes.length - 2;
    ours = network.add(last ? 'Softmax' : 'Relu', [sum]);
    theirs = plain.op(last ? 'Softmax' : 'Relu', [plain.op('Gemm', [theirs, ...given])]);
  });
  return {
    name: 'MLP 784-512-256-10',
    tensorflow: {
      inputs: { x: { dtype: 'FP32', shape: [-1, 784] } },
      nodes: network.nodes,
      outputs: [ours],
    },
    plain,
    input,
    output: theirs,
    shape: [1, 784],
    channelsFirst: false,
  };
}

/** MobileNet 1.0 for 224 × 224 pixels: normalisations stand by themselves in TensorFlow, and in the weights elsewhere. */
function cnn(): NeuralModel {
  const network = new TfNetwork();
  const plain = new TensorGraph();
  const input = plain.input({ dtype: 'FP32', shape: [-1, 3, 224, 224] });
  let [theirs, ours] = [input, 'x'];
  const layer = (kernel: number, from: number, to: number, stride: number, deep: boolean) => {
    const shape = deep ? [kernel, kernel, from, 1] : [kernel, kernel, from, to];
    const filter = weights(shape, kernel * kernel * (deep ? 1 : from));
    const [scale, shift, mean] = [0, 1, 2].map(() => weights([to], 16)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const gain = scale.map((x) => x + 1.5);
    const variance = mean.map((x) => x * x + 1);
    const padded = stride === 2 ? network.add('Pad', [ours, ints4(network)]) : ours;
    const made = network.add(
      deep ? 'DepthwiseConv2dNative' : 'Conv2D',
      [padded, network.floats(shape, filter)],
      {
        strides: [1, stride, stride, 1],
        padding: stride === 2 ? 'VALID' : 'SAME',
        data_format: 'NHWC',
      },
    );
    const normed = network.add(
      'FusedBatchNormV3',
      [made, ...[gain, shift, mean, variance].map((data) => network.floats([to], data))],
      { is_training: false, epsilon: 0.001, data_format: 'NHWC' },
    );
    ours = network.add('Relu6', [normed]);
    const factor = gain.map((x, i) => x / Math.sqrt((variance[i] ?? 1) + 0.001));
    const bias = shift.map((x, i) => x - (mean[i] ?? 0) * (factor[i] ?? 0));
    const inner = deep ? 1 : from;
    const own = new Float32Array(filter.length);
    for (let o = 0; o < to; o++)
      for (let c = 0; c < inner; c++)
        for (let k = 0; k < kernel * kernel; k++)
          own[(o * inner + c) * kernel * kernel + k] =
            (filter[deep ? k * from + o : (k * from + c) * to + o] ?? 0) * (factor[o] ?? 0);
    const side = stride === 2 ? 0 : (kernel - 1) / 2;
    const conv = plain.op(
      'Conv',
      [
        theirs,
        plain.constant('FP32', [to, inner, kernel, kernel], own),
        plain.constant('FP32', [to], bias),
      ],
      {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        group: deep ? from : 1,
        pads: stride === 2 ? [0, 0, 1, 1] : [side, side, side, side],
      },
    );
    theirs = plain.op('Clip', [conv, plain.scalar('FP32', 0), plain.scalar('FP32', 6)]);
  };
  layer(3, 3, 32, 2, false);
  const blocks = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024];
  let from = 32;
  blocks.forEach((to, i) => {
    layer(3, from, from, [1, 3, 5, 11].includes(i) ? 2 : 1, true);
    layer(1, from, to, 1, false);
    from = to;
  });
  const [kernel, bias] = [weights([1024, 1000], 1024), weights([1000], 4)];
  const mean = network.add('Mean', [ours, network.ints(1, 2)]);
  const scores = network.add('BiasAdd', [
    network.add('MatMul', [mean, network.floats([1024, 1000], kernel)]),
    network.floats([1000], bias),
  ]);
  const pooled = plain.op('Flatten', [plain.op('GlobalAveragePool', [theirs])], { axis: 1 });
  const last = plain.op('Gemm', [
    pooled,
    plain.constant('FP32', [1024, 1000], kernel),
    plain.constant('FP32', [1000], bias),
  ]);
  return {
    name: 'CNN of the size of MobileNet',
    tensorflow: {
      inputs: { x: { dtype: 'FP32', shape: [-1, 224, 224, 3] } },
      nodes: network.nodes,
      outputs: [scores],
    },
    plain,
    input,
    output: last,
    shape: [1, 224, 224, 3],
    channelsFirst: true,
  };
}

function ints4(network: TfNetwork): string {
  const name = network.ints();
  network.nodes[name] = constantNode('INT32', [4, 2], [0, 0, 0, 1, 0, 1, 0, 0]);
  return name;
}

/** Two layers over 100 steps, as Keras' `standard_lstm` has them: a loop and lists. */
function lstm(): NeuralModel {
  const [steps, inputs, units] = [100, 32, 128];
  const network = new TfNetwork();
  const functions: NonNullable<GraphLiteral['functions']> = {};
  const plain = new TensorGraph();
  const input = plain.input({ dtype: 'FP32', shape: [-1, steps, inputs] });
  let theirs = plain.transpose(input, [1, 0, 2]);
  let ours = 'x';
  let hidden = '';
  [inputs, units].forEach((from, layer) => {
    const kernel = weights([from, 4 * units], from);
    const recurrent = weights([units, 4 * units], units);
    const bias = weights([4 * units], 16);
    const made = kerasLstm(network, `${layer}`, ours, { from, units, kernel, recurrent, bias });
    Object.assign(functions, made.functions);
    [ours, hidden] = [made.sequence, made.hidden];
    // ONNX has the gates in the order i, o, f, c, each row of weights one unit.
    const turned = (data: Float32Array, rows: number) => {
      const turnedData = new Float32Array(data.length);
      [0, 3, 1, 2].forEach((gate, at) => {
        for (let unit = 0; unit < units; unit++)
          for (let row = 0; row < rows; row++)
            turnedData[(at * units + unit) * rows + row] =
              data[row * 4 * units + gate * units + unit] ?? 0;
      });
      return turnedData;
    };
    const both = new Float32Array(8 * units);
    both.set(turned(bias, 1));
    const [all] = plain.ops(
      'LSTM',
      [
        theirs,
        plain.constant('FP32', [1, 4 * units, from], turned(kernel, from)),
        plain.constant('FP32', [1, 4 * units, units], turned(recurrent, units)),
        plain.constant('FP32', [1, 8 * units], both),
      ],
      { attributes: { hidden_size: units } },
    );
    theirs = plain.op('Squeeze', [all, plain.integers([1])]);
  });
  const output = plain.op('Gather', [theirs, plain.scalar('INT64', -1)], { axis: 0 });
  return {
    name: 'LSTM, 2 layers, 100 steps',
    tensorflow: {
      inputs: { x: { dtype: 'FP32', shape: [-1, steps, inputs] } },
      nodes: network.nodes,
      functions,
      outputs: [hidden],
    },
    plain,
    input,
    output,
    shape: [1, steps, inputs],
    channelsFirst: false,
  };
}

interface LstmWeights {
  from: number;
  units: number;
  kernel: Float32Array;
  recurrent: Float32Array;
  bias: Float32Array;
}

function kerasLstm(
  network: TfNetwork,
  layer: string,
  x: string,
  { from, units, kernel, recurrent, bias }: LstmWeights,
): { sequence: string; hidden: string; functions: NonNullable<GraphLiteral['functions']> } {
  const FP32: AttributeLiteral = { type: 'FP32' };
  const order = network.ints(1, 0, 2);
  const turned = network.add('Transpose', [x, order]);
  const shape = network.add('Shape', [turned]);
  const [first, second] = [network.ints(0), network.ints(1)];
  const at = (begin: string, end: string) =>
    network.add('StridedSlice', [shape, begin, end, second], { shrink_axis_mask: 1 });
  const [count, rows] = [at(first, second), at(second, network.ints(2))];
  const sizes = network.add('Pack', [rows, network.int(units)], { axis: 0, N: 2 });
  const zeros = network.add('Fill', [sizes, network.float(0)]);
  const any = network.ints(-1, units);
  const list = network.add('TensorListReserve', [any, count], { element_dtype: FP32 });
  const items = network.add('TensorListFromTensor', [turned, network.ints(-1, from)], {
    element_dtype: FP32,
  });
  const variables = ['time', 'out', 'h', 'c', 'n', 'items', 'kernel', 'recurrent', 'bias'];
  const loop = network.add(
    'StatelessWhile',
    [
      network.int(0),
      list,
      zeros,
      zeros,
      count,
      items,
      network.floats([from, 4 * units], kernel),
      network.floats([units, 4 * units], recurrent),
      network.floats([4 * units], bias),
    ],
    { cond: { function: `cond${layer}` }, body: { function: `body${layer}` } },
  );
  const stacked = network.add('TensorListStack', [`${loop}:1`, any], { element_dtype: FP32 });
  const body: Record<string, NodeLiteral> = {
    any: constantNode('INT32', [2], [-1, from]),
    x: ['TensorListGetItem', ['items', 'time', 'any'], { element_dtype: FP32 }],
    xs: ['MatMul', ['x', 'kernel']],
    hs: ['MatMul', ['h', 'recurrent']],
    both: ['AddV2', ['xs', 'hs']],
    z: ['BiasAdd', ['both', 'bias']],
    one: constantNode('INT32', [], [1]),
    gates: ['Split', ['one', 'z'], { num_split: 4 }],
    i: ['Sigmoid', ['gates']],
    f: ['Sigmoid', ['gates:1']],
    g: ['Tanh', ['gates:2']],
    o: ['Sigmoid', ['gates:3']],
    kept: ['Mul', ['f', 'c']],
    added: ['Mul', ['i', 'g']],
    c2: ['AddV2', ['kept', 'added']],
    squashed: ['Tanh', ['c2']],
    h2: ['Mul', ['o', 'squashed']],
    set: ['TensorListSetItem', ['out', 'time', 'h2']],
    next: ['AddV2', ['time', 'one']],
  };
  const functions = {
    [`cond${layer}`]: {
      inputs: variables,
      nodes: { less: ['Less', ['time', 'n']] satisfies NodeLiteral as NodeLiteral },
      outputs: ['less'],
    },
    [`body${layer}`]: {
      inputs: variables,
      nodes: body,
      outputs: ['next', 'set', 'h2', 'c2', ...variables.slice(4)],
    },
  };
  return { sequence: network.add('Transpose', [stacked, order]), hidden: `${loop}:2`, functions };
}

/** Two encoder layers: 64 steps, width 128, 4 heads, 512 inside. */
function transformer(): NeuralModel {
  const [steps, width, heads, inside] = [64, 128, 4, 512];
  const each = width / heads;
  const network = new TfNetwork();
  const plain = new TensorGraph();
  const input = plain.input({ dtype: 'FP32', shape: [-1, steps, width] });
  let [theirs, ours] = [input, 'x'];
  const floats = (shape: Shape, data: Float32Array) => plain.constant('FP32', shape, data);
  /** What Keras says as Einsum, and others as MatMul. */
  const dense = (from: number, to: number) => {
    const [kernel, bias] = [weights([from, to], from), weights([to], 16)];
    return {
      theirs: (x: GraphValue) =>
        plain.op('Add', [plain.op('MatMul', [x, floats([from, to], kernel)]), floats([to], bias)]),
      ours: (x: string, equation: string, shape: number[], biasShape: number[]) =>
        network.add('AddV2', [
          network.add('Einsum', [x, network.floats(shape, kernel)], { equation, N: 2 }),
          network.floats(biasShape, bias),
        ]),
    };
  };
  const normalised = (x: string, y: GraphValue) => {
    const [gamma, beta] = [weights([width], 16).map((g) => g + 1), weights([width], 16)];
    const axis = network.ints(2);
    const mean = network.add('Mean', [x, axis], { keep_dims: true });
    const variance = network.add('Mean', [network.add('SquaredDifference', [x, mean]), axis], {
      keep_dims: true,
    });
    const rest = network.add('Rsqrt', [network.add('AddV2', [variance, network.float(1e-5)])]);
    const scale = network.add('Mul', [rest, network.floats([width], gamma)]);
    const shift = network.add('Sub', [
      network.floats([width], beta),
      network.add('Mul', [mean, scale]),
    ]);
    ours = network.add('AddV2', [network.add('Mul', [x, scale]), shift]);
    theirs = plain.op('LayerNormalization', [y, floats([width], gamma), floats([width], beta)], {
      axis: -1,
      epsilon: { float: 1e-5 },
    });
  };
  for (let layer = 0; layer < 2; layer++) {
    const [q, k, v, o] = [0, 1, 2, 3].map(() => dense(width, width));
    const [up, down] = [dense(width, inside), dense(inside, width)];
    if (!q || !k || !v || !o) throw new Error('four of them');
    const part = (one: typeof q) =>
      one.ours(ours, 'abc,cde->abde', [width, heads, each], [heads, each]);
    const query = network.add('Mul', [part(q), network.float(1 / Math.sqrt(each))]);
    const scores = network.add('Einsum', [part(k), query], { equation: 'aecd,abcd->acbe', N: 2 });
    const mixed = network.add('Einsum', [network.add('Softmax', [scores]), part(v)], {
      equation: 'acbe,aecd->abcd',
      N: 2,
    });
    const attended = o.ours(mixed, 'abcd,cde->abe', [heads, each, width], [width]);
    const sum = network.add('AddV2', [ours, attended]);
    const head = (one: typeof q, order: number[]) =>
      plain.transpose(plain.reshape(one.theirs(theirs), [-1, steps, heads, each]), order);
    const weighed = plain.op(
      'Softmax',
      [
        plain.op('Div', [
          plain.op('MatMul', [head(q, [0, 2, 1, 3]), head(k, [0, 2, 3, 1])]),
          plain.scalar('FP32', Math.sqrt(each)),
        ]),
      ],
      { axis: -1 },
    );
    const joined = plain.transpose(
      plain.op('MatMul', [weighed, head(v, [0, 2, 1, 3])]),
      [0, 2, 1, 3],
    );
    normalised(sum, plain.op('Add', [theirs, o.theirs(plain.reshape(joined, [-1, steps, width]))]));
    const wide = network.add('Relu', [up.ours(ours, 'abc,cd->abd', [width, inside], [inside])]);
    const narrow = down.ours(wide, 'abc,cd->abd', [inside, width], [width]);
    const added = network.add('AddV2', [ours, narrow]);
    normalised(
      added,
      plain.op('Add', [theirs, down.theirs(plain.op('Relu', [up.theirs(theirs)]))]),
    );
  }
  return {
    name: 'transformer, 2 layers, 64 steps',
    tensorflow: {
      inputs: { x: { dtype: 'FP32', shape: [-1, steps, width] } },
      nodes: network.nodes,
      outputs: [ours],
    },
    plain,
    input,
    output: theirs,
    shape: [1, steps, width],
    channelsFirst: false,
  };
}
