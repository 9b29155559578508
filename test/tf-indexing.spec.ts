import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
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
import type { TensorLiteral } from './support/tf-graphs.js';

const runner = sharedRunner();

const expectOp = (given: OpCase, wanted: tf.Tensor) => expectLikeTfjs(runner, given, wanted);

const int = (shape: number[], data: number[]) => tensor('INT32', shape, data);

describe('strided slices', () => {
  it('are those of TensorFlow.js with all masks', async () => {
    const bound = fc.integer({ min: -6, max: 6 });
    const entry = fc.record({
      begin: bound,
      end: bound,
      stride: fc.constantFrom(1, 2, -1, -2),
      kind: fc.constantFrom('range', 'range', 'range', 'shrink', 'new'),
      beginMasked: fc.boolean(),
      endMasked: fc.boolean(),
    });
    const dynamic = fc.boolean();
    const all = fc.record({
      entries: fc.array(entry, { minLength: 1, maxLength: 4 }),
      ellipsis: fc.option(fc.nat(3)),
      dynamic,
    });
    await fc.assert(
      fc.asyncProperty(all, async ({ entries, ellipsis, dynamic: isDynamic }) => {
        const sizes = [5, 4, 6];
        const x = random(sizes, 1);
        const at = ellipsis !== null && ellipsis < entries.length ? ellipsis : -1;
        const taken = entries.filter(({ kind }, i) => kind !== 'new' && i !== at).length;
        fc.pre(taken <= 3);
        const bit = (test: (e: (typeof entries)[number], i: number) => boolean) =>
          entries.reduce((mask, e, i) => mask | (test(e, i) ? 1 << i : 0), 0);
        const shrinks = (e: (typeof entries)[number], i: number) => e.kind === 'shrink' && i !== at;
        const masks = {
          begin_mask: bit((e, i) => e.beginMasked && !shrinks(e, i)),
          end_mask: bit((e) => e.endMasked),
          ellipsis_mask: at < 0 ? 0 : 1 << at,
          new_axis_mask: bit((e, i) => e.kind === 'new' && i !== at),
          shrink_axis_mask: bit(shrinks),
        };
        // A single place must be one of the dimension.
        const begin = entries.map((e, i) =>
          shrinks(e, i) ? Math.max(-4, Math.min(3, e.begin)) : e.begin,
        );
        const strides = entries.map((e, i) => (shrinks(e, i) ? 1 : e.stride));
        const end = entries.map((e) => e.end);
        const wanted = slicedByHand(x, { begin, end, strides, ...masks });
        const n = [entries.length];
        const inputs = [x, int(n, begin), int(n, end), int(n, strides)];
        const constants = isDynamic ? [3] : [1, 2, 3];
        const shapes = [[-1, 4, -1], n, n, n];
        const given = { op: 'StridedSlice', inputs, constants, attributes: masks, shapes };
        expectTensor(await answerOf(runner, given), wanted);
      }),
      { numRuns: 150 },
    );
  });

  it('Slice takes what is left where a size is −1', async () => {
    const x = random([4, 5], 2);
    const inputs = [x, int([2], [1, 2]), int([2], [-1, 2])];
    for (const constants of [[1, 2], [1], []])
      await expectOp({ op: 'Slice', inputs, constants }, tf.slice(reference(x), [1, 2], [3, 2]));
  });
});

interface Masks {
  begin: number[];
  end: number[];
  strides: number[];
  begin_mask: number;
  end_mask: number;
  ellipsis_mask: number;
  new_axis_mask: number;
  shrink_axis_mask: number;
}

