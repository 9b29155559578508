import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { WeightsWriter, loadProgram, type Program, type Tensor } from './index.js';

interface Trees {
  features: number;
  columns: number;
  missingGreatest: boolean[];
  trees: { splits: { feature: number; border: number }[]; leaves: number[] }[];
}

const EDGES = [NaN, Infinity, -Infinity, 0, -0, 1e-40, 3.4e38, -3.4e38, 1, 2];

const float = fc.oneof(fc.integer({ min: -20, max: 20 }), fc.float({ noNaN: true }));
const border = fc.oneof(
  fc.integer({ min: -20, max: 20 }),
  fc.float({ noNaN: true, noDefaultInfinity: true }),
);

/** Trees of all depths, some with more borders in a feature than a byte counts. */
const someTrees: fc.Arbitrary<Trees> = fc
  .record({
    features: fc.integer({ min: 1, max: 5 }),
    columns: fc.constantFrom(1, 1, 2, 3),
    depths: fc.array(fc.oneof(fc.nat(8), fc.nat(8), fc.integer({ min: 9, max: 11 })), {
      maxLength: 9,
    }),
    wide: fc.boolean(),
    seed: fc.nat(),
    borders: fc.array(border, { minLength: 1, maxLength: 40 }),
    missingGreatest: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
  })
  .map(({ features, columns, depths, wide, seed, borders, missingGreatest }) => {
    const next = numbers(seed);
    const widths = wide ? [...depths, ...Array.from({ length: 90 }, () => 6)] : depths;
    const trees = widths.map((depth) => ({
      splits: Array.from({ length: depth }, () => ({
        feature: wide ? 0 : Math.floor(next() * features),
        border: wide
          ? Math.fround(next() * 20)
          : Math.fround(borders[Math.floor(next() * borders.length)] ?? 0),
      })),
      leaves: Array.from({ length: 2 ** depth * columns }, () => next() - 0.5),
    }));
    return { features, columns, missingGreatest: missingGreatest.slice(0, features), trees };
  });

