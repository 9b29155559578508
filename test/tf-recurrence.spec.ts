import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { GraphNode } from '../libs/formats/tensor-graph/tensor-graph.js';
import { sharedRunner } from './support/program-runner.js';
import {
  constantNode,
  loadGraph,
  lowered,
  numbersOf,
  runLoaded,
  type GraphLiteral,
  type NodeLiteral,
} from './support/tf-graphs.js';

const runner = sharedRunner();

const FP32 = { type: 'FP32' } as const;
const int = (value: number) => constantNode('INT32', [], [value]);
const ints = (...values: number[]) => constantNode('INT32', [values.length], values);

const INPUTS = 3;
const UNITS = 2;

/** A cell as a turn of a loop has it, and what it means. */
interface CellLiteral {
  /** Of the states but the first, which is the output. */
  others: string[];
  nodes: Record<string, NodeLiteral>;
  /** What the states become: names of nodes. */
  after: string[];
  step(x: number[], states: number[][]): number[][];
}

let seed = 1;
function noise(count: number): number[] {
  return Array.from({ length: count }, () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647 - 0.5;
  });
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** `x · weights` where the weights are `[x.length, columns]`. */
function times(x: number[], weights: number[], columns: number): number[] {
  return Array.from({ length: columns }, (_, j) =>
    x.reduce((sum, value, i) => sum + value * (weights[i * columns + j] ?? 0), 0),
  );
}

function weights(gates: number) {
  const width = gates * UNITS;
  const own = {
    kernel: noise(INPUTS * width),
    recurrent: noise(UNITS * width),
    bias: noise(width),
  };
  return {
    ...own,
    width,
    nodes: {
      kernel: constantNode('FP32', [INPUTS, width], own.kernel),
      recurrent: constantNode('FP32', [UNITS, width], own.recurrent),
      bias: constantNode('FP32', [width], own.bias),
      last: int(-1),
      lastOfSplit: int(1),
    } satisfies Record<string, NodeLiteral>,
  };
}

function part(list: number[], gate: number): number[] {
  return list.slice(gate * UNITS, (gate + 1) * UNITS);
}

/** Keras' LSTM: gates i, f, c, o; `extra` is added to the cell, which makes it none. */
function lstm(extra = 0): CellLiteral {
  const own = weights(4);
  return {
    others: ['c'],
    nodes: {
      ...own.nodes,
      xs: ['MatMul', ['x', 'kernel']],
      hs: ['MatMul', ['h', 'recurrent']],
      both: ['AddV2', ['xs', 'hs']],
      z: ['BiasAdd', ['both', 'bias']],
      split: ['Split', ['lastOfSplit', 'z'], { num_split: 4 }],
      i: ['Sigmoid', ['split']],
      f: ['Sigmoid', ['split:1']],
      g: ['Tanh', ['split:2']],
      o: ['Sigmoid', ['split:3']],
      kept: ['Mul', ['f', 'c']],
      added: ['Mul', ['i', 'g']],
      extra: constantNode('FP32', [], [extra]),
      sum: ['AddV2', ['kept', 'added']],
      c2: extra === 0 ? ['Identity', ['sum']] : ['AddV2', ['sum', 'extra']],
      t: ['Tanh', ['c2']],
      h2: ['Mul', ['o', 't']],
    },
    after: ['h2', 'c2'],
    step: (x, [h = [], c = []]) => {
      const xs = times(x, own.kernel, own.width);
      const z = times(h, own.recurrent, own.width).map(
        (v, j) => v + (xs[j] ?? 0) + (own.bias[j] ?? 0),
      );
      const c2 = c.map(
        (old, j) =>
          sigmoid(part(z, 1)[j] ?? 0) * old +
          sigmoid(part(z, 0)[j] ?? 0) * Math.tanh(part(z, 2)[j] ?? 0) +
          extra,
      );
      return [c2.map((value, j) => sigmoid(part(z, 3)[j] ?? 0) * Math.tanh(value)), c2];
    },
  };
}

