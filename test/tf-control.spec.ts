import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sharedRunner } from './support/program-runner.js';
import {
  constantNode,
  loadGraph,
  lowered,
  numbersOf,
  runGraph,
  runLoaded,
  type FunctionLiteral,
  type GraphLiteral,
  type NodeLiteral,
} from './support/tf-graphs.js';

const runner = sharedRunner();

const FP32 = { type: 'FP32' } as const;
const int = (value: number) => constantNode('INT32', [], [value]);
const float = (...values: number[]) => constantNode('FP32', [values.length], values);
const loop = (inputs: string[], name = ''): NodeLiteral => [
  'While',
  inputs,
  { cond: { function: `${name}cond` }, body: { function: `${name}body` } },
];
/** Whether the first of the variables is below the one named `n`. */
const below = (...inputs: string[]): FunctionLiteral => ({
  inputs,
  nodes: { less: ['Less', [inputs[0] ?? '', 'n']] },
  outputs: ['less'],
});
const scalar = (value: number) => ({ dtype: 'INT32' as const, shape: [], data: [value] });
const row = (...data: number[]) => ({ dtype: 'FP32' as const, shape: [data.length], data });

describe('branches', () => {
  const graph: GraphLiteral = {
    inputs: { p: { dtype: 'INT32', shape: [] }, x: { dtype: 'FP32', shape: [-1] } },
    nodes: {
      y: [
        'If',
        ['p', 'x'],
        { then_branch: { function: 'twice' }, else_branch: { function: 'first' } },
      ],
    },
    functions: {
      twice: {
        inputs: ['a'],
        nodes: { b: ['AddV2', ['a', 'a']], m: int(7) },
        outputs: ['b', 'm', 'a'],
      },
      first: {
        inputs: ['a'],
        nodes: {
          begin: constantNode('INT32', [1], [0]),
          size: constantNode('INT32', [1], [1]),
          s: ['Slice', ['a', 'begin', 'size']],
          m: int(-7),
        },
        outputs: ['s', 'm', 'a'],
      },
    },
    outputs: ['y', 'y:1', 'y:2'],
  };

  it('answer what the taken side makes, of whatever size', async () => {
    await loadGraph(runner, graph);
    for (const [p, y, m] of [
      [3, [2, 4, 6], 7],
      [0, [1], -7],
    ] as const) {
      const answer = await runLoaded(runner, graph, { p: scalar(p), x: row(1, 2, 3) });
      expect(answer.map(numbersOf)).toEqual([y, [m], [1, 2, 3]]);
    }
  });

  it('of many take the last for an index that none has', async () => {
    const cases: GraphLiteral = {
      inputs: { p: { dtype: 'INT32', shape: [] }, x: { dtype: 'FP32', shape: [-1] } },
      nodes: {
        y: ['Case', ['p', 'x'], { branches: [0, 1, 2].map((i) => ({ function: `f${i}` })) }],
      },
      functions: Object.fromEntries(
        [10, 20, 30].map((value, i) => [
          `f${i}`,
          { inputs: ['a'], nodes: { c: float(value), b: ['Mul', ['a', 'c']] }, outputs: ['b'] },
        ]),
      ),
      outputs: ['y'],
    };
    await loadGraph(runner, cases);
    for (const [p, factor] of [
      [0, 10],
      [1, 20],
      [2, 30],
      [3, 30],
      [-1, 30],
    ] as const) {
      const [answer] = await runLoaded(runner, cases, { p: scalar(p), x: row(1, 2) });
      expect(numbersOf(answer)).toEqual([factor, 2 * factor]);
    }
  });

  it('may answer lists', async () => {
    const list = (value: number): FunctionLiteral => ({
      inputs: ['l', 'a'],
      nodes: { at: int(value), set: ['TensorListSetItem', ['l', 'at', 'a']] },
      outputs: ['set'],
    });
    const [answer] = await runGraph(
      runner,
      {
        inputs: { p: { dtype: 'BOOL', shape: [] }, x: { dtype: 'FP32', shape: [-1] } },
        nodes: {
          any: constantNode('INT32', [1], [-1]),
          n: int(2),
          l: ['TensorListReserve', ['any', 'n'], { element_dtype: FP32 }],
          y: [
            'If',
            ['p', 'l', 'x'],
            { then_branch: { function: 'zero' }, else_branch: { function: 'one' } },
          ],
          all: ['TensorListStack', ['y', 'any'], { element_dtype: FP32 }],
        },
        functions: { zero: list(0), one: list(1) },
        outputs: ['all'],
      },
      { p: { dtype: 'BOOL', shape: [], data: [false] }, x: row(1, 2) },
    );
    expect(answer?.shape).toEqual([2, 2]);
    expect(numbersOf(answer)).toEqual([0, 0, 1, 2]);
  });
});

