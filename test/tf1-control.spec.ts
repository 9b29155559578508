import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
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

const int = (value: number) => constantNode('INT32', [], [value]);
const scalar = (value: number) => ({ dtype: 'INT32' as const, shape: [], data: [value] });

/**
 * A loop as TensorFlow 1 builds it: variables named `${frame}.${name}` with what goes in, and `${frame}.${name}.end` that comes
 * out. The condition and the next values are nodes that the test adds.
 */
function frame(
  name: string,
  variables: Record<string, { first: string; next: string }>,
  constants: Record<string, string>,
  condition: string,
): Record<string, NodeLiteral> {
  const nodes: Record<string, NodeLiteral> = { [`${name}.cond`]: ['LoopCond', [condition]] };
  for (const [variable, { first, next }] of Object.entries(variables)) {
    const own = `${name}.${variable}`;
    nodes[`${own}.enter`] = ['Enter', [first], { frame_name: name, is_constant: false }];
    nodes[`${own}.merge`] = ['Merge', [`${own}.enter`, `${own}.back`], { N: 2 }];
    nodes[`${own}.switch`] = ['Switch', [`${own}.merge`, `${name}.cond`]];
    nodes[own] = ['Identity', [`${own}.switch:1`]];
    nodes[`${own}.back`] = ['NextIteration', [next]];
    nodes[`${own}.end`] = ['Exit', [`${own}.switch`]];
  }
  for (const [constant, from] of Object.entries(constants))
    nodes[`${name}.${constant}`] = ['Enter', [from], { frame_name: name, is_constant: true }];
  return nodes;
}

async function answers(graph: GraphLiteral, wanted: (n: number) => number[]): Promise<void> {
  await loadGraph(runner, graph);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: -2, max: 7 }), async (n) => {
      const answer = await runLoaded(runner, graph, { n: scalar(n) });
      expect(answer.flatMap(numbersOf)).toEqual(wanted(n));
    }),
    { numRuns: 10 },
  );
}

const inputs = { n: { dtype: 'INT32' as const, shape: [] } };

describe('control flow of TensorFlow 1', () => {
  it('loops in loops', async () => {
    // Sums i·j for all i, j below n.
    const graph: GraphLiteral = {
      inputs,
      nodes: {
        zero: int(0),
        one: int(1),
        ...frame(
          'outer',
          { i: { first: 'zero', next: 'i.next' }, sum: { first: 'zero', next: 'inner.sum.end' } },
          { n: 'n' },
          'i.less',
        ),
        'i.less': ['Less', ['outer.i.merge', 'outer.n']],
        'i.one': int(1),
        'i.next': ['Add', ['outer.i', 'i.one']],
        'j.zero': int(0),
        ...frame(
          'inner',
          { j: { first: 'j.zero', next: 'j.next' }, sum: { first: 'outer.sum', next: 'sum.next' } },
          { n: 'outer.n', i: 'outer.i' },
          'j.less',
        ),
        'j.less': ['Less', ['inner.j.merge', 'inner.n']],
        'j.one': int(1),
        'j.next': ['Add', ['inner.j', 'j.one']],
        product: ['Mul', ['inner.i', 'inner.j']],
        'sum.next': ['Add', ['inner.sum', 'product']],
      },
      outputs: ['outer.sum.end', 'outer.i.end'],
    };
    await answers(graph, (n) => {
      const most = Math.max(0, n);
      return [((most * (most - 1)) / 2) ** 2, most];
    });
  });

  it('branches in branches', async () => {
    // n > 0 ? (n > 3 ? n · 10 : n + 100) : −1
    const graph: GraphLiteral = {
      inputs,
      nodes: {
        zero: int(0),
        three: int(3),
        p: ['Greater', ['n', 'zero']],
        'p.id': ['Identity', ['p']],
        n1: ['Switch', ['n', 'p.id']],
        three1: ['Switch', ['three', 'p.id']],
        q: ['Greater', ['n1:1', 'three1:1']],
        n2: ['Switch', ['n1:1', 'q']],
        ten: int(10),
        hundred: int(100),
        times: ['Mul', ['n2:1', 'ten']],
        plus: ['Add', ['n2', 'hundred']],
        inner: ['Merge', ['plus', 'times'], { N: 2 }],
        minus: int(-1),
        y: ['Merge', ['minus', 'inner'], { N: 2 }],
      },
      outputs: ['y', 'y:1'],
    };
    await answers(graph, (n) => [n > 0 ? (n > 3 ? n * 10 : n + 100) : -1, n > 0 ? 1 : 0]);
  });

  it('branches in loops, and lists', async () => {
    // The list of i² for even i and −i for odd ones.
    const flow = { first: 'array:1', next: 'written' };
    const graph: GraphLiteral = {
      inputs,
      nodes: {
        zero: int(0),
        most: ['Maximum', ['n', 'zero']],
        array: [
          'TensorArrayV3',
          ['most'],
          { dtype: { type: 'INT32' }, element_shape: { shape: [] } },
        ],
        ...frame(
          'while',
          { i: { first: 'zero', next: 'next' }, flow },
          { n: 'n', array: 'array' },
          'less',
        ),
        less: ['Less', ['while.i.merge', 'while.n']],
        one: int(1),
        two: int(2),
        next: ['Add', ['while.i', 'one']],
        rest: ['FloorMod', ['while.i', 'two']],
        even: ['Equal', ['rest', 'none']],
        none: int(0),
        i1: ['Switch', ['while.i', 'even']],
        square: ['Mul', ['i1:1', 'i1:1']],
        minus: ['Neg', ['i1']],
        value: ['Merge', ['minus', 'square'], { N: 2 }],
        written: ['TensorArrayWriteV3', ['while.array', 'while.i', 'value', 'while.flow']],
        size: ['TensorArraySizeV3', ['array', 'while.flow.end']],
        start: int(0),
        step: int(1),
        places: ['Range', ['start', 'size', 'step']],
        all: [
          'TensorArrayGatherV3',
          ['array', 'places', 'while.flow.end'],
          { dtype: { type: 'INT32' } },
        ],
      },
      outputs: ['all'],
    };
    await answers(graph, (n) =>
      Array.from({ length: Math.max(0, n) }, (_, i) => (i % 2 === 0 ? i * i : -i)),
    );
  });

  it('is refused by name where it is no branch or loop', () => {
    const refusal = (nodes: Record<string, NodeLiteral>, output: string) => () =>
      lowered({ inputs, nodes, outputs: [output] });
    const two: Record<string, NodeLiteral> = {
      zero: int(0),
      one: int(1),
      p: ['Greater', ['n', 'zero']],
      q: ['Greater', ['n', 'one']],
      a: ['Switch', ['n', 'p']],
      b: ['Switch', ['n', 'q']],
      y: ['Merge', ['a', 'b:1'], { N: 2 }],
      same: ['Merge', ['a', 'a'], { N: 2 }],
    };
    expect(refusal(two, 'y')).toThrow(/Merge \(node "y"\).*do not depend on one condition/);
    const { y: _, ...rest } = two;
    expect(refusal(rest, 'same')).toThrow(/Merge \(node "same"\).*same side/);
    expect(refusal({ x: ['Enter', ['n'], { frame_name: 'f' }] }, 'x')).toThrow(
      /Enter \(node "x"\).*no loop/,
    );
    expect(refusal({ p: int(1), x: ['Switch', ['n', 'p']] }, 'x')).toThrow(/Switch \(node "x"\)/);
  });
});
