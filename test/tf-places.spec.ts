import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { sharedRunner } from './support/program-runner.js';
import { expectLikeTfjs, reference } from './support/tfjs-reference.js';
import {
  answerOf,
  elementsOf,
  expectTensor,
  type OpCase,
  random,
  runOp,
  tensor,
} from './support/tf-op-checks.js';

const runner = sharedRunner();

const expectOp = (given: OpCase, wanted: tf.Tensor) => expectLikeTfjs(runner, given, wanted);

const int = (shape: number[], data: number[]) => tensor('INT32', shape, data);

describe('places', () => {
  it('Gather with batches', async () => {
    const x = random([2, 3, 4, 5], 7);
    const places = int([2, 3], [3, 0, 1, 2, 2, 0]);
    for (const axis of [0, 1, 2, 3]) {
      const few = int([2, 3], [1, 0, 1, 0, 1, 0]);
      const given = { op: 'GatherV2', inputs: [x, few, int([], [axis])], constants: [2] };
      await expectOp(given, tf.gather(reference(x), reference(few) as tf.Tensor2D, axis));
    }
    for (const axis of [1, 2, 3]) {
      const within = axis === 1 ? int([2, 3], [2, 0, 1, 2, 2, 0]) : places;
      const given = {
        op: 'GatherV2',
        inputs: [x, within, int([], [axis])],
        constants: [2],
        attributes: { batch_dims: 1 },
      };
      const rows = [0, 1].map((row) =>
        tf.gather(
          tf.squeeze(tf.slice(reference(x), [row, 0, 0, 0], [1, 3, 4, 5]), [0]),
          tf.squeeze(tf.slice(reference(within), [row, 0], [1, 3]), [0]) as tf.Tensor1D,
          axis - 1,
        ),
      );
      await expectOp(given, tf.stack(rows));
    }
  });

  it('refuses places that are not there', async () => {
    for (const place of [-1, 3]) {
      const inputs = [random([3], 1), int([1], [place]), int([], [0])];
      await expect(answerOf(runner, { op: 'GatherV2', inputs, constants: [2] })).rejects.toThrow();
      const nd = [random([3], 1), int([1, 1], [place])];
      await expect(answerOf(runner, { op: 'GatherNd', inputs: nd })).rejects.toThrow();
      const scatter = [int([1, 1], [place]), tensor('FP32', [1], [1]), int([1], [3])];
      await expect(answerOf(runner, { op: 'ScatterNd', inputs: scatter })).rejects.toThrow();
    }
  });

  it('GatherNd, ScatterNd and TensorScatter…, where the same places add up', async () => {
    const x = random([3, 4, 2], 8);
    const places = int([3, 2], [0, 1, 2, 3, 0, 1]);
    const rows = random([3, 2], 9);
    const nd = { op: 'GatherNd', inputs: [x, places] };
    const free = [
      [-1, -1, -1],
      [-1, 2],
    ];
    const taken = tf.gatherND(reference(x), tf.tensor([0, 1, 2, 3, 0, 1], [3, 2], 'int32'));
    const got = await answerOf(runner, { ...nd, shapes: free });
    expectTensor(got, { shape: taken.shape, data: await taken.data() });
    const spread = tf.scatterND(
      tf.tensor([0, 1, 2, 3, 0, 1], [3, 2], 'int32'),
      reference(rows),
      [3, 4, 2],
    );
    const scatter = { op: 'ScatterNd', inputs: [places, rows, int([3], [3, 4, 2])] };
    for (const constants of [[2], []]) {
      const sums = await answerOf(runner, { ...scatter, constants });
      expectTensor(sums, { shape: spread.shape, data: await spread.data() });
    }
    const added = await answerOf(runner, {
      op: 'TensorScatterAdd',
      inputs: [x, places, rows],
      shapes: [...free, [-1, 2]],
    });
    const wanted = tf.add(reference(x), spread);
    expectTensor(added, { shape: wanted.shape, data: await wanted.data() });
  });

  it('OneHot is off for what is no place', async () => {
    const places = tensor('INT64', [4], [0, -1, 2, 3]);
    const values = [tensor('FP32', [], [5]), tensor('FP32', [], [-1])];
    const got = await answerOf(runner, {
      op: 'OneHot',
      inputs: [places, int([], [3]), ...values],
      constants: [1, 2, 3],
      attributes: { axis: -1 },
    });
    const rows = [5, -1, -1, -1, -1, -1, -1, -1, 5, -1, -1, -1];
    expectTensor(got, { shape: [4, 3], data: rows });
    const turned = await answerOf(runner, {
      op: 'OneHot',
      inputs: [places, int([], [3]), ...values],
      attributes: { axis: 0 },
    });
    const column = (i: number) => [0, 1, 2, 3].map((row) => rows[row * 3 + i] ?? 0);
    expectTensor(turned, { shape: [3, 4], data: [0, 1, 2].flatMap(column) });
  });

  it('Where lists what is not 0; Unique each element once', async () => {
    const x = tensor('FP32', [2, 3], [0, 1, -2, 0, 0, NaN]);
    const found = await answerOf(runner, { op: 'Where', inputs: [x] });
    expect(elementsOf(found)).toEqual([0, 1, 0, 2, 1, 2]);
    const values = int([6], [3, 1, 3, 2, 1, 3]);
    const answers = await runOp(runner, { op: 'UniqueWithCounts', inputs: [values], outputs: 3 });
    expect(answers.map(elementsOf)).toEqual([
      [3, 1, 2],
      [0, 1, 0, 2, 1, 0],
      [3, 2, 1],
    ]);
    expect(answers.map(({ dtype }) => dtype)).toEqual(['INT32', 'INT32', 'INT32']);
  });

  it('LowerBound and UpperBound', async () => {
    const sorted = tensor('FP32', [1, 4], [-1, 0, 0, 2]);
    const values = tensor('FP32', [1, 5], [-2, 0, 0.5, 2, 3]);
    for (const [op, wanted] of [
      ['LowerBound', [0, 1, 3, 3, 4]],
      ['UpperBound', [0, 3, 3, 4, 4]],
    ] as const)
      expect(elementsOf(await answerOf(runner, { op, inputs: [sorted, values] }))).toEqual(wanted);
  });
});