describe('loops', () => {
  it('end where their condition does, and leave out what nothing needs', async () => {
    const graph: GraphLiteral = {
      inputs: { n: { dtype: 'INT32', shape: [] }, x: { dtype: 'FP32', shape: [-1] } },
      nodes: { zero: int(0), y: loop(['zero', 'x', 'n', 'x']) },
      functions: {
        cond: {
          inputs: ['i', 'v', 'n', 'unused'],
          nodes: {
            less: ['Less', ['i', 'n']],
            axes: constantNode('INT32', [1], [0]),
            sum: ['Sum', ['v', 'axes']],
            most: constantNode('FP32', [], [100]),
            small: ['Less', ['sum', 'most']],
            both: ['LogicalAnd', ['less', 'small']],
          },
          outputs: ['both'],
        },
        body: {
          inputs: ['i', 'v', 'n', 'unused'],
          nodes: {
            one: int(1),
            next: ['AddV2', ['i', 'one']],
            twice: ['AddV2', ['v', 'v']],
            odd: ['NoSuchOp', ['unused']],
          },
          outputs: ['next', 'twice', 'n', 'odd'],
        },
      },
      outputs: ['y', 'y:1'],
    };
    await loadGraph(runner, graph);
    for (const [n, steps, values] of [
      [0, 0, [1, 2]],
      [3, 3, [8, 16]],
      [50, 6, [64, 128]],
    ] as const) {
      const answer = await runLoaded(runner, graph, { n: scalar(n), x: row(1, 2) });
      expect(answer.map(numbersOf)).toEqual([[steps], values]);
    }
  });

  it('may change the shapes of their variables', async () => {
    const graph: GraphLiteral = {
      inputs: { n: { dtype: 'INT32', shape: [] }, x: { dtype: 'FP32', shape: [1] } },
      nodes: { zero: int(0), y: loop(['zero', 'x', 'n']) },
      functions: {
        cond: below('i', 'v', 'n'),
        body: {
          inputs: ['i', 'v', 'n'],
          nodes: {
            one: int(1),
            axis: int(0),
            next: ['AddV2', ['i', 'one']],
            both: ['ConcatV2', ['v', 'v', 'axis'], { N: 2 }],
          },
          outputs: ['next', 'both', 'n'],
        },
      },
      outputs: ['y:1'],
    };
    await loadGraph(runner, graph);
    for (const n of [0, 1, 3]) {
      const [answer] = await runLoaded(runner, graph, { n: scalar(n), x: row(5) });
      expect(numbersOf(answer)).toEqual(Array.from({ length: 2 ** n }, () => 5));
    }
  });

  it('are refused where a variable changes its type', () => {
    const graph: GraphLiteral = {
      inputs: { n: { dtype: 'INT32', shape: [] } },
      nodes: { zero: int(0), y: loop(['zero', 'n']) },
      functions: {
        cond: below('i', 'n'),
        body: {
          inputs: ['i', 'n'],
          nodes: { f: ['Cast', ['i'], { SrcT: { type: 'INT32' }, DstT: FP32 }] },
          outputs: ['f', 'n'],
        },
      },
      outputs: ['y'],
    };
    expect(() => lowered(graph)).toThrow(/While \(node "y"\).*changes its type/);
  });

  it('stand in each other, with lists of both', async () => {
    // Table of products: an outer list of rows, each of an inner list.
    const graph: GraphLiteral = {
      inputs: { n: { dtype: 'INT32', shape: [] } },
      nodes: {
        zero: int(0),
        any: constantNode('INT32', [], [-1]),
        l: ['TensorListReserve', ['any', 'n'], { element_dtype: FP32 }],
        y: loop(['zero', 'l', 'n'], 'outer'),
        all: ['TensorListStack', ['y:1', 'any'], { element_dtype: FP32 }],
      },
      functions: {
        outercond: below('i', 'l', 'n'),
        outerbody: {
          inputs: ['i', 'l', 'n'],
          nodes: {
            zero: int(0),
            one: int(1),
            any: constantNode('INT32', [0], []),
            inner: ['TensorListReserve', ['any', 'n'], { element_dtype: FP32 }],
            y: loop(['zero', 'inner', 'n', 'i'], 'inner'),
            row: ['TensorListStack', ['y:1', 'any'], { element_dtype: FP32 }],
            set: ['TensorListSetItem', ['l', 'i', 'row']],
            next: ['AddV2', ['i', 'one']],
          },
          outputs: ['next', 'set', 'n'],
        },
        innercond: below('j', 'l', 'n', 'i'),
        innerbody: {
          inputs: ['j', 'l', 'n', 'i'],
          nodes: {
            one: int(1),
            product: ['Mul', ['i', 'j']],
            item: ['Cast', ['product'], { SrcT: { type: 'INT32' }, DstT: FP32 }],
            set: ['TensorListSetItem', ['l', 'j', 'item']],
            next: ['AddV2', ['j', 'one']],
          },
          outputs: ['next', 'set', 'n', 'i'],
        },
      },
      outputs: ['all'],
    };
    const [answer] = await runGraph(runner, graph, { n: scalar(3) });
    expect(answer?.shape).toEqual([3, 3]);
    expect(numbersOf(answer)).toEqual([0, 0, 0, 0, 1, 2, 0, 2, 4]);
  });
});