/** A strided slice as numpy's documentation says it, place by place. */
function slicedByHand({ shape, data }: TensorLiteral, masks: Masks) {
  const set = (mask: number, i: number) => ((mask >> i) & 1) === 1;
  const isEllipsis = (i: number) => set(masks.ellipsis_mask, i);
  const isNew = (i: number) => set(masks.new_axis_mask, i);
  const taken = masks.begin.filter((_, i) => !isEllipsis(i) && !isNew(i)).length;
  const lists: { places: number[]; keeps: boolean }[] = [];
  const out: (number | 'new')[] = [];
  const whole = (axis: number) => Array.from({ length: shape[axis] ?? 0 }, (_, i) => i);
  const take = (places: number[], keeps: boolean) => {
    if (keeps) out.push(lists.length);
    lists.push({ places, keeps });
  };
  masks.begin.forEach((begin, i) => {
    if (isEllipsis(i)) {
      for (let rest = shape.length - taken; rest > 0; rest--) take(whole(lists.length), true);
      return;
    }
    if (isNew(i)) {
      out.push('new');
      return;
    }
    const size = shape[lists.length] ?? 0;
    if (set(masks.shrink_axis_mask, i)) {
      take([begin < 0 ? begin + size : begin], false);
      return;
    }
    const step = masks.strides[i] ?? 1;
    const low = step > 0 ? 0 : -1;
    const high = step > 0 ? size : size - 1;
    const within = (place: number) =>
      Math.max(low, Math.min(high, place < 0 ? place + size : place));
    const start = set(masks.begin_mask, i) ? (step > 0 ? 0 : size - 1) : within(begin);
    const end = set(masks.end_mask, i) ? (step > 0 ? size : -1) : within(masks.end[i] ?? 0);
    const places: number[] = [];
    for (let place = start; step > 0 ? place < end : place > end; place += step) places.push(place);
    take(places, true);
  });
  while (lists.length < shape.length) take(whole(lists.length), true);
  let elements = [0];
  lists.forEach(({ places }, axis) => {
    elements = elements.flatMap((at) => places.map((place) => at * (shape[axis] ?? 1) + place));
  });
  return {
    shape: out.map((axis) => (axis === 'new' ? 1 : (lists[axis]?.places.length ?? 0))),
    data: elements.map((at) => Number(data[at])),
  };
}

describe('shapes', () => {
  it('are split, stacked, turned and tiled', async () => {
    const x = random([4, 6], 3);
    const given = reference(x);
    const parts = await runOp(runner, {
      op: 'SplitV',
      inputs: [x, int([3], [1, -1, 2]), int([], [1])],
      constants: [1, 2],
      outputs: 3,
      shapes: [[-1, -1]],
    });
    for (const [i, part] of tf.split(given, [1, 3, 2], 1).entries()) {
      const got = parts[i];
      if (!got) throw new Error('no part');
      expectTensor(got, { shape: part.shape, data: await part.data() });
    }
    const halves = await runOp(runner, {
      op: 'Split',
      inputs: [int([], [0]), x],
      constants: [0],
      attributes: { num_split: 2 },
      outputs: 2,
      shapes: [[], [-1, -1]],
    });
    expect(halves.map(({ shape }) => shape)).toEqual([
      [2, 6],
      [2, 6],
    ]);
    const pack = { op: 'Pack', inputs: [x, x], attributes: { axis: 1 } };
    await expectOp(pack, tf.stack([given, given], 1));
    const turn = { op: 'ReverseV2', inputs: [x, int([2], [0, -1])], constants: [1] };
    await expectOp(turn, tf.reverse(given));
    const tile = { op: 'Tile', inputs: [x, int([2], [2, 3])] };
    await expectOp(tile, tf.tile(given, [2, 3]));
    const roll = { op: 'Roll', inputs: [x, int([2], [-5, 8]), int([2], [0, 1])], constants: [2] };
    const rolled = tf.concat([tf.slice(given, [1, 0], [3, 6]), tf.slice(given, [0, 0], [1, 6])]);
    const right = tf.concat(
      [tf.slice(rolled, [0, 4], [4, 2]), tf.slice(rolled, [0, 0], [4, 4])],
      1,
    );
    await expectOp(roll, right);
  });

  it('InvertPermutation', async () => {
    for (const constants of [[], [0]]) {
      const inputs = [int([4], [2, 0, 3, 1])];
      const got = await answerOf(runner, { op: 'InvertPermutation', inputs, constants });
      expect(elementsOf(got)).toEqual([1, 3, 0, 2]);
    }
  });
});