/** Numbers from 0 to 1 (Park and Miller). */
function numbers(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

function programOf({ features, columns, missingGreatest, trees }: Trees): {
  program: Program;
  weights: Uint8Array;
} {
  const writer = new WeightsWriter();
  const splits = trees.flatMap((tree) => tree.splits);
  const starts = [0];
  for (const tree of trees) starts.push((starts.at(-1) ?? 0) + tree.splits.length);
  const values = trees.flatMap((tree) => tree.leaves);
  const refs = {
    starts: writer.add('INT32', Int32Array.from(starts)),
    features: writer.add(
      'INT32',
      Int32Array.from(splits, (split) => split.feature),
    ),
    borders: writer.add(
      'FP32',
      Float32Array.from(splits, (split) => split.border),
    ),
    missingGreatest: writer.add('UINT8', Uint8Array.from(missingGreatest, Number)),
    values: writer.add('FP64', Float64Array.from(values), [values.length / columns, columns]),
  };
  const weights = writer.toBytes();
  const program: Program = {
    schemaVersion: 1,
    importer: 'test@1',
    format: 'test',
    signature: {
      inputs: [{ name: 'X', dtype: 'FP32', shape: [-1, features] }],
      outputs: [
        { name: 'scores', dtype: 'FP64', shape: [-1] },
        { name: 'leaf', dtype: 'INT32', shape: [-1, trees.length] },
      ],
    },
    binding: { kind: 'table', matrix: { dtype: 'FP32', columns: features } },
    rowwise: true,
    nodes: [
      {
        kind: 'oblivious',
        inputs: ['X'],
        outputs: ['scores', 'leaf'],
        forest: { features, trees: trees.length, columns, weights: refs },
      },
    ],
    weights: { size: weights.byteLength },
    files: [],
  };
  return { program, weights };
}

/** What the trees mean, one row at a time. */
function naive({ features, columns, missingGreatest, trees }: Trees, data: Float32Array) {
  const scores: number[] = [];
  const leaves: number[] = [];
  for (let from = 0; from < data.length; from += features) {
    const sums = new Float64Array(columns);
    for (const tree of trees) {
      let leaf = 0;
      for (const [bit, split] of tree.splits.entries()) {
        const x = data[from + split.feature] ?? NaN;
        const greater = Number.isNaN(x) ? missingGreatest[split.feature] : x > split.border;
        if (greater) leaf |= 1 << bit;
      }
      leaves.push(leaf);
      for (let i = 0; i < columns; i++) {
        sums[i] = (sums[i] ?? 0) + (tree.leaves[leaf * columns + i] ?? NaN);
      }
    }
    scores.push(...sums);
  }
  return { scores, leaves };
}

describe('oblivious trees', () => {
  it('answer what a naive evaluation does, for any number of rows', async () => {
    const rows = fc.constantFrom(0, 1, 2, 15, 16, 17, 100, 127, 128, 129, 300);
    await fc.assert(
      fc.asyncProperty(someTrees, rows, fc.array(float, { minLength: 40 }), fc.nat(), run),
      { numRuns: 120 },
    );

    async function run(trees: Trees, count: number, values: number[], seed: number) {
      const { program, weights } = programOf(trees);
      const runtime = await loadProgram(JSON.parse(JSON.stringify(program)), weights);
      const next = numbers(seed);
      const borders = trees.trees.flatMap((tree) => tree.splits.map((split) => split.border));
      const pool = [...values, ...EDGES, ...borders.slice(0, 200)];
      const data = Float32Array.from(
        { length: count * trees.features },
        () => pool[Math.floor(next() * pool.length)] ?? NaN,
      );
      const X: Tensor = { name: 'X', dtype: 'FP32', shape: [count, trees.features], data };
      const [scores, leaf] = await runtime.run([X], ['scores', 'leaf']);
      const expected = naive(trees, data);
      expect([...(scores?.data ?? [])]).toEqual(expected.scores);
      expect([...(leaf?.data ?? [])]).toEqual(expected.leaves);
    }
  }, 120_000);
});

describe('oblivious trees that are none', () => {
  const trees: Trees = {
    features: 2,
    columns: 1,
    missingGreatest: [false, true],
    trees: [{ splits: [{ feature: 1, border: 0.5 }], leaves: [1, 2] }],
  };

  it.each([
    ['a feature that is not there', { features: [2] }, /features.*no feature 2/],
    ['a border that is no number', { borders: [NaN] }, /borders.*not a number/],
    ['starts that do not end', { starts: [0, 2] }, /starts/],
    ['too many splits', { starts: [0, 17] }, /starts/],
  ])('%s is refused', async (_, change, message) => {
    const { program, weights } = programOf(trees);
    const [node] = program.nodes;
    if (node?.kind !== 'oblivious') throw new Error('the node is missing');
    const changed = weights.slice();
    for (const [name, numbersOf] of Object.entries(change)) {
      const ref = Object.entries(node.forest.weights).find(([known]) => known === name)?.[1];
      const view = new DataView(changed.buffer, ref?.offset ?? 0);
      for (const [i, number] of numbersOf.entries()) {
        if (name === 'borders') view.setFloat32(4 * i, number, true);
        else view.setInt32(4 * i, number, true);
      }
    }
    await expect(loadProgram(JSON.parse(JSON.stringify(program)), changed)).rejects.toThrow(
      message,
    );
  });

  it('a weight of another type is refused, with where it is', async () => {
    const { program, weights } = programOf(trees);
    const document = JSON.parse(
      JSON.stringify(program).replace('"FP32","shape":[1]', '"UINT32","shape":[1]'),
    );
    await expect(loadProgram(document, weights)).rejects.toMatchObject({
      pointer: '/nodes/0/forest/weights/borders',
    });
  });
});