describe('lists in loops', () => {
  /** A loop that sets the element `index` of a list to `x[i] + i`, from `first` to `n`. */
  const filling = (given: {
    first: number;
    size: string;
    element: number[] | undefined;
    index: Record<string, NodeLiteral>;
  }): GraphLiteral => ({
    inputs: { n: { dtype: 'INT32', shape: [] }, x: { dtype: 'FP32', shape: [-1, -1] } },
    nodes: {
      first: int(given.first),
      one: int(1),
      five: int(5),
      element: given.element
        ? constantNode('INT32', [given.element.length], given.element)
        : constantNode('INT32', [], [-1]),
      any: constantNode('INT32', [], [-1]),
      rows: ['TensorListFromTensor', ['x', 'any'], { element_dtype: FP32 }],
      l: ['TensorListReserve', ['element', given.size], { element_dtype: FP32 }],
      y: loop(['first', 'l', 'n', 'rows']),
      all: ['TensorListStack', ['y:1', 'element'], { element_dtype: FP32 }],
      length: ['TensorListLength', ['y:1']],
    },
    functions: {
      cond: below('i', 'l', 'n', 'rows'),
      body: {
        inputs: ['i', 'l', 'n', 'rows'],
        nodes: {
          one: int(1),
          any: constantNode('INT32', [], [-1]),
          item: ['TensorListGetItem', ['rows', 'i', 'any'], { element_dtype: FP32 }],
          more: ['Cast', ['i'], { SrcT: { type: 'INT32' }, DstT: FP32 }],
          sum: ['AddV2', ['item', 'more']],
          ...given.index,
          set: ['TensorListSetItem', ['l', 'index', 'sum']],
          next: ['AddV2', ['i', 'one']],
        },
        outputs: ['next', 'set', 'n', 'rows'],
      },
    },
    outputs: ['all', 'length'],
  });
  const forward: Record<string, NodeLiteral> = { index: ['Identity', ['i']] };
  const backward: Record<string, NodeLiteral> = {
    last: ['Sub', ['n', 'one']],
    index: ['Sub', ['last', 'i']],
  };
  const same: Record<string, NodeLiteral> = { index: int(0) };
  const matrix = (rows: number[][]) => ({
    dtype: 'FP32' as const,
    shape: [rows.length, rows[0]?.length ?? 2],
    data: rows.flat(),
  });
  const data = [
    [1, 2],
    [3, 4],
    [5, 6],
    [7, 8],
  ];
  const at = (i: number) => (data[i] ?? []).map((value) => value + i);

  it.each([
    ['each turn its own element', { first: 0, size: 'n', element: undefined, index: forward }],
    ['with elements of known size', { first: 0, size: 'n', element: [2], index: forward }],
  ])('are filled, %s', async (_, given) => {
    const graph = filling(given);
    await loadGraph(runner, graph);
    for (const n of [1, 3]) {
      const [all, length] = await runLoaded(runner, graph, { n: scalar(n), x: matrix(data) });
      expect(all?.shape).toEqual([n, 2]);
      expect(numbersOf(all)).toEqual(Array.from({ length: n }, (__, i) => at(i)).flat());
      expect(numbersOf(length)).toEqual([n]);
    }
  });

  it('are filled from the end', async () => {
    const graph = filling({ first: 0, size: 'n', element: undefined, index: backward });
    const [all] = await runGraph(runner, graph, { n: scalar(3), x: matrix(data) });
    expect(numbersOf(all)).toEqual([at(2), at(1), at(0)].flat());
  });

  it('are longer than the loop runs, and begin before it', async () => {
    const graph = filling({ first: 1, size: 'five', element: [2], index: forward });
    await loadGraph(runner, graph);
    for (const n of [0, 1, 3, 4]) {
      const [all] = await runLoaded(runner, graph, { n: scalar(n), x: matrix(data) });
      const rows = Array.from({ length: 5 }, (_, i) => (i >= 1 && i < n ? at(i) : [0, 0]));
      expect(numbersOf(all)).toEqual(rows.flat());
    }
  });

  it('keep what the last turn set', async () => {
    const graph = filling({ first: 0, size: 'one', element: [2], index: same });
    await loadGraph(runner, graph);
    for (const n of [0, 1, 4]) {
      const [all] = await runLoaded(runner, graph, { n: scalar(n), x: matrix(data) });
      expect(numbersOf(all)).toEqual(n === 0 ? [0, 0] : at(n - 1));
    }
  });

  it('that are too short are an error', async () => {
    const graph = filling({ first: 0, size: 'one', element: [2], index: forward });
    await loadGraph(runner, graph);
    await expect(runLoaded(runner, graph, { n: scalar(3), x: matrix(data) })).rejects.toThrow();
  });

  it('grow and shrink like a stack', async () => {
    // Pushes i, and takes off two at every third turn.
    const graph: GraphLiteral = {
      inputs: { n: { dtype: 'INT32', shape: [] } },
      nodes: {
        zero: int(0),
        most: int(-1),
        any: constantNode('INT32', [], [-1]),
        l: ['EmptyTensorList', ['any', 'most'], { element_dtype: { type: 'INT32' } }],
        y: loop(['zero', 'l', 'n']),
        length: ['TensorListLength', ['y:1']],
        all: ['TensorListStack', ['y:1', 'any'], { element_dtype: { type: 'INT32' } }],
      },
      functions: {
        cond: below('i', 'l', 'n'),
        body: {
          inputs: ['i', 'l', 'n'],
          nodes: {
            one: int(1),
            three: int(3),
            two: int(2),
            rest: ['FloorMod', ['i', 'three']],
            third: ['Equal', ['rest', 'two']],
            pushed: ['TensorListPushBack', ['l', 'i'], { element_dtype: { type: 'INT32' } }],
            kept: [
              'If',
              ['third', 'pushed'],
              { then_branch: { function: 'pop' }, else_branch: { function: 'same' } },
            ],
            next: ['AddV2', ['i', 'one']],
          },
          outputs: ['next', 'kept', 'n'],
        },
        same: { inputs: ['l'], nodes: {}, outputs: ['l'] },
        pop: {
          inputs: ['l'],
          nodes: {
            any: constantNode('INT32', [0], []),
            a: ['TensorListPopBack', ['l', 'any'], { element_dtype: { type: 'INT32' } }],
            b: ['TensorListPopBack', ['a', 'any'], { element_dtype: { type: 'INT32' } }],
          },
          outputs: ['b'],
        },
      },
      outputs: ['all', 'length'],
    };
    await loadGraph(runner, graph);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), async (n) => {
        const list: number[] = [];
        for (let i = 0; i < n; i++) {
          list.push(i);
          if (i % 3 === 2) list.splice(-2);
        }
        const [all, length] = await runLoaded(runner, graph, { n: scalar(n) });
        expect(numbersOf(all)).toEqual(list);
        expect(numbersOf(length)).toEqual([list.length]);
      }),
      { numRuns: 12 },
    );
  });
});
