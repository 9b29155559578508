import { describe, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { sharedRunner } from './support/program-runner.js';
import { expectLikeTfjs, reference } from './support/tfjs-reference.js';
import { answerOf, expectTensor, type OpCase, random, tensor } from './support/tf-op-checks.js';
import type { TensorLiteral } from './support/tf-graphs.js';

const runner = sharedRunner();

const runs = { numRuns: 40 };

const expectOp = (given: OpCase, wanted: tf.Tensor) => expectLikeTfjs(runner, given, wanted);

const int = (shape: number[], data: number[]) => tensor('INT32', shape, data);

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