/** TensorFlow 1's BasicLSTMCell: gates i, j, f, o of `[x, h]`, with a bias of the forget gate. */
function basicLstm(): CellLiteral {
  const own = weights(4);
  return {
    others: ['c'],
    nodes: {
      all: constantNode('FP32', [INPUTS + UNITS, own.width], [...own.kernel, ...own.recurrent]),
      bias: own.nodes.bias,
      one: int(1),
      forget: constantNode('FP32', [], [1]),
      joined: ['ConcatV2', ['x', 'h', 'one'], { N: 2 }],
      product: ['MatMul', ['joined', 'all']],
      z: ['BiasAdd', ['product', 'bias']],
      split: ['Split', ['one', 'z'], { num_split: 4 }],
      i: ['Sigmoid', ['split']],
      g: ['Tanh', ['split:1']],
      biased: ['Add', ['split:2', 'forget']],
      f: ['Sigmoid', ['biased']],
      o: ['Sigmoid', ['split:3']],
      kept: ['Mul', ['c', 'f']],
      added: ['Mul', ['i', 'g']],
      c2: ['Add', ['kept', 'added']],
      t: ['Tanh', ['c2']],
      h2: ['Mul', ['t', 'o']],
    },
    after: ['h2', 'c2'],
    step: (x, [h = [], c = []]) => {
      const xs = times(x, own.kernel, own.width);
      const z = times(h, own.recurrent, own.width).map(
        (v, j) => v + (xs[j] ?? 0) + (own.bias[j] ?? 0),
      );
      const c2 = c.map(
        (old, j) =>
          sigmoid((part(z, 2)[j] ?? 0) + 1) * old +
          sigmoid(part(z, 0)[j] ?? 0) * Math.tanh(part(z, 1)[j] ?? 0),
      );
      return [c2.map((value, j) => sigmoid(part(z, 3)[j] ?? 0) * Math.tanh(value)), c2];
    },
  };
}

/** Keras' GRU: gates z, r, h; the reset gate after the product with the state, or before. */
function gru(after: boolean): CellLiteral {
  const own = weights(3);
  const recurrentBias = noise(after ? own.width : 0);
  const back: Record<string, NodeLiteral> = after
    ? {
        rb: constantNode('FP32', [own.width], recurrentBias),
        hr: ['MatMul', ['h', 'recurrent']],
        hs: ['BiasAdd', ['hr', 'rb']],
        inner: ['Split', ['lastOfSplit', 'hs'], { num_split: 3 }],
        zz: ['AddV2', ['split', 'inner']],
        rr: ['AddV2', ['split:1', 'inner:1']],
        r: ['Sigmoid', ['rr']],
        reset: ['Mul', ['r', 'inner:2']],
      }
    : {
        begin: ints(0, 0),
        middle: ints(0, 2 * UNITS),
        end: ints(0, 3 * UNITS),
        ones: ints(1, 1),
        first: [
          'StridedSlice',
          ['recurrent', 'begin', 'middle', 'ones'],
          { begin_mask: 3, end_mask: 1 },
        ],
        second: [
          'StridedSlice',
          ['recurrent', 'middle', 'end', 'ones'],
          { begin_mask: 1, end_mask: 3 },
        ],
        hs: ['MatMul', ['h', 'first']],
        inner: ['Split', ['lastOfSplit', 'hs'], { num_split: 2 }],
        zz: ['AddV2', ['split', 'inner']],
        rr: ['AddV2', ['split:1', 'inner:1']],
        r: ['Sigmoid', ['rr']],
        rh: ['Mul', ['r', 'h']],
        reset: ['MatMul', ['rh', 'second']],
      };
  return {
    others: [],
    nodes: {
      ...own.nodes,
      xk: ['MatMul', ['x', 'kernel']],
      xs: ['BiasAdd', ['xk', 'bias']],
      split: ['Split', ['lastOfSplit', 'xs'], { num_split: 3 }],
      ...back,
      z: ['Sigmoid', ['zz']],
      hh: ['AddV2', ['split:2', 'reset']],
      candidate: ['Tanh', ['hh']],
      kept: ['Mul', ['z', 'h']],
      one: constantNode('FP32', [], [1]),
      rest: ['Sub', ['one', 'z']],
      added: ['Mul', ['rest', 'candidate']],
      h2: ['AddV2', ['kept', 'added']],
    },
    after: ['h2'],
    step: (x, [h = []]) => {
      const xs = times(x, own.kernel, own.width).map((v, j) => v + (own.bias[j] ?? 0));
      const hs = times(h, own.recurrent, own.width).map((v, j) => v + (recurrentBias[j] ?? 0));
      const z = h.map((_, j) => sigmoid((xs[j] ?? 0) + (hs[j] ?? 0)));
      const r = h.map((_, j) => sigmoid((xs[UNITS + j] ?? 0) + (hs[UNITS + j] ?? 0)));
      const before = times(
        h.map((value, j) => value * (r[j] ?? 0)),
        own.recurrent,
        own.width,
      );
      return [
        h.map((old, j) => {
          const inner = after
            ? (r[j] ?? 0) * (hs[2 * UNITS + j] ?? 0)
            : (before[2 * UNITS + j] ?? 0);
          return (
            (z[j] ?? 0) * old + (1 - (z[j] ?? 0)) * Math.tanh((xs[2 * UNITS + j] ?? 0) + inner)
          );
        }),
      ];
    },
  };
}