describe('reductions', () => {
  const rules: Record<string, (x: tf.Tensor, axes: number[], keep: boolean) => tf.Tensor> = {
    Sum: tf.sum,
    Mean: tf.mean,
    Max: tf.max,
    Min: tf.min,
    Prod: tf.prod,
  };
  for (const [op, rule] of Object.entries(rules))
    it(`${op} along axes`, async () => {
      const x = random([3, 4, 2], 5);
      for (const axes of [[0], [1, -1], [0, 1, 2], [-2]])
        for (const keep of [true, false])
          for (const constants of [[1], []])
            await expectOp(
              {
                op,
                inputs: [x, int([axes.length], axes)],
                constants,
                attributes: { keep_dims: keep },
              },
              rule(reference(x), axes, keep),
            );
    });

  it('of nothing give what they start with', async () => {
    const x = tensor('FP32', [0, 2], []);
    for (const [op, value] of [
      ['Sum', 0],
      ['Prod', 1],
      ['Max', -Infinity],
      ['Min', Infinity],
    ] as const) {
      const given = { op, inputs: [x, int([1], [0])], constants: [1], shapes: [[-1, 2]] };
      expect([op, elementsOf(await answerOf(runner, given))]).toEqual([op, [value, value]]);
    }
    const flags = tensor('BOOL', [0, 2], []);
    for (const [op, value] of [
      ['All', 1],
      ['Any', 0],
    ] as const) {
      const given = { op, inputs: [flags, int([1], [0])], constants: [1], shapes: [[-1, 2]] };
      expect([op, elementsOf(await answerOf(runner, given))]).toEqual([op, [value, value]]);
    }
  });

  it('of no rows are no rows', async () => {
    const none = { inputs: [tensor('FP32', [0, 3], []), int([1], [1])], constants: [1] };
    for (const op of ['Sum', 'Mean', 'Max', 'Min', 'Prod']) {
      const got = await answerOf(runner, { op, ...none, shapes: [[-1, 3]] });
      expect([op, got.shape]).toEqual([op, [0]]);
    }
    for (const op of ['Softmax', 'Relu', 'Softplus', 'Selu']) {
      const x = [tensor('FP32', [0, 3], [])];
      const got = await answerOf(runner, { op, inputs: x, shapes: [[-1, 3]] });
      expect([op, got.shape]).toEqual([op, [0, 3]]);
    }
    for (const op of ['ArgMax', 'ArgMin']) {
      const inputs = [tensor('FP32', [0, 3], []), int([], [1])];
      const got = await answerOf(runner, { op, inputs, constants: [1], shapes: [[-1, -1]] });
      expect([op, got.shape]).toEqual([op, [0]]);
    }
  });

  it('of integers: sums wrap around, means are cut towards zero', async () => {
    const sum = { op: 'Sum', inputs: [tensor('INT8', [3], [100, 100, 1]), int([], [0])] };
    expect(elementsOf(await answerOf(runner, { ...sum, constants: [1] }))).toEqual([-55]);
    const mean = { op: 'Mean', inputs: [int([2, 2], [-3, 0, 7, 0]), int([], [1])] };
    expect(elementsOf(await answerOf(runner, { ...mean, constants: [1] }))).toEqual([-1, 3]);
  });

  it('the first of the best, in all dtypes', async () => {
    for (const dtype of ['FP32', 'FP64', 'INT32', 'INT64', 'UINT8', 'INT16'] as const) {
      const inputs = [tensor(dtype, [2, 4], [1, 3, 3, 0, 2, 2, 0, 0]), int([], [1])];
      const most = await answerOf(runner, { op: 'ArgMax', inputs, constants: [1] });
      expect([most.dtype, elementsOf(most)]).toEqual(['INT64', [1, 0]]);
      const attributes = { output_type: { type: 'INT32' as const } };
      const least = await answerOf(runner, { op: 'ArgMin', inputs, constants: [1], attributes });
      expect([least.dtype, elementsOf(least)]).toEqual(['INT32', [3, 2]]);
      const k = int([], [3]);
      const [values, places] = await runOp(runner, {
        op: 'TopKV2',
        inputs: [inputs[0] ?? k, k],
        constants: [1],
        outputs: 2,
      });
      if (!values || !places) throw new Error('no answer');
      expect([values.dtype, elementsOf(values)]).toEqual([dtype, [3, 3, 1, 2, 2, 0]]);
      expect([places.dtype, elementsOf(places)]).toEqual(['INT32', [1, 2, 0, 0, 1, 2]]);
    }
  });

  it('cumulative sums and products', async () => {
    const x = random([3, 5], 6);
    for (const exclusive of [true, false])
      for (const reverse of [true, false]) {
        const given = {
          inputs: [x, int([], [1])],
          constants: [1],
          attributes: { exclusive, reverse },
        };
        await expectOp({ op: 'Cumsum', ...given }, tf.cumsum(reference(x), 1, exclusive, reverse));
        const got = await answerOf(runner, { op: 'Cumprod', ...given, shapes: [[-1, 5]] });
        const wanted = tf.cumprod(reference(x), 1, exclusive, reverse);
        expectTensor(got, { shape: wanted.shape, data: await wanted.data() });
      }
  });
});
