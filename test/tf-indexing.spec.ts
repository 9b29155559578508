import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { ProgramRunner } from './support/program-runner.js';
import {
  answerOf,
  elementsOf,
  expectTensor,
  noise,
  runOp,
  tensor,
  type OpCase,
} from './support/tf-op-checks.js';
import type { TensorLiteral } from './support/tf-graphs.js';

let runner: ProgramRunner;
beforeAll(() => {
  runner = new ProgramRunner();
});
afterAll(() => runner.close());

const runs = { numRuns: 40 };

function random(shape: number[], seed: number): TensorLiteral {
  const count = shape.reduce((product, size) => product * size, 1);
  return tensor('FP32', shape, noise(count, seed));
}

function reference({ shape, data, dtype }: TensorLiteral): tf.Tensor {
  return tf.tensor(Array.from(data, Number), shape, dtype === 'INT32' ? 'int32' : 'float32');
}

async function expectOp(given: OpCase, wanted: tf.Tensor): Promise<void> {
  const why = JSON.stringify({ ...given, inputs: given.inputs.map(({ shape }) => shape) });
  const free = given.inputs.map(({ shape }) => shape.map(() => -1));
  for (const shapes of [given.inputs.map(({ shape }) => shape), free]) {
    const got = await answerOf(runner, { ...given, shapes });
    expectTensor(got, { shape: wanted.shape, data: await wanted.data() }, { absolute: 1e-5, why });
  }
}

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

describe('products', () => {
  it('MatMul and BatchMatMulV2 with turned factors', async () => {
    for (const [left, right] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const x = random(left ? [3, 2] : [2, 3], 1);
      const y = random(right ? [4, 3] : [3, 4], 2);
      const attributes = { transpose_a: left, transpose_b: right };
      const wanted = tf.matMul(reference(x), reference(y), left, right);
      await expectOp({ op: 'MatMul', inputs: [x, y], attributes }, wanted);
      const batch = random([5, ...x.shape], 3);
      const shared = random([1, ...y.shape], 4);
      await expectOp(
        { op: 'BatchMatMulV2', inputs: [batch, shared], attributes: { adj_x: left, adj_y: right } },
        tf.matMul(reference(batch), reference(shared), left, right),
      );
    }
  });

  it('Einsum is that of TensorFlow.js', async () => {
    const size: Record<string, number> = { a: 2, b: 3, c: 4, d: 5, e: 2 };
    const letters = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(
        letters,
        letters,
        fc.infiniteStream(fc.nat(99)),
        async (one, other, dice) => {
          const both = [...new Set([...one, ...other])];
          const kept = both.filter(() => (dice.next().value ?? 0) % 3 > 0);
          const order = kept
            .map((letter) => ({ letter, at: dice.next().value ?? 0 }))
            .toSorted((a, b) => a.at - b.at)
            .map(({ letter }) => letter);
          const equation = `${one.join('')},${other.join('')}->${order.join('')}`;
          const x = random(
            one.map((letter) => size[letter] ?? 1),
            1,
          );
          const y = random(
            other.map((letter) => size[letter] ?? 1),
            2,
          );
          const wanted = einsumByHand(equation, size, x, y);
          for (const free of [false, true]) {
            const shapes = [x, y].map(({ shape }) => shape.map((n) => (free ? -1 : n)));
            const given = { op: 'Einsum', inputs: [x, y], attributes: { equation }, shapes };
            expectTensor(await answerOf(runner, given), wanted, { absolute: 1e-5, why: equation });
          }
        },
      ),
      runs,
    );
  });

  it('diagonals and bands', async () => {
    const x = random([2, 3, 4], 5);
    const at = (row: number, i: number, j: number) => Number(x.data[(row * 3 + i) * 4 + j]);
    const free = [[-1, -1, -1]];
    for (const k of [0, 1, -1, 2]) {
      const inputs = [x, int([], [k]), tensor('FP32', [], [0])];
      const given = { op: 'MatrixDiagPartV3', inputs, constants: [1, 2], shapes: free };
      const length = Math.min(3 + Math.min(k, 0), 4 - Math.max(k, 0));
      const wanted = [0, 1].flatMap((row) =>
        Array.from({ length }, (_, i) => at(row, i + Math.max(0, -k), i + Math.max(0, k))),
      );
      expectTensor(await answerOf(runner, given), { shape: [2, length], data: wanted });
    }
    for (const [low, high] of [
      [0, -1],
      [1, 0],
      [-1, 1],
    ] as const) {
      const inputs = [x, tensor('INT64', [], [low]), tensor('INT64', [], [high])];
      const given = { op: 'MatrixBandPart', inputs, constants: [1, 2], shapes: free };
      const wanted = Array.from(x.data, (value, place) => {
        const [i, j] = [Math.floor(place / 4) % 3, place % 4];
        return (low < 0 || i - j <= low) && (high < 0 || j - i <= high) ? Number(value) : 0;
      });
      expectTensor(await answerOf(runner, given), { shape: [2, 3, 4], data: wanted });
    }
    const v = tensor('FP32', [2], [3, 4]);
    const made = await answerOf(runner, { op: 'MatrixDiag', inputs: [v] });
    expectTensor(made, { shape: [2, 2], data: [3, 0, 0, 4] });
    const square = tensor('FP32', [2, 2], [1, 2, 5, 6]);
    const set = await answerOf(runner, { op: 'MatrixSetDiag', inputs: [square, v] });
    expectTensor(set, { shape: [2, 2], data: [3, 2, 5, 4] });
  });
});

/** The sum over all letters, index by index. */
function einsumByHand(
  equation: string,
  size: Record<string, number>,
  x: TensorLiteral,
  y: TensorLiteral,
) {
  const [left = '', output = ''] = equation.split('->');
  const terms = left.split(',');
  const letters = [...new Set(left.replace(',', '').split(''))];
  const shape = output.split('').map((letter) => size[letter] ?? 1);
  const flat = (term: string, index: Record<string, number>) =>
    term.split('').reduce((at, letter) => at * (size[letter] ?? 1) + (index[letter] ?? 0), 0);
  const data = new Float64Array(shape.reduce((product, n) => product * n, 1));
  const visit = (index: Record<string, number>, rest: string[]): void => {
    const [letter, ...others] = rest;
    if (letter === undefined) {
      const factors = [x, y].map(({ data: d }, i) => Number(d[flat(terms[i] ?? '', index)]));
      const at = flat(output, index);
      data[at] = (data[at] ?? 0) + (factors[0] ?? 0) * (factors[1] ?? 0);
      return;
    }
    for (let i = 0; i < (size[letter] ?? 1); i++) visit({ ...index, [letter]: i }, others);
  };
  visit({}, letters);
  return { shape, data };
}