function simple(): CellLiteral {
  const own = weights(1);
  return {
    others: [],
    nodes: {
      ...own.nodes,
      xk: ['MatMul', ['x', 'kernel']],
      xs: ['BiasAdd', ['xk', 'bias']],
      hs: ['MatMul', ['h', 'recurrent']],
      sum: ['AddV2', ['xs', 'hs']],
      h2: ['Tanh', ['sum']],
    },
    after: ['h2'],
    step: (x, [h = []]) => {
      const xs = times(x, own.kernel, own.width);
      return [
        times(h, own.recurrent, UNITS).map((v, j) =>
          Math.tanh(v + (xs[j] ?? 0) + (own.bias[j] ?? 0)),
        ),
      ];
    },
  };
}

type Mask = 'none' | 'repeats' | 'zeros';

/** A layer as Keras says it: rows first, a loop over time, outputs in a list, all outputs and the last states out. */
function layer(cell: CellLiteral, mask: Mask): GraphLiteral {
  const states = ['h', ...cell.others];
  const masked = mask !== 'none';
  const variables = ['time', 'out', 'n', 'rows', ...states, ...(masked ? ['before', 'masks'] : [])];
  const after = cell.after.map((name, i) => (masked ? `kept${i}` : name));
  const select = Object.fromEntries(
    states.map((state, i): [string, NodeLiteral] => [
      `kept${i}`,
      ['SelectV2', ['tiled', cell.after[i] ?? '', state]],
    ]),
  );
  const body: Record<string, NodeLiteral> = {
    ...cell.nodes,
    any: ints(-1, INPUTS),
    x: ['TensorListGetItem', ['rows', 'time', 'any'], { element_dtype: FP32 }],
    ...(masked && {
      mask: [
        'TensorListGetItem',
        ['masks', 'time', 'anyMask'],
        { element_dtype: { type: 'BOOL' } },
      ],
      anyMask: ints(-1, 1),
      tile: ints(1, UNITS),
      tiled: ['Tile', ['mask', 'tile']],
      zero: constantNode('FP32', [], [0]),
      shape: ['Shape', ['h2']],
      zeros: ['Fill', ['shape', 'zero']],
      chosen: ['SelectV2', ['tiled', 'h2', mask === 'zeros' ? 'zeros' : 'before']],
      ...select,
    }),
    set: ['TensorListSetItem', ['out', 'time', masked ? 'chosen' : 'h2']],
    more: int(1),
    next: ['AddV2', ['time', 'more']],
  };
  return {
    inputs: {
      series: { dtype: 'FP32', shape: [-1, -1, INPUTS] },
      ...Object.fromEntries(
        states.map((state) => [state, { dtype: 'FP32' as const, shape: [-1, UNITS] }]),
      ),
      ...(masked && { given: { dtype: 'BOOL' as const, shape: [-1, -1] } }),
    },
    nodes: {
      order: ints(1, 0, 2),
      rowsFirst: ['Transpose', ['series', 'order']],
      shape: ['Shape', ['rowsFirst']],
      zero: int(0),
      begin: ints(0),
      end: ints(1),
      n: ['StridedSlice', ['shape', 'begin', 'end', 'end'], { shrink_axis_mask: 1 }],
      any: ints(-1, UNITS),
      anyRow: ints(-1, INPUTS),
      rows: ['TensorListFromTensor', ['rowsFirst', 'anyRow'], { element_dtype: FP32 }],
      out: ['TensorListReserve', ['any', 'n'], { element_dtype: FP32 }],
      ...(masked && {
        last: int(-1),
        column: ['ExpandDims', ['given', 'last']],
        turned: ['Transpose', ['column', 'order']],
        anyMask: ints(-1, 1),
        masks: ['TensorListFromTensor', ['turned', 'anyMask'], { element_dtype: { type: 'BOOL' } }],
        before: ['ZerosLike', ['h']],
      }),
      loop: [
        'While',
        ['zero', 'out', 'n', 'rows', ...states, ...(masked ? ['before', 'masks'] : [])],
        { cond: { function: 'cond' }, body: { function: 'body' } },
      ],
      all: ['TensorListStack', ['loop:1', 'any'], { element_dtype: FP32 }],
      y: ['Transpose', ['all', 'order']],
    },
    functions: {
      cond: { inputs: variables, nodes: { less: ['Less', ['time', 'n']] }, outputs: ['less'] },
      body: {
        inputs: variables,
        nodes: body,
        outputs: ['next', 'set', 'n', 'rows', ...after, ...(masked ? ['chosen', 'masks'] : [])],
      },
    },
    outputs: ['y', ...states.map((_, i) => `loop:${4 + i}`)],
  };
}