describe('segments', () => {
  it('are combined; those without elements are what TensorFlow gives', async () => {
    const x = random([5, 2], 11);
    const ids = int([5], [0, 0, 2, 3, 3]);
    const rows = (own: number[]) =>
      own.map((i) => [Number(x.data[i * 2]), Number(x.data[i * 2 + 1])]);
    const groups = [rows([0, 1]), [], rows([2]), rows([3, 4])];
    const combine = (rule: (list: number[]) => number) =>
      groups.flatMap((group) => [0, 1].map((column) => rule(group.map((row) => row[column] ?? 0))));
    const sum = (list: number[]) => list.reduce((total, value) => total + value, 0);
    const rules: Record<string, (list: number[]) => number> = {
      Sum: sum,
      Prod: (list) => list.reduce((product, value) => product * value, 1),
      Max: (list) => (list.length > 0 ? Math.max(...list) : 0),
      Min: (list) => (list.length > 0 ? Math.min(...list) : 0),
      Mean: (list) => (list.length > 0 ? sum(list) / list.length : 0),
    };
    for (const [kind, rule] of Object.entries(rules)) {
      const shapes = [[-1, 2], [-1]];
      const given = { op: `Segment${kind}`, inputs: [x, ids], shapes };
      expectTensor(await answerOf(runner, given), { shape: [4, 2], data: combine(rule) });
      if (kind === 'Mean') continue;
      const most = 3.4028234663852886e38;
      const empty: Record<string, number> = { Max: -most, Min: most };
      const lone = (list: number[]) =>
        list.length === 0 ? (empty[kind] ?? rule(list)) : rule(list);
      const unsorted = {
        op: `UnsortedSegment${kind}`,
        inputs: [x, int([5], [0, 0, 2, 3, 3]), int([], [4])],
        shapes: [[-1, 2], [-1], []],
      };
      expectTensor(await answerOf(runner, unsorted), { shape: [4, 2], data: combine(lone) });
    }
    const dropped = {
      op: 'UnsortedSegmentSum',
      inputs: [int([3], [5, 6, 7]), int([3], [1, -1, 1]), int([], [2])],
    };
    expect(elementsOf(await answerOf(runner, dropped))).toEqual([0, 12]);
  });

  it('counts numbers, by rows too', async () => {
    const none = tensor('INT32', [0], []);
    const x = int([2, 4], [0, 2, 2, 9, 1, 1, 1, 0]);
    const size = int([], [3]);
    const shapes = [[-1, -1], [], [0]];
    const given = { op: 'DenseBincount', inputs: [x, size, none], constants: [1, 2], shapes };
    expect(elementsOf(await answerOf(runner, given))).toEqual([1, 0, 2, 1, 3, 0]);
    const binary = { ...given, attributes: { binary_output: true } };
    expect(elementsOf(await answerOf(runner, binary))).toEqual([1, 0, 1, 1, 1, 0]);
    const weighted = {
      op: 'DenseBincount',
      inputs: [int([3], [0, 2, 2]), size, tensor('FP32', [3], [0.5, 1, 2])],
    };
    expectTensor(await answerOf(runner, weighted), { shape: [3], data: [0.5, 0, 3] });
  });
});
