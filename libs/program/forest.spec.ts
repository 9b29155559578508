import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  loadProgram,
  NodeFlag,
  WeightsWriter,
  type Forest,
  type Program,
  type Runtime,
  type Tensor,
} from '#program';

/** A tree as one would draw it. */
type Tree = Leaf | Test;
interface Leaf {
  leaf: number[];
  number: number;
}
interface Test {
  feature: number;
  test: number | number[];
  flags: number;
  left: Tree;
  right: Tree;
}

interface Case {
  trees: Tree[];
  treeColumns: number[];
  base: number[];
  columns: number;
  vector: boolean;
  comparison: '<' | '<=';
  inputDtype: 'FP32' | 'FP64';
  sumDtype: 'FP32' | 'FP64';
  category: 'truncate' | 'non-negative';
  zero: number;
  rows: number[][];
}

const FEATURES = 3;
/** Few values, so that rows often lie on a threshold. */
const INTERESTING = [
  0,
  -0,
  1,
  -1,
  0.1,
  Math.fround(0.1),
  1e-36,
  -1e-36,
  1e-35,
  3,
  33,
  64,
  -0.5,
  2 ** 31,
  1e30,
  -1e30,
  5e-324,
  1e308,
];
const value = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...INTERESTING) },
  { weight: 1, arbitrary: fc.double({ noNaN: true }) },
);
const input = fc.oneof(
  { weight: 6, arbitrary: value },
  { weight: 1, arbitrary: fc.constantFrom(NaN, Infinity, -Infinity) },
);
const threshold = fc.oneof(
  { weight: 12, arbitrary: value },
  { weight: 1, arbitrary: fc.constantFrom(Infinity, -Infinity) },
);

function treeOf(width: number, sets: boolean, zeros: boolean): fc.Arbitrary<Tree> {
  return fc.letrec<{ tree: Tree; leaf: Tree; test: Tree }>((tie) => ({
    tree: fc.oneof({ depthSize: 'small', withCrossShrink: true }, tie('leaf'), tie('test')),
    leaf: fc.record({
      leaf: fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), {
        minLength: width,
        maxLength: width,
      }),
      number: fc.nat(1000),
    }),
    test: fc
      .record({
        feature: fc.nat(FEATURES - 1),
        test: sets ? fc.oneof(threshold, fc.uniqueArray(fc.nat(70), { maxLength: 6 })) : threshold,
        flags: fc.constantFrom(0, 1, ...(zeros ? [2, 3] : [])),
        left: tie('tree'),
        right: tie('tree'),
      })
      .map((node) => ({
        ...node,
        flags: node.flags | (Array.isArray(node.test) ? NodeFlag.categorical : 0),
      })),
  })).tree;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    columns: fc.constantFrom(1, 1, 3),
    vector: fc.boolean(),
    sets: fc.boolean(),
    zeros: fc.boolean(),
    wide: fc.boolean(),
    wideSums: fc.boolean(),
    rowCount: fc.constantFrom(1, 2, 9, 300),
  })
  .chain(({ columns, vector, sets, zeros, wide, wideSums, rowCount }) =>
    fc.record({
      columns: fc.constant(columns),
      vector: fc.constant(vector),
      trees: fc.array(treeOf(vector ? columns : 1, sets, zeros), { minLength: 0, maxLength: 20 }),
      treeColumns: fc.array(fc.nat(columns - 1), { minLength: 20, maxLength: 20 }),
      base: fc.array(fc.float({ noNaN: true, min: -5, max: 5 }), {
        minLength: columns,
        maxLength: columns,
      }),
      comparison: fc.constantFrom('<' as const, '<=' as const),
      inputDtype: fc.constant(wide ? ('FP64' as const) : ('FP32' as const)),
      sumDtype: fc.constant(wideSums ? ('FP64' as const) : ('FP32' as const)),
      category: fc.constantFrom('truncate' as const, 'non-negative' as const),
      zero: fc.constantFrom(0, Math.fround(1e-35)),
      rows: fc
        .array(fc.array(input, { minLength: FEATURES, maxLength: FEATURES }), {
          minLength: 1,
          maxLength: 12,
        })
        .map((rows) => Array.from({ length: rowCount }, (_, i) => rows[i % rows.length] ?? [])),
    }),
  );

