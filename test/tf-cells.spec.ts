import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sharedRunner } from './support/program-runner.js';
import {
  constantNode,
  loadGraph,
  numbersOf,
  runGraph,
  runLoaded,
  type GraphLiteral,
} from './support/tf-graphs.js';

const runner = sharedRunner();

const UNITS = 2;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const wave = (count: number, from: number) =>
  Array.from({ length: count }, (_, i) => Math.sin(from + i * 1.7));
const matrix = (rows: number, columns: number, data: number[]) => ({
  dtype: 'FP32' as const,
  shape: [rows, columns],
  data,
});

describe('ReverseSequence', () => {
  it.each([
    [1, 0],
    [0, 1],
    [2, 0],
    [1, 2],
  ])('along dimension %d for rows of dimension %d', async (time, rows) => {
    const sizes = [3, 4, 2];
    const graph: GraphLiteral = {
      inputs: { x: { dtype: 'INT32', shape: [-1, -1, -1] }, n: { dtype: 'INT64', shape: [-1] } },
      nodes: { y: ['ReverseSequence', ['x', 'n'], { seq_dim: time, batch_dim: rows }] },
      outputs: ['y'],
    };
    await loadGraph(runner, graph);
    const most = sizes[time] ?? 0;
    const lengths = fc.array(fc.integer({ min: 0, max: most }), {
      minLength: sizes[rows] ?? 0,
      maxLength: sizes[rows] ?? 0,
    });
    await fc.assert(
      fc.asyncProperty(lengths, async (n) => {
        const data = Array.from({ length: 24 }, (_, i) => i);
        const [answer] = await runLoaded(runner, graph, {
          x: { dtype: 'INT32', shape: sizes, data },
          n: { dtype: 'INT64', shape: [n.length], data: n },
        });
        const wanted = data.map((_, at) => {
          const index = [Math.floor(at / 8), Math.floor(at / 2) % 4, at % 2];
          const length = n[index[rows] ?? 0] ?? 0;
          const place = index[time] ?? 0;
          if (place < length) index[time] = length - 1 - place;
          return (index[0] ?? 0) * 8 + (index[1] ?? 0) * 2 + (index[2] ?? 0);
        });
        expect(numbersOf(answer)).toEqual(wanted);
      }),
      { numRuns: 10 },
    );
  });
});