/** What the layer means: one row after the other, one step after the other. */
function reference(
  cell: CellLiteral,
  mask: Mask,
  series: number[][][],
  first: number[][][],
  masks: boolean[][],
) {
  const lasts: number[][][] = first.map(() => []);
  const y = series.flatMap((row, b) => {
    let states = first.map((state) => state[b] ?? []);
    let before: number[] = Array.from({ length: UNITS }, () => 0);
    const outputs = row.flatMap((x, t) => {
      const counts = mask === 'none' || (masks[b]?.[t] ?? false);
      const made = counts ? cell.step(x, states) : states;
      states = made;
      before = counts ? (made[0] ?? []) : mask === 'zeros' ? before.map(() => 0) : before;
      return before;
    });
    states.forEach((state, i) => lasts[i]?.push(state));
    return outputs;
  });
  return [y, ...lasts.map((state) => state.flat())];
}

function operators(literal: GraphLiteral): Set<string> {
  const { graph, entry } = lowered(literal);
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((value) => [value, node])));
  const seen = new Set<GraphNode>();
  const open = entry.outputs.map(({ value }) => value);
  for (let value = open.pop(); value; value = open.pop()) {
    const node = makers.get(value);
    if (!node || seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) if (input) open.push(input);
  }
  return new Set([...seen].map((node) => (node.kind === 'onnx' ? node.operator : node.kernel)));
}

const cells: [string, () => CellLiteral, string][] = [
  ['LSTM of Keras', lstm, 'LSTM'],
  ['LSTM of TensorFlow 1', basicLstm, 'LSTM'],
  ['GRU with the reset gate after the product', () => gru(true), 'GRU'],
  ['GRU with the reset gate before the product', () => gru(false), 'GRU'],
  ['simple RNN', simple, 'RNN'],
  ['LSTM with something more', () => lstm(0.25), 'Loop'],
];

describe.each(cells)('a loop that is a %s', (_, make, operator) => {
  it.each(['none', 'repeats', 'zeros'] as const)('with the mask that %s', async (mask) => {
    const cell = make();
    const graph = layer(cell, mask);
    const found = operators(graph);
    expect([found.has(operator), found.has('Loop')]).toEqual([true, operator === 'Loop']);
    await loadGraph(runner, graph);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 6 }),
        fc.infiniteStream(fc.boolean()),
        async (rows, steps, bits) => {
          const list = <T>(count: number, one: () => T) => Array.from({ length: count }, one);
          const series = list(rows, () => list(steps, () => noise(INPUTS)));
          const first = ['h', ...cell.others].map(() => list(rows, () => noise(UNITS)));
          const masks = list(rows, () => list(steps, () => bits.next().value));
          const answer = await runLoaded(runner, graph, {
            series: { dtype: 'FP32', shape: [rows, steps, INPUTS], data: series.flat(2) },
            ...Object.fromEntries(
              ['h', ...cell.others].map((name, i) => [
                name,
                { dtype: 'FP32' as const, shape: [rows, UNITS], data: first[i]?.flat() ?? [] },
              ]),
            ),
            ...(mask !== 'none' && {
              given: { dtype: 'BOOL' as const, shape: [rows, steps], data: masks.flat() },
            }),
          });
          const wanted = reference(cell, mask, series, first, masks);
          answer.forEach((tensor, i) => {
            const got = numbersOf(tensor);
            expect(got.length).toBe(wanted[i]?.length);
            got.forEach((value, j) => expect(value).toBeCloseTo(wanted[i]?.[j] ?? NaN, 5));
          });
        },
      ),
      { numRuns: 8 },
    );
  });
});

it('keeps the first state where there are no steps', async () => {
  const graph = layer(lstm(), 'none');
  await loadGraph(runner, graph);
  const [, h, c] = await runLoaded(runner, graph, {
    series: { dtype: 'FP32', shape: [1, 0, INPUTS], data: [] },
    h: { dtype: 'FP32', shape: [1, UNITS], data: [1, 2] },
    c: { dtype: 'FP32', shape: [1, UNITS], data: [3, 4] },
  });
  expect([numbersOf(h), numbersOf(c)]).toEqual([
    [1, 2],
    [3, 4],
  ]);
});