/** What the type `Forest` promises, word by word. */
function reach(tree: Tree, row: number[], given: Case): Leaf {
  if ('leaf' in tree) return tree;
  const x = row[tree.feature] ?? NaN;
  const missing =
    Number.isNaN(x) || (tree.flags & NodeFlag.zeroMissing && Math.abs(x) <= given.zero);
  const left = missing
    ? (tree.flags & NodeFlag.missingLeft) !== 0
    : Array.isArray(tree.test)
      ? (given.category === 'truncate' || x >= 0) && tree.test.includes(Math.trunc(x) + 0)
      : given.comparison === '<'
        ? x < tree.test
        : x <= tree.test;
  return reach(left ? tree.left : tree.right, row, given);
}

function expected(given: Case): { scores: number[]; leaf: number[] } {
  const round = given.sumDtype === 'FP32' ? Math.fround : (x: number) => x;
  const scores: number[] = [];
  const leaf: number[] = [];
  for (const raw of given.rows) {
    const row = given.inputDtype === 'FP32' ? raw.map(Math.fround) : raw;
    const sums = [...given.base];
    for (const [t, tree] of given.trees.entries()) {
      const reached = reach(tree, row, given);
      leaf.push(reached.number);
      for (const [i, add] of reached.leaf.entries()) {
        const column = given.vector ? i : (given.treeColumns[t] ?? 0);
        sums[column] = round((sums[column] ?? 0) + add);
      }
    }
    scores.push(...sums);
  }
  return { scores, leaf };
}

/** The same trees as a program. */
function programOf(given: Case): { program: Program; weights: Uint8Array } {
  const starts = [0];
  const nodes = {
    features: [] as number[],
    thresholds: [] as number[],
    left: [] as number[],
    right: [] as number[],
    flags: [] as number[],
  };
  const values: number[] = [];
  const setStarts = [0];
  const setWords: number[] = [];
  const width = given.vector ? given.columns : 1;
  const addSet = (members: number[]) => {
    const words = Array.from(
      { length: members.length ? (Math.max(...members) >> 5) + 1 : 0 },
      () => 0,
    );
    for (const member of members)
      words[member >> 5] = (words[member >> 5] ?? 0) | (1 << (member & 31));
    setWords.push(...words);
    setStarts.push(setWords.length);
    return setStarts.length - 2;
  };
  const add = (tree: Tree, start: number): number => {
    const at = nodes.features.length;
    if ('leaf' in tree) {
      nodes.features.push(-1);
      nodes.thresholds.push(0);
      nodes.left.push(values.length / width);
      nodes.right.push(tree.number);
      nodes.flags.push(0);
      values.push(...tree.leaf);
      return at - start;
    }
    nodes.features.push(tree.feature);
    nodes.thresholds.push(Array.isArray(tree.test) ? addSet(tree.test) : tree.test);
    nodes.flags.push(tree.flags);
    nodes.left.push(0);
    nodes.right.push(0);
    nodes.left[at] = add(tree.left, start);
    nodes.right[at] = add(tree.right, start);
    return at - start;
  };
  for (const tree of given.trees) {
    add(tree, nodes.features.length);
    starts.push(nodes.features.length);
  }
  const writer = new WeightsWriter();
  const sums = (data: number[], shape: number[]) =>
    writer.add('FP32', Float32Array.from(data), shape);
  const int32 = (data: number[]) => writer.add('INT32', Int32Array.from(data));
  const forest: Forest = {
    features: FEATURES,
    trees: given.trees.length,
    columns: given.columns,
    comparison: given.comparison,
    inputDtype: given.inputDtype,
    sumDtype: given.sumDtype,
    category: given.category,
    zero: given.zero,
    weights: {
      starts: int32(starts),
      features: int32(nodes.features),
      thresholds: writer.add('FP64', Float64Array.from(nodes.thresholds)),
      left: int32(nodes.left),
      right: int32(nodes.right),
      flags: writer.add('UINT8', Uint8Array.from(nodes.flags)),
      values: sums(values, [values.length / width, width]),
      columns: int32(given.treeColumns.slice(0, given.trees.length)),
      base: sums(given.base, [given.columns]),
      setStarts: writer.add('UINT32', Uint32Array.from(setStarts)),
      setWords: writer.add('UINT32', Uint32Array.from(setWords)),
    },
  };
  const weights = writer.toBytes();
  const program: Program = {
    schemaVersion: 1,
    importer: 'test@1',
    format: 'test',
    signature: {
      inputs: [{ name: 'X', dtype: given.inputDtype, shape: [-1, FEATURES] }],
      outputs: [
        {
          name: 'scores',
          dtype: given.sumDtype,
          shape: given.columns === 1 ? [-1] : [-1, given.columns],
        },
        { name: 'leaf', dtype: 'INT32', shape: [-1, given.trees.length] },
      ],
    },
    binding: { kind: 'table', matrix: { dtype: given.inputDtype, columns: FEATURES } },
    rowwise: true,
    nodes: [{ kind: 'forest', inputs: ['X'], outputs: ['scores', 'leaf'], forest }],
    weights: { size: weights.byteLength },
    files: [],
  };
  return { program: JSON.parse(JSON.stringify(program)), weights };
}