describe('cells of one operation', () => {
  const weights = wave(4 * (3 + UNITS) * UNITS, 1);
  const bias = wave(4 * UNITS, 2);
  const holes = [3, 4, 5].map((from) => wave(UNITS, from));

  /** One step for one row: i, cs, f, o, ci, co, h. */
  function step(
    x: number[],
    cell: number[],
    h: number[],
    given: { forget: number; clip: number; peephole: boolean; order: number[] },
  ): number[][] {
    const both = [...x, ...h];
    const z = bias.map((b, j) =>
      both.reduce((sum, v, k) => sum + v * (weights[k * 4 * UNITS + j] ?? 0), b),
    );
    const gate = (name: number, j: number) => z[(given.order[name] ?? 0) * UNITS + j] ?? 0;
    const hole = (k: number, j: number) => (given.peephole ? (holes[k]?.[j] ?? 0) : 0);
    const made = cell.map((old, j) => {
      const i = sigmoid(gate(0, j) + old * hole(0, j));
      const f = sigmoid(gate(2, j) + given.forget + old * hole(1, j));
      const ci = Math.tanh(gate(1, j));
      const sum = ci * i + old * f;
      const cs = given.clip > 0 ? Math.min(Math.max(sum, -given.clip), given.clip) : sum;
      const o = sigmoid(gate(3, j) + cs * hole(2, j));
      return [i, cs, f, o, ci, Math.tanh(cs), Math.tanh(cs) * o];
    });
    return Array.from({ length: 7 }, (_, k) => made.map((values) => values[k] ?? 0));
  }

  const rest = {
    w: constantNode('FP32', [3 + UNITS, 4 * UNITS], weights),
    b: constantNode('FP32', [4 * UNITS], bias),
    wci: constantNode('FP32', [UNITS], holes[0] ?? []),
    wcf: constantNode('FP32', [UNITS], holes[1] ?? []),
    wco: constantNode('FP32', [UNITS], holes[2] ?? []),
  };
  const close = (got: number[], wanted: number[]) => {
    expect(got.length).toBe(wanted.length);
    got.forEach((value, i) => expect(value).toBeCloseTo(wanted[i] ?? NaN, 5));
  };

  it.each([true, false])('LSTMBlockCell, peepholes: %p', async (peephole) => {
    const answer = await runGraph(
      runner,
      {
        inputs: {
          x: { dtype: 'FP32', shape: [-1, 3] },
          c: { dtype: 'FP32', shape: [-1, UNITS] },
          h: { dtype: 'FP32', shape: [-1, UNITS] },
        },
        nodes: {
          ...rest,
          y: [
            'LSTMBlockCell',
            ['x', 'c', 'h', 'w', 'wci', 'wcf', 'wco', 'b'],
            { use_peephole: peephole, cell_clip: 0.5 },
          ],
        },
        outputs: ['y', 'y:1', 'y:2', 'y:3', 'y:4', 'y:5', 'y:6'],
      },
      { x: matrix(1, 3, [0.5, -1, 2]), c: matrix(1, 2, [1, -2]), h: matrix(1, 2, [0.25, 0.5]) },
    );
    const wanted = step([0.5, -1, 2], [1, -2], [0.25, 0.5], {
      forget: 1,
      clip: 0.5,
      peephole,
      order: [0, 1, 2, 3],
    });
    answer.forEach((tensor, i) => close(numbersOf(tensor), wanted[i] ?? []));
  });

  it.each([
    ['BlockLSTM', { forget: 1, clip: 3, peephole: false, order: [0, 1, 2, 3] }],
    ['BlockLSTMV2', { forget: 0, clip: 0, peephole: false, order: [0, 2, 1, 3] }],
  ])('%s, of which the last steps may be left out', async (operation, given) => {
    const graph: GraphLiteral = {
      inputs: {
        n: { dtype: 'INT64', shape: [] },
        x: { dtype: 'FP32', shape: [-1, -1, 3] },
        c: { dtype: 'FP32', shape: [-1, UNITS] },
        h: { dtype: 'FP32', shape: [-1, UNITS] },
      },
      nodes: {
        ...rest,
        y: [operation, ['n', 'x', 'c', 'h', 'w', 'wci', 'wcf', 'wco', 'b']],
      },
      outputs: ['y:1', 'y:6'],
    };
    await loadGraph(runner, graph);
    const x = wave(12, 7);
    for (const n of [0, 2, 4]) {
      const answer = await runLoaded(runner, graph, {
        n: { dtype: 'INT64', shape: [], data: [n] },
        x: { dtype: 'FP32', shape: [4, 1, 3], data: x },
        c: matrix(1, 2, [1, -2]),
        h: matrix(1, 2, [0.25, 0.5]),
      });
      let [c, h] = [
        [1, -2],
        [0.25, 0.5],
      ];
      const wanted: [number[], number[]] = [[], []];
      for (let t = 0; t < 4; t++) {
        const made = step(x.slice(t * 3, t * 3 + 3), c, h, given);
        [c, h] = [made[1] ?? [], made[6] ?? []];
        wanted[0].push(...(t < n ? c : [0, 0]));
        wanted[1].push(...(t < n ? h : [0, 0]));
      }
      answer.forEach((tensor, i) => {
        expect(tensor.shape).toEqual([4, 1, 2]);
        close(numbersOf(tensor), wanted[i] ?? []);
      });
    }
  });

  it('GRUBlockCell', async () => {
    const [wru, wc, bru, bc] = [wave(20, 1), wave(10, 2), wave(4, 3), wave(2, 4)] as const;
    const [x, h] = [
      [0.5, -1, 2],
      [0.25, 0.5],
    ];
    const [, , , answer] = await runGraph(
      runner,
      {
        inputs: { x: { dtype: 'FP32', shape: [-1, 3] }, h: { dtype: 'FP32', shape: [-1, 2] } },
        nodes: {
          wru: constantNode('FP32', [5, 4], wru),
          wc: constantNode('FP32', [5, 2], wc),
          bru: constantNode('FP32', [4], bru),
          bc: constantNode('FP32', [2], bc),
          y: ['GRUBlockCell', ['x', 'h', 'wru', 'wc', 'bru', 'bc']],
        },
        outputs: ['y', 'y:1', 'y:2', 'y:3'],
      },
      { x: matrix(1, 3, x), h: matrix(1, 2, h) },
    );
    const sums = (state: number[], by: readonly number[], added: readonly number[]) =>
      added.map((b, j) =>
        [...x, ...state].reduce((sum, v, k) => sum + v * (by[k * added.length + j] ?? 0), b),
      );
    const gates = sums(h, wru, bru).map(sigmoid);
    const c = sums(
      h.map((v, j) => v * (gates[j] ?? 0)),
      wc,
      bc,
    ).map(Math.tanh);
    close(
      numbersOf(answer),
      h.map((v, j) => (gates[2 + j] ?? 0) * v + (1 - (gates[2 + j] ?? 0)) * (c[j] ?? 0)),
    );
  });
});