function matrixOf(given: Case): Tensor {
  const Data = given.inputDtype === 'FP32' ? Float32Array : Float64Array;
  return {
    name: 'X',
    dtype: given.inputDtype,
    shape: [given.rows.length, FEATURES],
    data: new Data(given.rows.flat()),
  };
}

async function run(runtime: Runtime, given: Case): Promise<{ scores: number[]; leaf: number[] }> {
  const [scores, leaf] = await runtime.run([matrixOf(given)], ['scores', 'leaf']);
  return {
    scores: Array.from(scores?.data ?? [], Number),
    leaf: Array.from(leaf?.data ?? [], Number),
  };
}

describe('forest kernel', () => {
  it('answers as a naive walk does, for any trees and rows', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        const { program, weights } = programOf(given);
        const runtime = await loadProgram(program, weights);
        expect(await run(runtime, given)).toEqual(expected(given));
      }),
      { numRuns: 400 },
    );
  });

  it('refuses what are not trees', async () => {
    const given = sampleCase();
    const breakAt = async (
      name: 'left' | 'right' | 'features' | 'starts',
      index: number,
      to: number,
    ) => {
      const { program, weights } = programOf(given);
      const [node] = program.nodes;
      if (node?.kind !== 'forest') throw new Error('the program has no forest');
      new DataView(weights.buffer).setInt32(node.forest.weights[name].offset + 4 * index, to, true);
      await loadProgram(program, weights);
    };
    await expect(breakAt('left', 0, 0)).rejects.toThrow('two parents');
    await expect(breakAt('right', 0, 1)).rejects.toThrow('two parents');
    await expect(breakAt('right', 0, 3)).rejects.toThrow('outside');
    await expect(breakAt('right', 0, -1)).rejects.toThrow('outside');
    await expect(breakAt('left', 1, 7)).rejects.toThrow('no value 7');
    await expect(breakAt('features', 0, FEATURES)).rejects.toThrow('no feature 3');
    await expect(breakAt('starts', 1, 4)).rejects.toThrow('number of nodes');
  });
});

function sampleCase(): Case {
  const leaf = (number: number): Leaf => ({ leaf: [number], number });
  return {
    trees: [{ feature: 0, test: 1, flags: 0, left: leaf(1), right: leaf(2) }],
    treeColumns: [0],
    base: [0],
    columns: 1,
    vector: false,
    comparison: '<',
    inputDtype: 'FP32',
    sumDtype: 'FP32',
    category: 'truncate',
    zero: 0,
    rows: [[0, 0, 0]],
  };
}
